//! A permit that other code makes itself.

use crate::authority::permit::{Create, Permit};
use crate::sys;

fn made_by_hand(act: Create) {
    let permit = Permit { act, generation: 0 }; //~ E0451
    let _ = sys::socket(permit);
}
