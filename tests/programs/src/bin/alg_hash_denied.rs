//! Tries algorithms other than the ones that are granted: `family=alg:hash:sha*` but not sha512.

use sandsock::constants::*;
use sandsock::raw::types::{self, AlgAddress};
use sandsock::{Address, Error, Socket};
use sandsock_test_programs::alg::{algorithm, bound};
use sandsock_test_programs::{fails_with, needs};

fn main() -> Result<(), Error> {
    bound("hash", "sha256")?;
    needs(bound("hash", "md5"), "family=alg:hash:md5");
    needs(bound("hash", "hmac(sha256)"), "family=alg:hash:hmac(sha256)");
    needs(bound("skcipher", "cbc(aes)"), "family=alg:skcipher:cbc(aes)");
    // By a rule that denies: no grant helps.
    needs(bound("hash", "sha512"), None);
    needs(bound("hash", "*"), None);
    needs(bound("", ""), None);
    // The kernel would read these as another name.
    for name in ["sha256\0x", "md5\0sha256"] {
        fails_with(bound("hash", name), "OSError", sandsock::errno::EINVAL);
    }
    for (kind, name) in [("hash", &*"s".repeat(64)), (&*"h".repeat(14), "sha256")] {
        let error = bound(kind, name).expect_err("it does not fit");
        assert_eq!((error.class(), error.errno()), ("ValueError", None));
    }
    // The kernel refuses a granted algorithm that it does not have.
    fails_with(bound("hash", "sha-nothing"), "FileNotFoundError", sandsock::errno::ENOENT);

    let socket = Socket::new(AF_ALG, SOCK_SEQPACKET, 0)?;
    needs(socket.connect(algorithm("hash", "md5")), "family=alg:hash:md5");
    needs(socket.sendto(b"x", 0, algorithm("hash", "md5")), "family=alg:hash:md5");
    // By its driver's name it is another one.
    let generic =
        AlgAddress { kind: "hash".into(), name: "md5-generic".into(), feature: 0, mask: 0 };
    needs(socket.bind(Address::Other(types::Address::Alg(generic))), "family=alg:hash:md5-generic");
    // Types that no rule could name are not served.
    fails_with(Socket::new(AF_ALG, SOCK_STREAM, 0), "OSError", sandsock::errno::ESOCKTNOSUPPORT);
    needs(Socket::new(AF_ALG, SOCK_SEQPACKET, 1), None);
    Ok(())
}
