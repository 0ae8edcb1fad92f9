//! AF_ALG, in the booted kernel.

use sandsock_tests::kernel::booted;
use sandsock_tests::{Guest, Program, programs};

#[test]
pub(crate) fn alg_hash_ok() {
    booted(|way| {
        let guest = Guest::new(programs::alg_hash_ok, way);
        guest.allow("family=alg:hash:sha256").allow("family=alg:hash:hmac(*)").run().success();
    });
}

#[test]
pub(crate) fn alg_skcipher_ok() {
    booted(|way| {
        Guest::new(programs::alg_skcipher_ok, way).allow("family=alg:skcipher:cbc(aes)").run().success();
    });
}

#[test]
pub(crate) fn alg_aead_ok() {
    booted(|way| {
        Guest::new(programs::alg_aead_ok, way).allow("family=alg:aead").run().success();
    });
}

#[test]
pub(crate) fn alg_rng_ok() {
    booted(|way| {
        Guest::new(programs::alg_rng_ok, way).allow("family=alg").run().success();
    });
}

#[test]
pub(crate) fn alg_hash_denied() {
    booted(|way| {
        let guest = Guest::new(programs::alg_hash_denied, way).allow("family=alg:hash:sha*");
        guest.deny("family=alg:*:sha512").run().success();
    });
}

#[test]
pub(crate) fn alg_option_denied() {
    booted(|way| {
        Guest::new(programs::alg_option_denied, way).allow("family=alg:rng:*").run().success();
    });
}

#[test]
fn alg_example_tells_the_hash_of_nothing() {
    booted(|way| {
        // The harness gives no input.
        let printed = Guest::new(Program::example("sha256"), way).example_policy().arg("-").run().success();
        assert_eq!(printed.trim(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    });
}
