//! The kernel's random numbers: seeded, and not the same twice.

use sandsock::Error;
use sandsock::constants::*;
use sandsock_test_programs::alg::bound;

fn main() -> Result<(), Error> {
    let rng = bound("rng", "stdrng")?;
    // The key is the seed.
    rng.setsockopt(SOL_ALG, ALG_SET_KEY, &[7; 48])?;
    let (work, _) = rng.accept()?;
    let (a, b) = (work.recv(32, 0)?, work.recv(32, 0)?);
    assert_eq!((a.len(), b.len()), (32, 32));
    assert_ne!(a, b);
    Ok(())
}
