//! An app on Python's API, which a provider fulfils: `composed_client HOST PORT TEXT...` talks to
//! an echo server.
//!
//! It knows nothing of the crate `sandsock`: its bindings are made of the WIT package, as those of
//! any language are, and `sandsock run` composes it with the provider by itself (`sandsock compose`
//! writes the composed component down).

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
            // The grant that is missing is in the text.
            Error::Denied(denial) => eprintln!("PermissionError: {}", denial.reason),
            Error::Os(error) => eprintln!("OSError: {}", error.text),
            error => eprintln!("{error:?}"),
        }
        std::process::exit(1);
    }
}

fn talk(host: &str, port: i64, texts: &[String]) -> Result<(), Error> {
    // Each address of the host is tried, for five seconds each.
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
