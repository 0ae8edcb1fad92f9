//! Ends as it is told: `ok`, `error`, `exit N`, `panic`.

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["ok"] => Ok(()),
        ["error"] => Err("as told".to_owned()),
        ["exit", status] => std::process::exit(status.parse().expect("a status")),
        ["panic"] => panic!("as told"),
        _ => Err(format!("what is {args:?}?")),
    }
}
