//! The provider component: what it is made of. What it does is judged by tests/conformance/.

use sandsock_tests::target;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine};

/// The names of one side's functions, as `interface function`.
fn names<'a>(engine: &Engine, items: impl Iterator<Item = (&'a str, ComponentItem)>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, item) in items {
        match item {
            ComponentItem::ComponentInstance(instance) => {
                names.extend(instance.exports(engine).map(|(export, _)| format!("{name} {export}")));
            }
            _ => names.push(name.to_owned()),
        }
    }
    names
}

#[test]
fn provider_imports_only_sandsock() {
    let engine = Engine::new(&Config::new()).expect("an engine");
    let provider = Component::from_file(&engine, target().join("guests/provider.wasm")).expect("`make guests` built it");
    let kind = provider.component_type();
    let imports = names(&engine, kind.imports(&engine).map(|(name, item)| (name, item.ty)));
    assert!(!imports.is_empty());
    for import in &imports {
        assert!(import.starts_with("sandsock:socket/"), "the provider imports {import}");
        assert!(!import.starts_with("sandsock:socket/sockets@"), "the provider imports what it exports");
    }
    let exports = names(&engine, kind.exports(&engine).map(|(name, item)| (name, item.ty)));
    for export in ["sandsock:socket/sockets@0.1.0 create-connection", "sandsock:socket/data-plane@0.1.0 plan"] {
        assert!(exports.iter().any(|name| name == export), "{export} is not among {exports:?}");
    }
}
