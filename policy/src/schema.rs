//! The JSON schema of a policy file, by which an editor completes and checks it.

use serde_json::{Map, Value, json};

use crate::limits::Limits;
use crate::terms::{Key, Scope, TermInfo, Terms, UNITS};
use crate::verbs::{Verb, VerbInfo};

/// Returns the JSON schema of a policy file (draft 2020-12), made from the tables of verbs, terms
/// and limits.
///
/// It says which keys, verbs and terms there are. The targets of rules are texts to it, so a file
/// that it accepts can still have an error that [`PolicyBuilder`](crate::PolicyBuilder) reports.
pub fn schema() -> String {
    format!("{:#}\n", document())
}

fn document() -> Value {
    let rules = |table: &str, about: &str| {
        let items = json!({ "anyOf": [
            { "$ref": "#/$defs/rule" },
            { "$ref": format!("#/$defs/{table}") },
        ] });
        json!({ "type": "array", "items": items, "description": about })
    };
    let texts = |about: &str, example: &str| {
        json!({
            "type": "array",
            "items": { "type": "string", "minLength": 1 },
            "description": about,
            "examples": [[example]],
        })
    };
    let address = json!({ "type": "string", "minLength": 1 });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A policy of sandsock",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "allow": rules("grant", "Rules that allow."),
            "deny": rules("denial", "Rules that deny. They win over all that allow."),
            "include": texts("Files whose rules come before those of this one.", "base.toml"),
            "nat64": texts("NAT64 prefixes of the network.", "2001:db8:64::/96"),
            "publish": texts(
                "Addresses that the guest binds, and those of the host that stand for them.",
                "0.0.0.0:8080=127.0.0.1:80",
            ),
            "resolve": {
                "type": "object",
                "description": "Names with the addresses that look-ups of them give.",
                "additionalProperties": {
                    "anyOf": [address, { "type": "array", "items": address }],
                },
            },
            "sets": {
                "type": "object",
                "description": "Sets of hosts, which rules can have in place of a host.",
                "propertyNames": { "pattern": "^[a-z][a-z0-9-]{0,62}$" },
                "additionalProperties": texts("Hosts.", "10.0.0.0/24"),
            },
            "limits": limits(),
        },
        "$defs": {
            "rule": rule_text(),
            "grant": { "oneOf": tables(true) },
            "denial": { "oneOf": tables(false) },
        },
    })
}

fn limits() -> Value {
    let limit = |info: &crate::LimitInfo| {
        let value = json!({
            "type": "integer",
            "minimum": info.least,
            "maximum": info.most,
            "default": info.default,
            "description": info.about,
        });
        (info.name.to_owned(), value)
    };
    let properties: Map<String, Value> = Limits::TABLE.iter().map(limit).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// The text of a rule: a verb and a target, and terms.
fn rule_text() -> Value {
    let start = |info: &VerbInfo| match info.examples {
        [] => format!("{}$", info.name),
        _ => format!("{}=.", info.name),
    };
    let starts: Vec<_> = Verb::TABLE.iter().map(start).collect();
    let example = |info: &VerbInfo| info.verb.examples().into_iter().next();
    let examples: Vec<_> = Verb::TABLE.iter().filter_map(example).collect();
    json!({
        "type": "string",
        "pattern": format!("^({})", starts.join("|")),
        "description": "VERB=TARGET, or VERB alone. A grant may have terms, ;KEY=VALUE.",
        "examples": examples,
    })
}

/// The tables that are rules, one for each verb. Only rules that allow have terms.
fn tables(with_terms: bool) -> Vec<Value> {
    let of_verb = |info: &VerbInfo| {
        let mut properties = Map::new();
        let mut required = vec!["verb"];
        let verb = json!({ "const": info.name, "description": info.about });
        properties.insert("verb".to_owned(), verb);
        if !info.verb.stands_alone() {
            let target = json!({ "type": "string", "minLength": 1, "examples": info.examples });
            properties.insert("target".to_owned(), target);
            required.push("target");
        }
        let terms = Terms::of_verb(info.verb).filter(|_| with_terms);
        properties.extend(terms.map(|term| (term.name.to_owned(), term_value(term))));
        let needed = Terms::required(info.verb).filter(|_| with_terms);
        required.extend(needed.map(|term| term.name));
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "required": required,
        })
    };
    Verb::TABLE.iter().map(of_verb).collect()
}

/// What the value of a term may be.
fn term_value(info: &TermInfo) -> Value {
    let units: Vec<_> = UNITS.iter().map(|(unit, _)| *unit).collect();
    let size = format!("[0-9]+(B|{})?", units.join("|"));
    let text = |pattern: String| json!({ "type": "string", "pattern": format!("^{pattern}$") });
    let number = json!({ "type": "integer", "minimum": 1 });
    let mut value = match info.key {
        Key::Rate => text(format!("{size}/s")),
        Key::Bytes => json!({ "anyOf": [number, text(size)] }),
        Key::Connections => json!({ "anyOf": [number, text("[0-9]+".to_owned())] }),
        Key::Scope => json!({ "enum": Scope::ALL.map(Scope::name) }),
        Key::Identity => text("[-_.a-zA-Z0-9]{1,64}".to_owned()),
        Key::Roots | Key::Alpn => json!({ "type": "string", "minLength": 1 }),
    };
    if let Some(value) = value.as_object_mut() {
        value.insert("description".to_owned(), info.about.into());
        value.insert("examples".to_owned(), json!([info.example]));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    // `tests/all/recipes.rs` validates policy files by the schema.
    #[test]
    fn schema_has_every_verb_term_and_limit() {
        let schema: Value = schema().parse().unwrap();
        let properties = &schema["properties"];
        assert_eq!(properties.as_object().unwrap().len(), crate::file::KEYS.len());
        for key in crate::file::KEYS {
            assert!(properties[key].is_object(), "{key}");
        }
        for info in Limits::TABLE {
            let limit = &properties["limits"]["properties"][info.name];
            assert_eq!(limit["default"], info.default, "{}", info.name);
        }
        for (table, with_terms) in [("grant", true), ("denial", false)] {
            let rows = schema["$defs"][table]["oneOf"].as_array().unwrap();
            assert_eq!(rows.len(), Verb::TABLE.len());
            for (row, info) in rows.iter().zip(Verb::TABLE) {
                assert_eq!(row["properties"]["verb"]["const"], info.name);
                for term in Terms::TABLE {
                    let taken = with_terms && term.verbs.contains(&info.verb);
                    assert_eq!(row["properties"][term.name].is_object(), taken, "{}", info.name);
                }
            }
        }
    }
}
