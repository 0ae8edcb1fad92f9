//! The kernel hashes and encrypts a file: whole, in part, empty, in more than one step of the
//! host's.

use sandsock::constants::*;
use sandsock::{Error, File, Flags};
use sandsock_test_programs::alg::{bound, operation, vector};
use sandsock_test_programs::pattern;

/// More than one step of the host's, which is 1 MiB.
const LARGE: usize = (3 << 20) + 12_345;

fn main() -> Result<(), Error> {
    let hash = bound("hash", "sha256")?;
    let (work, _) = hash.accept()?;
    let large = pattern(LARGE);
    let digest = |data: &[u8]| -> Result<Vec<u8>, Error> {
        let (work, _) = hash.accept()?;
        work.sendall(data, Flags::NONE)?;
        work.recv(32, 0)
    };
    let file = File::open("/data/large")?;
    for (offset, count) in [(0, None), (5000, Some(2 << 20)), (0, Some(100_000)), (3, Some(1))] {
        let sent = work.sendfile(&file, offset, count)?;
        let end = count.map_or(LARGE, |count| (offset + count) as usize);
        assert_eq!(sent, end as u64 - offset);
        assert_eq!(file.tell()?, end as u64);
        assert!(work.recv(32, 0)? == digest(&large[offset as usize..end])?, "{offset} {count:?}");
    }
    assert_eq!(work.sendfile(&File::open("/data/empty")?, 0, None)?, 0);
    assert_eq!(work.recv(32, 0)?, digest(b"")?);

    // A cipher encrypts and decrypts whole blocks.
    let cipher = bound("skcipher", "cbc(aes)")?;
    cipher.setsockopt(SOL_ALG, ALG_SET_KEY, &[7; 16])?;
    let run = |op: i32,
               send: &dyn Fn(&sandsock::Socket) -> Result<(), Error>|
     -> Result<Vec<u8>, Error> {
        let (work, _) = cipher.accept()?;
        work.sendmsg(&[], &[operation(op), vector(&[9; 16])], Flags(MSG_MORE), None)?;
        send(&work)?;
        work.recv(16_384, 0)
    };
    let file = File::open("/data/large")?;
    let secret = run(ALG_OP_ENCRYPT, &|work| work.sendfile(&file, 0, Some(16_384)).map(drop))?;
    assert_eq!(secret.len(), 16_384);
    let clear = run(ALG_OP_DECRYPT, &|work| work.sendall(&secret, Flags::NONE))?;
    assert!(clear == large[..16_384]);
    Ok(())
}
