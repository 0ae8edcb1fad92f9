//! Calls that lack the permit of their act; and one that has it.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::authority::permit::{Create, Listen, Permit};
use crate::sys;

fn with_permit(permit: Permit<Create>) -> Result<OwnedFd, Errno> {
    sys::socket(permit)
}

fn without_permit() {
    let _ = sys::socket(); //~ E0061
}

fn with_the_act_alone(act: Create) {
    let _ = sys::socket(act); //~ E0308
}

fn with_the_permit_of_another_act(permit: Permit<Listen>) {
    let _ = sys::socket(permit); //~ E0308
}

fn with_a_borrowed_permit(permit: &Permit<Create>) {
    let _ = sys::socket(permit); //~ E0308
}

fn with_a_copy_of_a_permit(permit: &Permit<Create>) {
    let _ = sys::socket(permit.clone()); //~ E0308
    let _: Permit<Create> = Clone::clone(permit); //~ E0277
    let _: Permit<Create> = Default::default(); //~ E0277
}

fn with_another_act_in_the_permit(mut permit: Permit<Create>, act: Create) {
    permit.act = act; //~ E0616
}

fn listens_without(fd: BorrowedFd<'_>) {
    let _ = sys::listen(fd); //~ E0061
}
