//! AF_ALG's options that are not ordinary, and control messages that must not be sent.

use sandsock::constants::*;
use sandsock::{Ancillary, Error, Flags};
use sandsock_test_programs::alg::bound;
use sandsock_test_programs::needs;
use std::io::IoSlice;

fn main() -> Result<(), Error> {
    let rng = bound("rng", "stdrng")?;
    needs(
        rng.setsockopt(SOL_ALG, ALG_SET_DRBG_ENTROPY, &[0; 32]),
        "option=SOL_ALG/ALG_SET_DRBG_ENTROPY",
    );
    // A key of the host's own keyring: never.
    needs(rng.setsockopt(SOL_ALG, ALG_SET_KEY_BY_KEY_SERIAL, 1), None);
    needs(rng.setsockopt(SOL_ALG, 99, 1), None);
    let (work, _) = rng.accept()?;
    let message = Ancillary { level: SOL_ALG, kind: 99, data: vec![0; 4] };
    needs(work.sendmsg(&[IoSlice::new(b"x")], &[message], Flags::NONE, None), None);
    Ok(())
}
