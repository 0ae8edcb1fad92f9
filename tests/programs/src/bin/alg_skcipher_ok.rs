//! Ciphers: NIST's example for AES in CBC mode, in both directions, in one message and in parts.

use sandsock::constants::*;
use sandsock::{Error, Flags};
use sandsock_test_programs::alg::{bound, operation, vector};
use sandsock_test_programs::oracle::{hex, unhex};
use sandsock_test_programs::{fails_with, pattern};
use std::io::IoSlice;

/// SP 800-38A, F.2.1.
const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const VECTOR: &str = "000102030405060708090a0b0c0d0e0f";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
const CIPHER: &str = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2";

fn main() -> Result<(), Error> {
    let aes = bound("skcipher", "cbc(aes)")?;
    fails_with(aes.setsockopt(SOL_ALG, ALG_SET_KEY, b"short"), "OSError", sandsock::errno::EINVAL);
    aes.setsockopt(SOL_ALG, ALG_SET_KEY, &unhex(KEY)[..])?;
    let (work, _) = aes.accept()?;
    let iv = vector(&unhex(VECTOR));
    for (number, input, output) in
        [(ALG_OP_ENCRYPT, PLAIN, CIPHER), (ALG_OP_DECRYPT, CIPHER, PLAIN)]
    {
        work.sendmsg(
            &[IoSlice::new(&unhex(input))],
            &[operation(number), iv.clone()],
            Flags::NONE,
            None,
        )?;
        assert_eq!(hex(&work.recv(100, 0)?), output);
        let (a, b) = input.split_at(32);
        work.sendmsg(
            &[IoSlice::new(&unhex(a))],
            &[operation(number), iv.clone()],
            Flags(MSG_MORE),
            None,
        )?;
        work.send(&unhex(b), 0)?;
        assert_eq!(hex(&work.recv(100, 0)?), output);
    }
    // More than a pipe's worth, as sendall has it.
    let data = pattern(48 * 1024);
    work.sendmsg(&[], &[operation(ALG_OP_ENCRYPT), iv.clone()], Flags(MSG_MORE), None)?;
    work.sendall(&data, Flags::NONE)?;
    let cipher = work.recv(100_000, 0)?;
    assert_eq!(cipher.len(), data.len());
    work.sendmsg(&[], &[operation(ALG_OP_DECRYPT), iv], Flags(MSG_MORE), None)?;
    work.sendall(&cipher, Flags::NONE)?;
    assert_eq!(work.recv(100_000, 0)?, data);
    Ok(())
}
