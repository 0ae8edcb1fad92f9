//! `sandsock inspect`.

use std::path::Path;
use std::process::ExitCode;

use wasmtime::component::types::ComponentItem;

use super::engine::load;
use super::run::fit;
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
    for (name, item) in kind.exports(&loaded.engine) {
        println!("  {name}{}", note("", &item.ty));
    }
    println!("engine: {} concurrency support", if loaded.concurrent { "with" } else { "without" });
    match fit(&loaded)? {
        Ok(_) => {
            println!("this command can run it");
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            println!("this command can't run it: {why}");
            Ok(ExitCode::from(CANNOT_LOAD))
        }
    }
}

/// Whether an import is what a provider exports.
pub(super) fn wants_provider(import: &str) -> bool {
    ["sandsock:socket/sockets@", "sandsock:socket/data-plane@"].iter().any(|name| import.starts_with(name))
}

/// What a reader would want to know of an item.
fn note(import: &str, item: &ComponentItem) -> String {
    if import.starts_with("wasi:sockets/") {
        return " (linked, and every use of it denied)".to_owned();
    }
    if wants_provider(import) {
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
