//! The functions of the contract, as wit-parser reads them. The tests use them.

use std::collections::BTreeMap;
use std::path::Path;

use wit_parser::{FunctionKind, Resolve, WorldItem};

/// The names of the parameters, by interface and function.
pub(crate) type Functions = BTreeMap<(String, String), Vec<String>>;

/// Returns every function of the world `raw`.
pub(crate) fn raw_layer() -> Functions {
    world("raw")
}

/// Returns every function of the world `threaded`.
pub(crate) fn threads() -> Functions {
    world("threaded")
}

fn world(name: &str) -> Functions {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(name)).unwrap();
    let mut functions = Functions::new();
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        for (name, function) in &interface.functions {
            assert!(
                matches!(
                    function.kind,
                    FunctionKind::Freestanding | FunctionKind::Method(_) | FunctionKind::Static(_)
                ),
                "{name}"
            );
            let parameters = function.params.iter().map(|one| one.name.clone()).collect();
            functions.insert((interface.name.clone().unwrap(), name.clone()), parameters);
        }
    }
    functions
}
