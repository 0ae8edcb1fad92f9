//! Prints its environment: arguments, variables, a folder, standard input.

use std::io::Read;

fn main() -> std::io::Result<()> {
    println!("args {:?}", std::env::args().collect::<Vec<_>>());
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    println!("env {variables:?}");
    match std::fs::read_to_string("/given/file") {
        Ok(text) => {
            println!("file {text:?}");
            std::fs::write("/given/made", text)?;
        }
        Err(error) => println!("no file: {:?}", error.kind()),
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    println!("stdin {input:?}");
    eprintln!("complaint");
    Ok(())
}
