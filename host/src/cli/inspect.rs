//! `sandsock inspect`.

use std::path::Path;
use std::process::ExitCode;

use wasmtime::component::types::ComponentItem;

use super::engine::load;
use super::run::linker;
use super::{CANNOT_LOAD, Failure};

/// Prints what a component imports and exports, and whether this command can run it.
pub(super) fn inspect(path: &Path) -> Result<ExitCode, Failure> {
    let loaded = load(path)?;
    let kind = loaded.component.component_type();
    println!("{}", path.display());
    println!("imports:");
    for (name, item) in kind.imports(&loaded.engine) {
        println!("  {name}{}", note(name, &item.ty));
    }
    println!("exports:");
    let mut runs = false;
    for (name, item) in kind.exports(&loaded.engine) {
        runs |= name.starts_with("wasi:cli/run@");
        println!("  {name}{}", note("", &item.ty));
    }
    println!("engine: {} concurrency support", if loaded.concurrent { "with" } else { "without" });
    match linker(&loaded)?.instantiate_pre(&loaded.component) {
        Err(error) => {
            println!("this command can't run it: {error:#}");
            Ok(ExitCode::from(CANNOT_LOAD))
        }
        Ok(_) if !runs => {
            println!("this command can't run it: it exports no wasi:cli/run, so it is a library and not a program");
            Ok(ExitCode::from(CANNOT_LOAD))
        }
        Ok(_) => {
            println!("this command can run it");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a reader would want to know of an item.
fn note(import: &str, item: &ComponentItem) -> String {
    if import.starts_with("wasi:sockets/") {
        return " (linked, and every use of it denied)".to_owned();
    }
    if import.starts_with("sandsock:socket/sockets@") || import.starts_with("sandsock:socket/data-plane@") {
        return " (a provider component has to be composed with it first)".to_owned();
    }
    match item {
        ComponentItem::ComponentInstance(_) => String::new(),
        ComponentItem::ComponentFunc(_) => " (function)".to_owned(),
        ComponentItem::CoreFunc(_) | ComponentItem::Module(_) => " (module)".to_owned(),
        ComponentItem::Component(_) => " (component)".to_owned(),
        ComponentItem::Type(_) | ComponentItem::Resource(_) => " (type)".to_owned(),
    }
}
