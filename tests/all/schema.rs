//! Checks lines of JSON against a schema of `docs/`. It knows the words of JSON Schema that these
//! schemas use, and refuses others.

use serde_json::Value;

/// Returns a schema of the documentation.
pub(crate) fn read(name: &str) -> Value {
    let path = sandsock_tests::root().join("docs").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Checks each line of a text.
#[track_caller]
pub(crate) fn check_lines(schema: &Value, text: &str) {
    for line in text.lines() {
        let value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if let Err(why) = check(schema, &value) {
            panic!("{line}: {why}");
        }
    }
}

/// Checks a value.
///
/// # Errors
///
/// Why the schema does not allow it.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let fail = |why: String| Err(format!("{value}: {why}"));
    for (word, rule) in schema.as_object().ok_or("the schema is no object")? {
        match (word.as_str(), rule) {
            ("$schema" | "title" | "description", _) => {}
            ("oneOf", Value::Array(all)) => {
                let results: Vec<_> = all.iter().map(|one| check(one, value)).collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    return fail(format!("not one of the forms: {results:?}"));
                }
            }
            ("type", rule) => {
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let known = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                if !known.iter().any(|known| known == kind) {
                    return fail(format!("it is of the type {kind} and not {rule}"));
                }
            }
            ("enum", Value::Array(all)) if all.contains(value) => {}
            ("minimum", rule) if value.as_i64() >= rule.as_i64() => {}
            // RFC 3339, in UTC with microseconds.
            ("format", rule) if rule == "date-time" => {
                let form = |c: char| if c.is_ascii_digit() { '0' } else { c };
                let text: String = value.as_str().unwrap_or_default().chars().map(form).collect();
                if text != "0000-00-00T00:00:00.000000Z" {
                    return fail("it is no time".to_owned());
                }
            }
            ("required", Value::Array(names)) => {
                let missing = names
                    .iter()
                    .find(|name| name.as_str().is_none_or(|name| value.get(name).is_none()));
                if let Some(name) = missing {
                    return fail(format!("{name} is missing"));
                }
            }
            ("properties", Value::Object(known)) => {
                for (name, rule) in known {
                    value.get(name).map_or(Ok(()), |value| check(rule, value))?;
                }
            }
            ("additionalProperties", Value::Bool(false)) => {
                let known = |name: &String| schema["properties"].get(name).is_some();
                let all = value.as_object().into_iter().flat_map(|object| object.keys());
                if let Some(name) = all.into_iter().find(|name| !known(name)) {
                    return fail(format!("{name} is not known"));
                }
            }
            _ => return fail(format!("the schema's {word}: {rule} does not hold, or is unknown")),
        }
    }
    Ok(())
}
