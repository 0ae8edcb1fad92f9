//! A permit is for one act; and one that is used once.

use crate::authority::permit::{Create, Permit};
use crate::sys;

fn once(permit: Permit<Create>) {
    let _ = sys::socket(permit);
}

fn twice(permit: Permit<Create>) {
    let _ = sys::socket(permit);
    let _ = sys::socket(permit); //~ E0382
}

fn out_of_a_borrowed_permit(permit: &Permit<Create>) {
    let _ = sys::socket(*permit); //~ E0507
}
