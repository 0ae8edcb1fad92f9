//! The WIT package documents every item, and says of every function that may fail how it fails and
//! which grant it needs.

use std::path::Path;

use wit_parser::{
    Docs, Function, Interface, PackageId, Resolve, Type, TypeDef, TypeDefKind, TypeOwner,
    WorldItem, WorldKey,
};

/// What is missing in one package, one line an item.
struct Missing<'a> {
    resolve: &'a Resolve,
    lines: Vec<String>,
}

impl<'a> Missing<'a> {
    /// Looks at a whole package.
    fn of(resolve: &'a Resolve, package: PackageId) -> Vec<String> {
        let mut missing = Self { resolve, lines: Vec::new() };
        let package = &resolve.packages[package];
        missing.docs("package", &package.name.to_string(), &package.docs);
        for (name, &id) in &package.interfaces {
            missing.interface(name, &resolve.interfaces[id]);
        }
        for (name, &id) in &package.worlds {
            let world = &resolve.worlds[id];
            missing.docs("world", name, &world.docs);
            for (key, item) in world.imports.iter().chain(&world.exports) {
                missing.world_item(name, key, item);
            }
        }
        missing.lines
    }

    fn interface(&mut self, name: &str, interface: &Interface) {
        self.docs("interface", name, &interface.docs);
        for (type_name, &id) in &interface.types {
            self.type_def(&format!("{name}.{type_name}"), &self.resolve.types[id]);
        }
        for function in interface.functions.values() {
            self.function(&format!("{name}.{}", self.qualified(function)), function);
        }
    }

    /// What stands in a world itself; interfaces that it only names are documented where they are
    /// defined.
    fn world_item(&mut self, world: &str, key: &WorldKey, item: &WorldItem) {
        match (item, key) {
            (WorldItem::Interface { id, .. }, WorldKey::Name(name)) => {
                let interface = &self.resolve.interfaces[*id];
                if interface.name.is_none() {
                    self.interface(&format!("{world}.{name}"), interface);
                }
            }
            (WorldItem::Interface { .. }, WorldKey::Interface(_)) => {}
            (WorldItem::Function(function), _) => {
                self.function(&format!("{world}.{}", function.name), function)
            }
            (WorldItem::Type { id, .. }, _) => {
                let type_def = &self.resolve.types[*id];
                let name = type_def.name.as_deref().unwrap_or_default();
                self.type_def(&format!("{world}.{name}"), type_def);
            }
        }
    }

    fn type_def(&mut self, name: &str, type_def: &TypeDef) {
        if self.is_used_from_elsewhere(type_def) {
            return;
        }
        self.docs(type_def.kind.as_str(), name, &type_def.docs);
        match &type_def.kind {
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    self.docs("field", &format!("{name}.{}", field.name), &field.docs);
                }
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    self.docs("case", &format!("{name}.{}", case.name), &case.docs);
                }
            }
            TypeDefKind::Enum(enumeration) => {
                for case in &enumeration.cases {
                    self.docs("case", &format!("{name}.{}", case.name), &case.docs);
                }
            }
            TypeDefKind::Flags(flags) => {
                for flag in &flags.flags {
                    self.docs("flag", &format!("{name}.{}", flag.name), &flag.docs);
                }
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &str, function: &Function) {
        let kind = if function.kind.resource().is_some() { "method" } else { "function" };
        self.docs(kind, name, &function.docs);
        if self.can_fail(function) {
            let text = function.docs.contents.as_deref().unwrap_or_default();
            for word in ["Errors:", "Grant:"] {
                if !text.lines().any(|line| line.starts_with(word)) {
                    self.lines.push(format!("{kind} {name} may fail and has no line `{word}`"));
                }
            }
        }
    }

    fn docs(&mut self, kind: &str, name: &str, docs: &Docs) {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            self.lines.push(format!("{kind} {name} is not documented"));
        }
    }

    /// The name of a function as the source writes it, with its resource in front: `poller.add`.
    fn qualified(&self, function: &Function) -> String {
        let resource =
            function.kind.resource().and_then(|id| self.resolve.types[id].name.as_deref());
        match resource {
            Some(resource) => format!("{resource}.{}", function.item_name()),
            None => function.name.clone(),
        }
    }

    /// Whether this is the local name that a `use` makes: an alias of a type with another owner.
    fn is_used_from_elsewhere(&self, type_def: &TypeDef) -> bool {
        let TypeDefKind::Type(Type::Id(target)) = type_def.kind else {
            return false;
        };
        let target = self.resolve.types[target].owner;
        target != TypeOwner::None && target != type_def.owner
    }

    fn can_fail(&self, function: &Function) -> bool {
        let mut result = function.result;
        while let Some(Type::Id(id)) = result {
            match &self.resolve.types[id].kind {
                TypeDefKind::Result(result) => return result.err.is_some(),
                TypeDefKind::Type(target) => result = Some(*target),
                _ => return false,
            }
        }
        false
    }
}

