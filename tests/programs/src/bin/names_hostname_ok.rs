//! Prints this host's name. With an argument, sets the name first.

fn main() -> sandsock::Result<()> {
    if let Some(name) = std::env::args().nth(1) {
        sandsock::sethostname(name)?;
    }
    println!("{} {}", sandsock::gethostname(), sandsock::getfqdn("")?);
    Ok(())
}
