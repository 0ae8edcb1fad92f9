//! Hashes and keyed hashes: in one message and in parts, of nothing, of a mebibyte, from a state
//! that was copied.

use sandsock::constants::*;
use sandsock::{Address, Error, Flags};
use sandsock_test_programs::alg::bound;
use sandsock_test_programs::oracle::hex;
use sandsock_test_programs::pattern;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// RFC 4231, test case 2.
const KEYED: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

fn main() -> Result<(), Error> {
    let sha256 = bound("hash", "sha256")?;
    let (work, peer) = sha256.accept()?;
    assert_eq!(peer, Address::None);
    work.sendall(b"abc", Flags::NONE)?;
    assert_eq!(hex(&work.recv(512, 0)?), ABC);
    // In parts, and once more with the same socket.
    for part in [b"a", b"b", b"c"] {
        work.send(part, MSG_MORE)?;
    }
    // Its state goes on in a copy.
    let (copy, _) = work.accept()?;
    assert_eq!(hex(&work.recv(32, 0)?), ABC);
    assert_eq!(hex(&copy.recv(100_000, 0)?), ABC);
    // Cut, as MSG_TRUNC says.
    work.send(b"abc", 0)?;
    let cut = work.recvmsg(4, 0, Flags::NONE)?;
    assert_eq!(hex(&cut.data), ABC[..8]);
    assert!(cut.flags.contains(Flags::TRUNC), "{:?}", cut.flags);
    // The hash of nothing.
    work.send(b"", 0)?;
    assert_eq!(hex(&work.recv(32, 0)?), EMPTY);

    // A mebibyte, which is the same whichever way it comes.
    let data = pattern(1 << 20);
    let whole = || -> Result<Vec<u8>, Error> {
        work.sendall(&data, Flags::NONE)?;
        work.recv(32, 0)
    };
    let parts = || -> Result<Vec<u8>, Error> {
        for part in data.chunks(10_000) {
            work.sendall(part, Flags(MSG_MORE))?;
        }
        work.send(b"", 0)?;
        work.recv(32, 0)
    };
    println!("{}", hex(&whole()?));
    assert_eq!(whole()?, parts()?);

    let hmac = bound("hash", "hmac(sha256)")?;
    hmac.setsockopt(SOL_ALG, ALG_SET_KEY, b"Jefe")?;
    let (work, _) = hmac.accept()?;
    work.sendall(b"what do ya want for nothing?", Flags::NONE)?;
    assert_eq!(hex(&work.recv(32, 0)?), KEYED);
    Ok(())
}
