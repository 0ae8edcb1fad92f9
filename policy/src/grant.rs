//! The verb and the target of a rule as text: `VERB=TARGET`.

use std::fmt;
use std::str::FromStr;

use crate::error::{GrantError, ParseError, suggestion};
use crate::rule::Rule;
use crate::verbs::{Grant, Verb};

/// Parses a verb and a target, without escapes.
pub(crate) fn parse(text: &str) -> Result<Grant, ParseError> {
    let (word, target) = match text.split_once('=') {
        Some((word, target)) => (word, Some(target)),
        None => (text, None),
    };
    let Some(verb) = Verb::by_name(word) else {
        return Err(unknown_verb(word));
    };
    parse_target(verb, target).map_err(|error| match target {
        Some(_) if !verb.stands_alone() => error.shifted(word.len() + 1),
        _ => error.shifted(word.len()),
    })
}

/// Parses a target of a verb. None if there is no `=`, or no key `target`.
pub(crate) fn parse_target(verb: Verb, target: Option<&str>) -> Result<Grant, ParseError> {
    let target = match (verb.stands_alone(), target) {
        (true, None) => "",
        (true, Some(_)) => {
            return Err(ParseError::new(
                0,
                format!("`{verb}` takes no target"),
                format!("write {verb} alone"),
            ));
        }
        (false, None | Some("")) => {
            let hint = format!("examples: {}", verb.examples().join(", "));
            return Err(ParseError::new(0, format!("`{verb}` needs a target"), hint));
        }
        (false, Some(target)) => target,
    };
    Grant::parse_target(verb, target)
}

pub(crate) fn unknown_verb(word: &str) -> ParseError {
    let shown = word.escape_debug();
    let what = if word.is_empty() {
        "the verb is missing".into()
    } else {
        format!("unknown verb `{shown}`")
    };
    // `TCP-CONNECT`, `tcp-connect:HOST`, `tcp-connect HOST`: the verb is there.
    let start = word.trim_start().to_ascii_lowercase();
    let (verb, more) = start.find([':', ' ']).map_or((&*start, ""), |end| start.split_at(end));
    let near = match Verb::by_name(verb) {
        Some(verb) if !more.is_empty() => format!("; write {verb}=TARGET"),
        _ => suggestion(verb, Verb::TABLE.iter().map(|info| info.name)),
    };
    ParseError::new(0, what, format!("verbs are {}{near}", verbs()))
}

fn verbs() -> String {
    Verb::TABLE.iter().map(|info| info.name).collect::<Vec<_>>().join(", ")
}

/// A rule's text without terms.
impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let rule: Rule = text.parse()?;
        if rule.terms.is_empty() {
            Ok(rule.grant)
        } else {
            let error = ParseError::new(
                0,
                format!("`{}` has terms", text.escape_debug()),
                "write a verb and a target alone",
            );
            Err(GrantError::new(text, error))
        }
    }
}

