//! Names and addresses of `--resolve`, in both directions. No resolver is asked.

use sandsock::constants::*;
use sandsock::raw::netdb;
use sandsock::raw::types::{NameError, Wait};
use sandsock::{
    Family, Result, getaddrinfo, getfqdn, gethostbyaddr, gethostbyname, gethostbyname_ex,
    getnameinfo,
};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> Result<()> {
    assert_eq!(gethostbyname("one.example")?, "10.0.0.5");
    let entry = gethostbyname_ex("ONE.example.")?;
    assert_eq!((entry.name.as_str(), entry.aliases.len()), ("one.example", 0));
    assert_eq!(entry.addresses, ["10.0.0.5", "10.0.0.6"]);
    let six = netdb::get_host_by_name("one.example", AF_INET6, Wait::None).expect("an entry");
    assert_eq!(six.addresses, ["fd00::5"]);
    assert_eq!(
        netdb::get_host_by_name("four.example", AF_INET6, Wait::None).err(),
        Some(NameError::Host(NO_DATA))
    );
    let hosts = |flags: i32| -> Result<Vec<_>> {
        let answers = getaddrinfo("one.example", (), Family::INET6, SOCK_STREAM, 0, flags)?;
        Ok(answers
            .into_iter()
            .map(|answer| (answer.address.host().unwrap_or_default(), answer.canonical_name))
            .collect())
    };
    let of = |list: &[(&str, &str)]| {
        list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(hosts(0)?, of(&[("fd00::5", "")]));
    assert_eq!(hosts(AI_V4MAPPED | AI_CANONNAME)?, of(&[("fd00::5", "one.example")]));
    let mapped = [("::ffff:10.0.0.5", "one.example"), ("::ffff:10.0.0.6", ""), ("fd00::5", "")];
    assert_eq!(hosts(AI_V4MAPPED | AI_ALL | AI_CANONNAME)?, of(&mapped));
    // One address of two names.
    let entry = gethostbyaddr("10.0.0.5")?;
    assert_eq!(
        (entry.name.as_str(), entry.aliases),
        ("one.example", vec!["four.example".to_owned()])
    );
    assert_eq!(entry.addresses, ["10.0.0.5"]);
    assert_eq!(gethostbyaddr("one.example")?.name, "one.example");
    assert_eq!(getfqdn("four.example")?, "one.example");
    assert_eq!(getnameinfo(("fd00::5", 80), NI_NAMEREQD)?, ("one.example".into(), "http".into()));
    assert_eq!(getnameinfo(("10.0.0.6", 80), NI_NUMERICSERV)?, ("one.example".into(), "80".into()));
    attack::denied_for("its neighbour", gethostbyaddr("10.0.0.7"), "reverse-resolve=10.0.0.7");
    attack::denied_by_rule("a denied one", getnameinfo(("10.9.9.9", 80), 0));
    Ok(())
}
