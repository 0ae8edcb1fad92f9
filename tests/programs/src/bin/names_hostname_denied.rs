//! Sees `sandbox` and can't set another name.

use sandsock::{getfqdn, gethostname, sethostname};

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    assert_eq!(gethostname(), "sandbox");
    assert_eq!(getfqdn("")?, "sandbox");
    for name in [&b"other"[..], b"", b"\0", &[b'x'; 65], &[b'x'; 100_000]] {
        attack::denied_for("sethostname", sethostname(name), "hostname=set");
    }
    assert_eq!(gethostname(), "sandbox");
    Ok(())
}
