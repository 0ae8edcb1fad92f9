//! `sandsock inspect`: prints what a component imports and exports.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use wasmtime::component::types::ComponentItem;

use crate::engine::load;
use crate::exit::{CANNOT_LOAD, Exit};
use crate::guest::fit;
use crate::text::printable;

/// Prints what a component imports and exports, and whether this command can run it.
pub(crate) fn inspect(path: &Path) -> Result<ExitCode, Exit> {
    let loaded = load(path, None, false)?;
    let kind = loaded.component.component_type();
    // The names in a component and the names of files are untrusted.
    let mut text = format!("{}\nimports:\n", printable(&path.display().to_string()));
    if let Some((provider, wanted)) = &loaded.provider {
        for name in wanted {
            let provider = provider.display().to_string();
            text.push_str(&format!(
                "  {} (from the provider {})\n",
                printable(name),
                printable(&provider)
            ));
        }
    }
    for (name, item) in kind.imports(&loaded.engine) {
        text.push_str(&format!("  {}{}\n", printable(name), note(name, &item.ty)));
    }
    text.push_str("exports:\n");
    for (name, item) in kind.exports(&loaded.engine) {
        text.push_str(&format!("  {}{}\n", printable(name), note("", &item.ty)));
    }
    let with = if loaded.concurrent { "with" } else { "without" };
    text.push_str(&format!("engine: {with} support for concurrency, which only WASI 0.3 needs\n"));
    let status = match fit(&loaded, loaded.concurrent)? {
        Ok(_) => {
            text.push_str("this command can run it\n");
            ExitCode::SUCCESS
        }
        Err(why) => {
            text.push_str(&format!("this command can't run it: {}\n", printable(&why.to_string())));
            ExitCode::from(CANNOT_LOAD)
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(status),
        result => {
            result.map(|()| status).context("can't write to standard output").map_err(Exit::from)
        }
    }
}

/// Returns what to print after an item's name.
fn note(import: &str, item: &ComponentItem) -> String {
    if let Some(interface) = import.strip_prefix("wasi:sockets/") {
        return format!(" ({})", grants(interface));
    }
    match item {
        ComponentItem::ComponentInstance(_) => String::new(),
        ComponentItem::ComponentFunc(_) => " (function)".to_owned(),
        ComponentItem::CoreFunc(_) | ComponentItem::Module(_) => " (module)".to_owned(),
        ComponentItem::Component(_) => " (component)".to_owned(),
        ComponentItem::Type(_) | ComponentItem::Resource(_) => " (type)".to_owned(),
    }
}

/// Returns which grants an interface of `wasi:sockets` may need.
fn grants(interface: &str) -> &'static str {
    let name = interface.split_once('@').map_or(interface, |(name, _)| name);
    match name {
        // Version 0.3 has TCP and UDP in one interface.
        "types" => {
            "may need tcp-connect=HOST:PORT, tcp-listen=ADDRESS:PORT, udp-send=HOST:PORT, udp-receive=HOST:PORT, udp-bind=ADDRESS:PORT"
        }
        "tcp" => "may need tcp-connect=HOST:PORT, tcp-listen=ADDRESS:PORT",
        "udp" => "may need udp-send=HOST:PORT, udp-receive=HOST:PORT, udp-bind=ADDRESS:PORT",
        "ip-name-lookup" => {
            "may need resolve=NAME; tcp-connect=NAME:PORT and udp-send=NAME:PORT include it"
        }
        _ => "needs no grant",
    }
}
