//! Does the act of one verb with its grant.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    let args = attack::args();
    attack::act(&args[0], &args[1])
}
