//! Does what one verb is about; its grant is there.

#[allow(dead_code)]
#[path = "../attack.rs"]
mod attack;

fn main() -> sandsock::Result<()> {
    let args = attack::args();
    attack::act(&args[0], &args[1])
}
