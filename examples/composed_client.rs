//! An app that imports Python's API from a provider: `composed_client HOST PORT TEXT...` talks to
//! an echo server.
//!
//! It does not use the crate `sandsock`. Its bindings are generated from the WIT package, as for
//! any other language. `sandsock run` composes it with the provider by itself, and `sandsock
//! compose` writes the composed component to a file.

mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: r#"
            package example:app;

            world app {
                import sandsock:socket/sockets@0.1.0;
            }
        "#,
        world: "example:app/app",
        generate_all,
    });
}

use bindings::sandsock::socket::sockets::{ConnectionTimeout, Error, Service, create_connection};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((host, port, texts)) = parse(&args) else {
        eprintln!("usage: composed_client HOST PORT TEXT...");
        std::process::exit(1);
    };
    if let Err(error) = talk(host, port, texts) {
        match error {
            // The text names the missing grant.
            Error::Denied(denial) => eprintln!("PermissionError: {}", denial.reason),
            Error::Os(error) => eprintln!("OSError: {}", error.text),
            error => eprintln!("{error:?}"),
        }
        std::process::exit(1);
    }
}

fn talk(host: &str, port: i64, texts: &[String]) -> Result<(), Error> {
    // Tries each address of the host for five seconds.
    let timeout = ConnectionTimeout::Seconds(5.0);
    let socket =
        create_connection(Some(host), Some(&Service::Number(port)), timeout, None, false, None)?;
    for text in texts {
        socket.sendall(text.as_bytes(), 0, None)?;
        let mut back = Vec::new();
        while back.len() < text.len() {
            let part = socket.recv((text.len() - back.len()) as i64, 0, None)?;
            if part.is_empty() {
                eprintln!("the server closed the connection");
                std::process::exit(1);
            }
            back.extend(part);
        }
        println!("{}", String::from_utf8_lossy(&back));
    }
    Ok(())
}

fn parse(args: &[String]) -> Option<(&str, i64, &[String])> {
    match args {
        [host, port, texts @ ..] if !texts.is_empty() => Some((host, port.parse().ok()?, texts)),
        _ => None,
    }
}