/// What is missing in a package that is given as text.
fn missing_in(source: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("inline.wit", source).expect("the text is WIT");
    Missing::of(&resolve, package)
}

#[test]
fn wit_documented_package_lacks_nothing() {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(&wit).expect("wit/ is a package");
    let lines = Missing::of(&resolve, package);
    assert!(lines.is_empty(), "{} things are missing in wit/:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn wit_documented_bare_items_are_refused() {
    let lines = missing_in(
        "package a:b;
        interface i {
            use j.{t};
            type number = u32;
            type again = number;
            record r { field: t }
            variant v { one, two(u32) }
            enum e { three }
            flags f { four }
            resource s { constructor(); method: func(); make: static func() -> s; }
            free: func();
        }
        interface j { type t = u8; }
        world w {
            import i;
            import inline: interface { inner: func(); }
            import outer: func();
            export i;
        }",
    );
    let expected = [
        "package a:b is not documented",
        "interface i is not documented",
        "type i.number is not documented",
        "type i.again is not documented",
        "record i.r is not documented",
        "field i.r.field is not documented",
        "variant i.v is not documented",
        "case i.v.one is not documented",
        "case i.v.two is not documented",
        "enum i.e is not documented",
        "case i.e.three is not documented",
        "flags i.f is not documented",
        "flag i.f.four is not documented",
        "resource i.s is not documented",
        "method i.s.constructor is not documented",
        "method i.s.method is not documented",
        "method i.s.make is not documented",
        "function i.free is not documented",
        "interface j is not documented",
        "type j.t is not documented",
        "world w is not documented",
        "interface w.inline is not documented",
        "function w.inline.inner is not documented",
        "function w.outer is not documented",
    ];
    let unexpected: Vec<_> =
        lines.iter().filter(|line| !expected.contains(&line.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "not found: {line}");
    }
}

#[test]
fn wit_documented_failures_without_errors_or_grant_are_refused() {
    let lines = missing_in(
        "/// A package.
        package a:b;
        /// An interface.
        interface i {
            /// An error.
            type error = u32;
            /// A result.
            type outcome = result<_, error>;
            /// A resource.
            resource r {
                /// Says all.
                ///
                /// Errors: none in truth.
                ///
                /// Grant: none.
                whole: func() -> result<_, error>;
                /// Says half. Grant: not at the start of a line.
                ///
                /// Errors:
                /// - `os`: always.
                half: func() -> result<u32, error>;
            }
            /// Says nothing.
            nothing: func() -> outcome;
            /// Has no need to.
            sure: func() -> result<u32>;
        }",
    );
    assert_eq!(
        lines,
        [
            "method i.r.half may fail and has no line `Grant:`",
            "function i.nothing may fail and has no line `Errors:`",
            "function i.nothing may fail and has no line `Grant:`",
        ]
    );
}
