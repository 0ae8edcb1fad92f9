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
        Guest::new(programs::alg_skcipher_ok, way)
            .allow("family=alg:skcipher:cbc(aes)")
            .run()
            .success();
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

/// A folder with a file of some MiB, the same that the guests know, and an empty one.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large"), crate::inet::pattern((3 << 20) + 12_345))
        .expect("writes");
    std::fs::write(folder.path().join("empty"), b"").expect("writes");
    folder
}

#[test]
pub(crate) fn alg_file_ok() {
    booted(|way| {
        let folder = folder();
        let guest = Guest::new(programs::alg_file_ok, way).dir(folder.path(), "/data");
        let ended =
            guest.allow("family=alg:hash:sha256").allow("family=alg:skcipher:cbc(aes)").run();
        let sent = (3 << 20) + 12_345 + (2 << 20) + 100_000 + 1 + 16_384;
        assert_eq!(
            ended.by_kernel, sent,
            "each byte went from the file to the cipher in the kernel: {ended:?}"
        );
        ended.success();
    });
}

#[test]
fn alg_example_sends_a_file_by_the_kernel() {
    booted(|way| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("abc"), b"abc").expect("writes");
        let guest = Guest::new(Program::example("sha256"), way)
            .example_policy()
            .dir(folder.path(), "/data");
        let ended = guest.arg("/data/abc").run();
        assert_eq!(ended.by_kernel, 3, "{ended:?}");
        let printed = ended.success();
        assert_eq!(
            printed.trim(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    });
}

#[test]
fn alg_example_tells_the_hash_of_nothing() {
    booted(|way| {
        // The harness gives no input.
        let printed =
            Guest::new(Program::example("sha256"), way).example_policy().arg("-").run().success();
        assert_eq!(
            printed.trim(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    });
}
