//! An HTTP client on minreq, which uses std::net: it gets a URL and prints the answer.

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    match minreq::get(&url).send() {
        Ok(response) => print!("{} {}", response.status_code, response.as_str().expect("text")),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
