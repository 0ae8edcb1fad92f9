//! A policy as the text of a policy file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use toml::Value;

use crate::policy::Policy;
use crate::rule::Rule;

impl Policy {
    /// Returns this policy as a policy file, with every limit. Parsed again with the same base
    /// directory, it makes the same policy. `allow-all` has no form in a file, and is a comment.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        if self.everything {
            text.push_str("# Everything that no rule denies is allowed (--allow-all).\n");
        }
        // A string takes everything.
        let _ = self.write_toml(&mut text);
        text
    }

    fn write_toml(&self, text: &mut String) -> fmt::Result {
        let texts = |rules: &[Rule]| rules.iter().map(ToString::to_string).collect();
        list(text, "allow", texts(self.allowed()))?;
        list(text, "deny", texts(self.denied()))?;
        let published: BTreeSet<&str> = self.published.texts().collect();
        list(text, "publish", published.into_iter().map(str::to_owned).collect())?;
        if !self.sets.nat64.is_empty() {
            list(text, "nat64", self.sets.nat64.iter().map(ToString::to_string).collect())?;
        }
        if !self.sets.named.is_empty() {
            text.push_str("\n[sets]\n");
        }
        for (word, hosts) in &self.sets.named {
            list(text, word, hosts.iter().map(ToString::to_string).collect())?;
        }
        text.push_str("\n[limits]\n");
        for (name, value) in self.limits.iter() {
            writeln!(text, "{name} = {value}")?;
        }
        if !self.fixed.names.is_empty() {
            text.push_str("\n[resolve]\n");
        }
        let sorted: BTreeMap<_, _> = self.fixed.names.iter().collect();
        for (name, (addresses, _)) in sorted {
            let addresses = addresses.iter().map(|address| Value::from(address.to_string()));
            let addresses = Value::Array(addresses.collect());
            writeln!(text, "{} = {addresses}", quoted(name))?;
        }
        Ok(())
    }
}

/// Returns a string as TOML has it.
fn quoted(text: &str) -> Value {
    Value::from(text)
}

/// Writes a list of strings, one a line.
fn list(text: &mut String, key: &str, strings: Vec<String>) -> fmt::Result {
    if strings.is_empty() {
        return writeln!(text, "{key} = []");
    }
    writeln!(text, "{key} = [")?;
    for string in strings {
        writeln!(text, "    {},", quoted(&string))?;
    }
    writeln!(text, "]")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn again(policy: &Policy) -> Policy {
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        let text = policy.to_toml();
        builder.file_text(Path::new("shown.toml"), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        builder.build()
    }

    #[test]
    fn every_part_of_a_policy_comes_back() {
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        builder.set("backends=10.0.0.0/24,*.db.example,2001:db8::/32,private").unwrap();
        builder.nat64("2001:db8:64::/96").unwrap();
        builder.allow("tcp-connect=backends:443;rate=1MiB/s;connections=3").unwrap();
        builder.allow("tcp-connect=public:443").unwrap();
        for rule in [
            "unix-bind=x/*.sock",
            "unix-connect=@a\\x22\\x00'",
            "unix-connect=/run/\"it's\"\\",
            "interfaces",
        ] {
            builder.allow(rule).unwrap();
        }
        builder.deny("tcp-connect=10.0.0.0/8:*").unwrap().limit("descriptors=7").unwrap();
        builder.resolve("db.example=10.0.0.5").unwrap().resolve("db.example=::1").unwrap();
        builder
            .publish("0.0.0.0:80=127.0.0.1:80")
            .unwrap()
            .publish("0.0.0.0:81=127.0.0.1:81/udp")
            .unwrap();
        let policy = builder.build();
        let shown = again(&policy);
        assert_eq!(shown.to_toml(), policy.to_toml());
        assert_eq!(shown.allowed(), policy.allowed());
        assert_eq!(shown.denied(), policy.denied());
        assert_eq!(shown.limits(), policy.limits());
        assert_eq!(shown.fixed("db.example"), policy.fixed("db.example"));
        assert_eq!(shown.published.texts().count(), 3);
        assert!(policy.to_toml().contains("descriptors = 7\n"), "{}", policy.to_toml());
    }
}
