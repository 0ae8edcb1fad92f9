//! The names of functions and parameters, read from the contract itself, so that nobody has to
//! write them down twice.
//!
//! It reads no more of WIT than this package's files have: one function a line. A test holds it
//! against a real parser.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The raw layer's files.
const FILES: &[&str] = &[
    include_str!("../../../wit/connections.wit"),
    include_str!("../../../wit/descriptors.wit"),
    include_str!("../../../wit/files.wit"),
    include_str!("../../../wit/netdb.wit"),
    include_str!("../../../wit/polling.wit"),
    include_str!("../../../wit/syscalls.wit"),
    include_str!("../../../wit/transfers.wit"),
];

/// By interface and function, the parameters.
type Functions = HashMap<&'static str, HashMap<String, Vec<&'static str>>>;

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions::new();
    for file in FILES {
        read(file, &mut functions);
    }
    functions
});

/// The parameters of a function. One that has no name in the contract is called `self`: a method's
/// first, a drop's only one.
pub(super) fn parameters(interface: &str, function: &str) -> &'static [&'static str] {
    FUNCTIONS
        .get(interface)
        .and_then(|functions| functions.get(function))
        .map_or(&["self"], Vec::as_slice)
}

fn read(file: &'static str, functions: &mut Functions) {
    let (mut interface, mut resource) = ("", None);
    for line in file.lines() {
        let text = line.trim();
        if let Some(rest) = text.strip_prefix("interface ") {
            interface = rest.trim_end_matches([' ', '{']);
        } else if let Some(rest) = text.strip_prefix("resource ") {
            resource = rest.strip_suffix(" {");
        } else if text == "}" {
            resource = None;
        } else if let Some((name, rest)) = text.split_once(": func(") {
            let list = rest.split_once(')').map_or(rest, |(list, _)| list);
            let mut parameters = names(list);
            let mut name = name.trim_start_matches('%').to_owned();
            if let Some(resource) = resource {
                parameters.insert(0, "self");
                name = format!("[method]{resource}.{name}");
            }
            functions.entry(interface).or_default().insert(name, parameters);
        }
    }
}

/// The names in `a: type, %b: other<type, type>`.
fn names(list: &'static str) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, byte) in list.bytes().chain([b',']).enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth -= 1,
            b',' if depth == 0 => {
                if let Some((name, _)) = list[start..at].split_once(':') {
                    names.push(name.trim().trim_start_matches('%'));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

/// Every function of the world `raw`, by a real parser.
#[cfg(test)]
pub(crate) fn raw_layer() -> std::collections::BTreeMap<(String, String), Vec<String>> {
    use wit_parser::{FunctionKind, Resolve, WorldItem};
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("raw")).unwrap();
    let mut functions = std::collections::BTreeMap::new();
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        for (name, function) in &interface.functions {
            assert!(
                matches!(function.kind, FunctionKind::Freestanding | FunctionKind::Method(_)),
                "{name}"
            );
            let parameters =
                function.params.iter().map(|parameter| parameter.name.clone()).collect();
            functions.insert((interface.name.clone().unwrap(), name.clone()), parameters);
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_are_the_contracts() {
        let expected = raw_layer();
        let read: BTreeMap<(String, String), Vec<String>> = FUNCTIONS
            .iter()
            .flat_map(|(interface, functions)| functions.iter().map(move |one| (*interface, one)))
            .map(|(interface, (function, parameters))| {
                let parameters = parameters.iter().map(|&name| name.to_owned()).collect();
                ((interface.to_owned(), function.clone()), parameters)
            })
            .collect();
        assert!(expected.len() > 50, "{}", expected.len());
        assert_eq!(read, expected);
    }
}
