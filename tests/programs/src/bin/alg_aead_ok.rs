//! Authenticated encryption: test case 4 of the GCM specification, in both directions, and the
//! error after a byte was changed.

use sandsock::constants::*;
use sandsock::{Error, Flags, OptionValue};
use sandsock_test_programs::alg::{associated, bound, operation, vector};
use sandsock_test_programs::fails_with;
use sandsock_test_programs::oracle::{hex, unhex};
use std::io::IoSlice;

const KEY: &str = "feffe9928665731c6d6a8f9467308308";
const VECTOR: &str = "cafebabefacedbaddecaf888";
const ASSOCIATED: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const PLAIN: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525\
                     b16aedf5aa0de657ba637b39";
const CIPHER: &str = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05\
                      1ba30b396a0aac973d58e091";
const TAG: &str = "5bc94fbc3221a5db94fae95ae7121a47";

fn main() -> Result<(), Error> {
    let gcm = bound("aead", "gcm(aes)")?;
    gcm.setsockopt(SOL_ALG, ALG_SET_KEY, &unhex(KEY)[..])?;
    // The value is the length of no value.
    gcm.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, OptionValue::Null(16))?;
    let (work, _) = gcm.accept()?;
    let extra = unhex(ASSOCIATED);
    let how = |number| [operation(number), vector(&unhex(VECTOR)), associated(extra.len() as u32)];

    let plain = unhex(PLAIN);
    work.sendmsg(
        &[IoSlice::new(&extra), IoSlice::new(&plain)],
        &how(ALG_OP_ENCRYPT),
        Flags::NONE,
        None,
    )?;
    let sealed = work.recv(extra.len() + plain.len() + 16, 0)?;
    assert_eq!(hex(&sealed), [ASSOCIATED, CIPHER, TAG].concat());

    work.sendmsg(&[IoSlice::new(&sealed)], &how(ALG_OP_DECRYPT), Flags::NONE, None)?;
    let opened = work.recv(extra.len() + plain.len(), 0)?;
    assert_eq!(hex(&opened[extra.len()..]), PLAIN);

    let mut broken = sealed;
    broken[30] ^= 1;
    work.sendmsg(&[IoSlice::new(&broken)], &how(ALG_OP_DECRYPT), Flags::NONE, None)?;
    fails_with(work.recv(extra.len() + plain.len(), 0), "OSError", sandsock::errno::EBADMSG);
    Ok(())
}
