//! Shows this host's name; with an argument, sets it before.

fn main() -> sandsock::Result<()> {
    if let Some(name) = std::env::args().nth(1) {
        sandsock::sethostname(name)?;
    }
    println!("{} {}", sandsock::gethostname(), sandsock::getfqdn("")?);
    Ok(())
}
