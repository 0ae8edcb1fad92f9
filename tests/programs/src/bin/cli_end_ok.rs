//! Ends as its arguments say: `ok`, `error`, `exit N`, `panic`, `memory MEBIBYTES`, `room
//! MEBIBYTES` (which goes on without the memory).

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["ok"] => Ok(()),
        ["error"] => Err("as told".to_owned()),
        ["exit", status] => std::process::exit(status.parse().expect("a status")),
        ["panic"] => panic!("as told"),
        ["memory", size] => {
            let bytes = vec![1u8; size.parse::<usize>().expect("a number") << 20];
            println!("{}", bytes.len() >> 20);
            Ok(())
        }
        ["room", size] => {
            let mut bytes: Vec<u8> = Vec::new();
            bytes
                .try_reserve_exact(size.parse::<usize>().expect("a number") << 20)
                .expect_err("there is no room");
            Ok(())
        }
        _ => Err(format!("what is {args:?}?")),
    }
}