/// As a rule without terms.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rule::from(self.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Grant>().expect_err(text).to_string()
    }

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for info in Verb::TABLE {
            assert_eq!(info.verb.info().name, info.name);
            assert_eq!(Verb::by_name(info.name), Some(info.verb));
        }
    }

    #[test]
    fn every_example_is_a_grant_and_prints_as_itself() {
        for info in Verb::TABLE {
            let alone = info.verb.stands_alone().then(|| info.name.to_owned());
            for text in
                info.examples.iter().map(|target| format!("{}={target}", info.name)).chain(alone)
            {
                let grant: Grant = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
                assert_eq!(grant.verb(), info.verb);
                assert_eq!(grant.to_string(), text);
            }
        }
    }

    #[test]
    fn unknown_verb_lists_the_verbs_and_the_nearest() {
        let text = error("tcp-conect=127.0.0.1:80");
        assert!(
            text.starts_with("at character 1: unknown verb `tcp-conect`; verbs are tcp-connect, tcp-listen, tls-connect"),
            "{text}"
        );
        assert!(text.ends_with("did you mean tcp-connect?"), "{text}");
        assert!(!error("frobnicate=1").contains("did you mean"));
        assert!(error("").starts_with("at character 1: the verb is missing"));
        assert!(error("TCP-CONNECT=127.0.0.1:80").starts_with("at character 1: unknown verb"));
        assert!(error(" tcp-connect=127.0.0.1:80").contains("did you mean tcp-connect?"));
    }

    #[test]
    fn verb_that_stands_alone_takes_no_target() {
        for text in ["interfaces=", "interfaces=eth0", "interfaces=*"] {
            assert_eq!(
                error(text),
                "at character 11: `interfaces` takes no target; write interfaces alone",
                "{text}"
            );
        }
        assert!(error("interface").ends_with("did you mean interfaces?"));
    }

    #[test]
    fn verb_without_its_target_shows_examples() {
        for info in Verb::TABLE.iter().filter(|info| !info.verb.stands_alone()) {
            for text in [info.name.to_owned(), format!("{}=", info.name)] {
                let message = error(&text);
                assert!(
                    message.starts_with(&format!(
                        "at character {}: `{}` needs a target",
                        text.len() + 1,
                        info.name
                    )),
                    "{message}"
                );
                assert!(
                    message.contains(&format!("{}={}", info.name, info.examples[0])),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn error_names_the_character() {
        assert!(
            error("tcp-connect=127.0.0.1:80x").contains("at character 23: `80x` is not a port;")
        );
        // Two bytes of ü are one character.
        assert!(
            error("tcp-connect=bücher.example:x").starts_with("at character 28: "),
            "{}",
            error("tcp-connect=bücher.example:x")
        );
        let found = "tcp-connect=[fe80::1%2]:80".parse::<Grant>().unwrap_err();
        assert_eq!(
            (found.offset(), found.character(), found.text()),
            (20, 21, "tcp-connect=[fe80::1%2]:80")
        );
    }

    #[test]
    fn local_address_by_a_name_is_refused() {
        for text in ["tcp-listen=localhost.example:80", "udp-bind=*.example:80"] {
            assert!(error(text).contains("is a name; write an address"), "{text}");
        }
        assert!("udp-receive=db.example:80".parse::<Grant>().is_ok());
    }

    #[test]
    fn destination_unspecified_is_refused() {
        for text in
            ["tcp-connect=0.0.0.0:80", "udp-send=[::]:80", "tcp-connect=[::ffff:0.0.0.0]:80"]
        {
            assert!(error(text).contains("write 127.0.0.1"), "{text}");
        }
        for text in ["tcp-connect=0.0.0.0/0:80", "udp-receive=0.0.0.0:68", "tcp-listen=0.0.0.0:80"]
        {
            assert!(text.parse::<Grant>().is_ok(), "{text}");
        }
    }

    #[test]
    fn option_unknown_lists_near_names() {
        let text = error("option=SOL_SOCKET/SO_MARKS");
        assert!(
            text.contains("unknown option `SOL_SOCKET/SO_MARKS`")
                && text.contains("SOL_SOCKET/SO_MARK"),
            "{text}"
        );
        let text = error("option=SO_MARK");
        assert!(
            text.contains("the level is missing") && text.contains("SOL_SOCKET/SO_MARK"),
            "{text}"
        );
        assert!(error("option=SOL_SOCKET/zzzzzzzzzzzzzz").ends_with("as in SOL_SOCKET/SO_MARK"));
    }

    #[test]
    fn ancillary_unknown_lists_the_words() {
        let text = error("ancillary=rights:recieve");
        assert!(
            text.contains("rights:receive,any") && text.ends_with("did you mean rights:receive?"),
            "{text}"
        );
    }

    #[test]
    fn inherit_of_no_number_is_refused() {
        assert_eq!("inherit=fd:0".parse::<Grant>().unwrap().to_string(), "inherit=stdin");
        assert!(
            error("inherit=stdout")
                .contains("at character 9: `stdout` is not a descriptor; write fd:NUMBER")
        );
        for text in ["inherit=fd:", "inherit=fd:-1", "inherit=fd:9999999", "inherit=fd:3-5"] {
            let error = error(text);
            assert!(
                error.starts_with("at character 12: ")
                    && error.contains("is not a descriptor's number"),
                "{error}"
            );
        }
    }

    #[test]
    fn resolve_of_an_address_or_with_a_port_is_refused() {
        assert!(error("resolve=127.0.0.1").contains("need no resolve"));
        assert!(error("resolve=::1").contains("need no resolve"));
        assert!(error("resolve=db.example:80").contains("a name alone"));
    }

    #[test]
    fn reverse_resolve_takes_addresses_networks_and_names() {
        for (text, printed) in [
            ("192.0.2.7/32", "192.0.2.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::/32]", "2001:db8::/32"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::1", "::1"),
            ("::/0", "::/0"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("Bücher.Example.", "xn--bcher-kva.example"),
            ("*.example.com", "*.example.com"),
        ] {
            let grant: Grant = format!("reverse-resolve={text}").parse().unwrap();
            assert_eq!(grant.to_string(), format!("reverse-resolve={printed}"));
        }
        for (text, part) in [
            ("192.0.2.7:53", "a port is not allowed here"),
            ("[::1]:53", "a port is not allowed here"),
            ("db.example:53", "a port is not allowed here"),
            ("192.0.2.1/24", "write 192.0.2.0/24 or 192.0.2.1"),
            ("2001:db8::/129", "0 to 128"),
            ("fe80::1%eth0", "every interface"),
            ("127.1", "four decimal numbers"),
            ("[::1", "not closed"),
            ("a.*", "only at the start"),
        ] {
            let text = error(&format!("reverse-resolve={text}"));
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn hostname_unknown_lists_the_words() {
        assert_eq!(
            error("hostname=write"),
            "at character 10: unknown target `write`; targets are read, set"
        );
        assert!(error("hostname=reed").ends_with("did you mean read?"));
    }

    fn host() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            prop::sample::select(crate::name::SET_WORDS.to_vec()).prop_map(str::to_owned),
            any::<std::net::Ipv4Addr>()
                .prop_filter("a destination", |a| !a.is_unspecified())
                .prop_map(|a| a.to_string()),
            any::<std::net::Ipv6Addr>()
                .prop_filter("a destination", |a| !a.to_canonical().is_unspecified())
                .prop_map(|a| format!("[{a}]")),
            (any::<std::net::Ipv4Addr>(), 0u8..32)
                .prop_map(|(a, n)| ipnet::Ipv4Net::new(a, n).unwrap().trunc().to_string()),
            (any::<std::net::Ipv6Addr>(), 0u8..128)
                .prop_map(|(a, n)| format!("[{}]", ipnet::Ipv6Net::new(a, n).unwrap().trunc())),
            "(\\*\\.)?[A-Za-zü][a-zA-Z0-9]{0,8}(\\.[a-zA-Z]{1,8}){0,3}\\.?",
        ]
    }

    fn ports() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            any::<u16>().prop_map(|p| p.to_string()),
            (0u16..100, 100u16..).prop_map(|(a, b)| format!("{a}-{b}"))
        ]
    }

    proptest! {
        #[test]
        fn grant_of_an_endpoint_comes_back_from_its_print(verb in prop::sample::select(vec!["tcp-connect", "udp-send", "udp-receive"]), host in host(), ports in ports()) {
            let text = format!("{verb}={host}:{ports}");
            let grant: Grant = text.parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            let printed = grant.to_string();
            prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
        }

        #[test]
        fn grant_of_a_lone_host_comes_back_from_its_print(host in host()) {
            let text = format!("reverse-resolve={host}");
            let grant: Grant = text.parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
            let printed = grant.to_string();
            prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
        }

        #[test]
        fn grant_of_a_path_comes_back_from_its_print(path in "/?([a-z*?.@ü\\\\]{1,5}/){0,3}[a-z*?ü]{1,5}") {
            if let Ok(grant) = format!("unix-connect={path}").parse::<Grant>() {
                let printed = grant.to_string();
                prop_assert_eq!(printed.parse::<Grant>(), Ok(grant), "{}", printed);
            }
        }

        #[test]
        fn grant_of_an_abstract_name_comes_back_from_its_print(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5)) {
            let parts: Vec<String> = parts.iter().map(|part| crate::path::escape_abstract(part)).collect();
            let grant: Grant = format!("unix-bind=@{}", parts.join("*")).parse().map_err(|e: GrantError| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }

        #[test]
        fn grant_of_any_text_never_panics(text in any::<String>()) {
            check_any(&text)?;
        }

        #[test]
        fn grant_of_a_verb_and_any_text_never_panics(at in 0..Verb::TABLE.len(), text in "[\\x00-\\x7fü*:/\\[\\]%@.0-9a-z-]{0,30}") {
            check_any(&format!("{}={text}", Verb::TABLE[at].name))?;
        }
    }

    fn check_any(text: &str) -> Result<(), TestCaseError> {
        match text.parse::<Grant>() {
            Ok(grant) => prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant)),
            Err(e) => {
                prop_assert!(e.offset() <= text.len());
                prop_assert!(!e.to_string().is_empty());
                prop_assert!(e.character() <= text.chars().count() + 1);
            }
        }
        Ok(())
    }
}
