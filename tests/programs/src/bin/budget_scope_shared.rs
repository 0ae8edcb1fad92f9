//! Sends until the budget is used up, and prints how many bytes went. Argument: the peer's port.

use sandsock::raw::transfers::send;
use sandsock::raw::types::Wait;
use sandsock_test_programs::argument;
use sandsock_test_programs::budget::{connection, refused};

fn main() {
    let d = connection(argument(0)).expect("connects");
    let mut total = 0;
    for _ in 0..3 {
        match send(&d, &[7; 20], 0, Wait::Forever) {
            Ok(count) => total += count,
            refusal => {
                refused(refusal, "has no bytes left");
                break;
            }
        }
    }
    println!("{total}");
}
