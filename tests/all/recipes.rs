//! The recipes of `docs/recipes.md`: each runs under exactly the policy in the page, in a network
//! namespace of its own, and can do nothing else.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sandsock_host::policy::{Policy, PolicyBuilderExt as _, schema};
use sandsock_tests::netns::Namespace;
use sandsock_tests::{command, guest_path, root, skip, target};

/// The time that a recipe may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The recipes, each with the test of its own below.
const RECIPES: [&str; 12] = [
    "A web client for one host",
    "A client of the Internet",
    "A web server",
    "A database client",
    "A resolver",
    "Ping",
    "A sniffer",
    "A CAN node",
    "A UNIX plugin",
    "An event loop",
    "Nothing at all",
    "A client that can't send much",
];

fn page() -> String {
    std::fs::read_to_string(root().join("docs/recipes.md")).expect("the page")
}

/// A recipe of the page.
struct Recipe {
    policy: String,
    script: String,
    /// The arguments behind `sandsock`.
    arguments: Vec<String>,
}

/// Returns what a fenced block of a language holds.
fn block(section: &str, language: &str) -> Option<String> {
    let (_, rest) = section.split_once(&format!("```{language}\n"))?;
    Some(rest.split("```").next().expect("the block ends").to_owned())
}

fn recipe(title: &str) -> Recipe {
    let page = page();
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(title));
    let section = section.unwrap_or_else(|| panic!("no recipe {title}"));
    let line = section.lines().find_map(|line| line.strip_prefix("    sandsock "));
    Recipe {
        policy: block(section, "toml").expect("a policy"),
        script: block(section, "python").unwrap_or_default(),
        arguments: line.expect("a command").split(' ').map(str::to_owned).collect(),
    }
}

/// A namespace and a folder in which a recipe runs.
struct Place {
    network: Namespace,
    folder: tempfile::TempDir,
    recipe: Recipe,
}

/// Makes the place of a recipe. None, after a skip, if it can't be run here.
fn place(test: &str, title: &str) -> Option<Place> {
    let recipe = recipe(title);
    if recipe.arguments[0] == "python" && !target().join("python/version").exists() {
        skip(test, "no target/python/runner.wasm; `make python` builds it");
        return None;
    }
    let network = match Namespace::new() {
        Ok(network) => network,
        Err(reason) => {
            skip(test, &reason);
            return None;
        }
    };
    for address in ["10.0.0.5/32", "10.0.0.53/32"] {
        network.ip(&format!("address add {address} dev lo")).expect("an address");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("policy.toml"), &recipe.policy).expect("writes");
    Some(Place { network, folder, recipe })
}

impl Place {
    /// Returns the recipe's command, with a script in place of the page's if one is given.
    fn command(&self, script: Option<&str>) -> Command {
        let mut arguments = self.recipe.arguments.clone();
        let kind = arguments.remove(0);
        let mut run = Command::new(command());
        run.current_dir(self.folder.path()).arg(&kind).args(["--netns", self.network.name()]);
        if kind == "python" {
            run.arg("--runner").arg(target().join("python"));
            let text = script.unwrap_or(&self.recipe.script);
            std::fs::write(self.folder.path().join("program.py"), text).expect("writes");
        }
        for argument in arguments {
            match argument.strip_suffix(".wasm") {
                Some(name) => run.arg(guest_path(name)),
                None => run.arg(argument),
            };
        }
        run
    }

    /// Runs the recipe to its end, and returns its output.
    #[track_caller]
    fn output(&self, script: Option<&str>) -> String {
        let mut run = assert_cmd::Command::from_std(self.command(script));
        let output = run.timeout(LIMIT).output().expect("runs");
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
        out.trim().to_owned()
    }

    /// Checks that a script which uses `socket` is refused under the recipe's policy.
    #[track_caller]
    fn refuses(&self, acts: &[&str]) {
        let mut script = String::from("import socket\n");
        for act in acts {
            writeln!(
                script,
                "try:\n    {act}\n    print('done: ', {act:?})\nexcept PermissionError:\n    print('refused')"
            )
            .expect("a string");
        }
        let refused = vec!["refused"; acts.len()].join("\n");
        assert_eq!(self.output(Some(&script)), refused, "{acts:?}");
    }
}

/// Answers one line of one connection.
fn answer_once(listener: TcpListener, reply: &'static str) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a line");
        stream.write_all(reply.as_bytes()).expect("writes");
        line.trim().to_owned()
    })
}

#[test]
fn recipes_are_all_tested() {
    let page = page();
    let titles: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(titles, RECIPES);
    for title in RECIPES {
        let mut builder = Policy::builder();
        builder.base_directory("/").expect("a directory");
        builder.file_text(Path::new(title), &recipe(title).policy).expect("a policy");
        let warnings = builder.build().warnings();
        assert!(warnings.is_empty(), "{title}: {warnings:?}");
    }
}

#[test]
fn recipes_and_examples_fit_the_schema() {
    let mut check = Command::new("python3");
    check.args(["-c", "import jsonschema, tomllib"]);
    if !check.output().is_ok_and(|output| output.status.success()) {
        return skip(
            "recipes_and_examples_fit_the_schema",
            "python3 has no jsonschema; `pip install jsonschema` installs it",
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (at, title) in RECIPES.iter().enumerate() {
        let path = folder.path().join(format!("{at}.toml"));
        std::fs::write(path, recipe(title).policy).expect("writes");
    }
    // What the parser refuses, and the schema too.
    let wrong = folder.path().join("wrong");
    std::fs::create_dir(&wrong).expect("a folder");
    for (at, text) in [
        "allows = []",
        "allow = ['tcp-conect=*:1']",
        "allow = ['interfaces=x']",
        "allow = [1]",
        "[[allow]]\ntarget = '*:1'",
        "[[allow]]\nverb = 'tcp-connect'",
        "[[allow]]\nverb = 'tcp-connect'\ntarget = '*:1'\nrat = '1/s'",
        "[[allow]]\nverb = 'tcp-connect'\ntarget = '*:1'\nrate = '1'",
        "[[allow]]\nverb = 'udp-send'\ntarget = '*:1'\nconnections = 1",
        "[[deny]]\nverb = 'tcp-connect'\ntarget = '*:1'\nbytes = 1",
        "[limits]\ndescriptors = -1",
        "[sets]\nA = ['10.0.0.1']",
    ]
    .iter()
    .enumerate()
    {
        assert!(Policy::builder().file_text(Path::new("p"), text).is_err(), "{text}");
        std::fs::write(wrong.join(format!("{at}.toml")), text).expect("writes");
    }
    let all = "[sets]\na = ['10.0.0.1']\n[limits]\ndescriptors = 1\n[resolve]\n'b.c' = ['::1']\n[[allow]]\n\
               verb = 'tcp-connect'\ntarget = 'a:1'\nrate = '1MiB/s'\nbytes = 5\nconnections = 3\n\
               scope = 'command'\n[[deny]]\nverb = 'interfaces'";
    Policy::builder().file_text(Path::new("p"), all).expect("a policy");
    std::fs::write(folder.path().join("all.toml"), all).expect("writes");
    let script = "
import json, pathlib, sys, tomllib
import jsonschema
schema = json.loads(sys.stdin.read())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
valid = lambda path: validator.is_valid(tomllib.loads(path.read_text()))
good = [path for folder in sys.argv[1:] for path in pathlib.Path(folder).glob('*.toml')]
bad = list((pathlib.Path(sys.argv[1]) / 'wrong').glob('*.toml'))
print(len(good), len(bad))
print([str(path) for path in good if not valid(path)], [path.read_text() for path in bad if valid(path)])
";
    let mut run = assert_cmd::Command::new("python3");
    run.args(["-c", script]).arg(folder.path()).arg(root().join("examples/policies"));
    let output = run.write_stdin(schema()).timeout(LIMIT).output().expect("runs");
    let out = String::from_utf8_lossy(&output.stdout);
    let mut lines = out.lines();
    let counts: Vec<usize> = lines
        .next()
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
        .split(' ')
        .map(|count| count.parse().expect("a number"))
        .collect();
    assert!(counts[0] > RECIPES.len() + 10 && counts[1] == 12, "{counts:?}");
    assert_eq!(lines.next(), Some("[] []"));
}

#[test]
fn recipe_of_a_web_client_reaches_one_host() {
    let Some(place) = place("recipe_of_a_web_client_reaches_one_host", RECIPES[0]) else { return };
    let listener = place.network.run(|| TcpListener::bind("127.0.0.1:80").expect("binds"));
    let server = answer_once(listener, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(place.output(None), "hello");
    assert_eq!(server.join().expect("it ends"), "GET / HTTP/1.1");
    place.refuses(&[
        "socket.create_connection(('api.example', 81))",
        "socket.create_connection(('127.0.0.2', 80))",
        "socket.getaddrinfo('other.example', 80)",
        "socket.create_server(('127.0.0.1', 80))",
    ]);
}

#[test]
fn recipe_of_the_internet_reaches_nothing_near() {
    let Some(place) = place("recipe_of_the_internet_reaches_nothing_near", RECIPES[1]) else {
        return;
    };
    let said =
        "127.0.0.1 is refused\n10.0.0.1 is refused\n169.254.169.254 is refused\n8.8.8.8 is allowed";
    assert_eq!(place.output(None), said);
    // This host's own networks are not public, whatever their numbers are.
    place.network.ip("address add 8.8.8.1/24 dev lo").expect("an address");
    place.refuses(&[
        "socket.create_connection(('8.8.8.8', 443))",
        "socket.create_connection(('1.1.1.1', 22))",
    ]);
}

/// A server of the command that is killed at its end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn recipe_of_a_web_server_listens_at_one_place() {
    let Some(place) = place("recipe_of_a_web_server_listens_at_one_place", RECIPES[2]) else {
        return;
    };
    let mut run = place.command(None);
    let _server = Server(run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"));
    let page = place.network.run(|| {
        let deadline = Instant::now() + LIMIT;
        let mut stream = loop {
            match TcpStream::connect("127.0.0.1:8000") {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50))
                }
                Err(error) => panic!("no server: {error}"),
            }
        };
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("writes");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("reads");
        page
    });
    assert!(page.starts_with("HTTP/1.0 200 OK"), "{page}");
    let script = Place {
        recipe: Recipe {
            arguments: ["python", "--policy", "policy.toml", "program.py"]
                .map(str::to_owned)
                .to_vec(),
            ..recipe(RECIPES[2])
        },
        ..place
    };
    script.refuses(&[
        "socket.create_server(('127.0.0.1', 8001))",
        "socket.create_server(('0.0.0.0', 8000))",
        "socket.create_connection(('127.0.0.1', 8000))",
    ]);
}

#[test]
fn recipe_of_a_database_client_reaches_the_database() {
    let Some(place) = place("recipe_of_a_database_client_reaches_the_database", RECIPES[3]) else {
        return;
    };
    let listener = place.network.run(|| TcpListener::bind("10.0.0.5:5432").expect("binds"));
    let server = answer_once(listener, "1\n");
    assert_eq!(place.output(None), "1");
    assert_eq!(server.join().expect("it ends"), "select 1");
    place.refuses(&[
        "socket.create_connection(('10.0.0.5', 5433))",
        "socket.create_connection(('10.0.0.53', 5432))",
    ]);
}

#[test]
fn recipe_of_a_resolver_asks_one_server() {
    let Some(place) = place("recipe_of_a_resolver_asks_one_server", RECIPES[4]) else { return };
    let socket = place.network.run(|| UdpSocket::bind("10.0.0.53:53").expect("binds"));
    let server = std::thread::spawn(move || {
        let mut query = [0; 512];
        let (length, from) = socket.recv_from(&mut query).expect("a query");
        let mut answer = query[..length].to_vec();
        answer.extend([192, 0, 2, 7]);
        socket.send_to(&answer, from).expect("sends");
    });
    assert_eq!(place.output(None), "192.0.2.7");
    server.join().expect("it ends");
    let udp = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x',";
    place.refuses(&[
        &format!("{udp} ('10.0.0.53', 54))"),
        &format!("{udp} ('10.0.0.5', 53))"),
        "socket.getaddrinfo('db.example', 53)",
    ]);
}

#[test]
fn recipe_of_ping_is_answered() {
    let Some(place) = place("recipe_of_ping_is_answered", RECIPES[5]) else { return };
    let said = place.output(None);
    assert!(said.ends_with("1 sent, 1 answered"), "{said}");
    let mut other = place.recipe.arguments.clone();
    for argument in &mut other {
        if argument == "10.0.0.5" {
            *argument = "127.0.0.1".to_owned();
        }
    }
    let other = Place { recipe: Recipe { arguments: other, ..recipe(RECIPES[5]) }, ..place };
    let output = other.command(None).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("raw=icmp:127.0.0.1"), "{stderr}");
}

#[test]
fn recipe_of_a_sniffer_sees_one_interface() {
    let Some(place) = place("recipe_of_a_sniffer_sees_one_interface", RECIPES[6]) else { return };
    let mut run = place.command(None);
    let mut sniffer = Server(run.stdout(Stdio::piped()).spawn().expect("starts"));
    let stdout = sniffer.0.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map(|line| line.expect("text"));
    assert_eq!(lines.next().as_deref(), Some("listening on lo"));
    place.network.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        socket.send_to(b"seen", "127.0.0.1:4242").expect("sends");
    });
    let line = lines.next().expect("a packet");
    assert!(line.contains("4242"), "{line}");
}

#[test]
fn recipe_of_a_can_node_answers() {
    // The booted kernel runs the example under its own policy, which is the recipe's.
    let rules = |text: &str| {
        let mut builder = Policy::builder();
        builder.file_text(Path::new("p"), text).expect("a policy");
        builder.build().allowed().to_vec()
    };
    let example = std::fs::read_to_string(root().join("examples/policies/can_node.toml"));
    assert_eq!(rules(&recipe(RECIPES[7]).policy), rules(&example.expect("the example")));
    let test = "recipe_of_a_can_node_answers";
    let Some(place) = place(test, RECIPES[7]) else { return };
    if let Err(reason) = place.network.ip("link add vcan0 type vcan") {
        return skip(test, &format!("{reason}; `make test-kernel` runs the example"));
    }
    place.network.ip("link set vcan0 up").expect("it goes up");
    let mut run = place.command(None);
    let mut node = Server(run.stdout(Stdio::piped()).spawn().expect("starts"));
    let stdout = node.0.stdout.take().expect("it is piped");
    assert!(BufReader::new(stdout).lines().next().is_some_and(|line| line.is_ok()));
}

#[test]
fn recipe_of_a_unix_plugin_reaches_its_host() {
    let Some(place) = place("recipe_of_a_unix_plugin_reaches_its_host", RECIPES[8]) else { return };
    let app = place.folder.path().join("app");
    std::fs::create_dir(&app).expect("a folder");
    let listener = UnixListener::bind(app.join("plugin.sock")).expect("binds");
    let _other = UnixListener::bind(app.join("other.sock")).expect("binds");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the plugin");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a line");
        stream.write_all(b"welcome\n").expect("writes");
        line
    });
    assert_eq!(place.output(None), "welcome");
    assert_eq!(server.join().expect("it ends"), "ready\n");
    place.refuses(&[
        "socket.socket(socket.AF_UNIX).connect('app/other.sock')",
        "socket.socket(socket.AF_UNIX).connect('app/../app/plugin.sock')",
        "socket.socket(socket.AF_UNIX).bind('app/new.sock')",
    ]);
}

#[test]
fn recipe_of_an_event_loop_serves_itself() {
    let Some(place) = place("recipe_of_an_event_loop_serves_itself", RECIPES[9]) else { return };
    assert_eq!(place.output(None), "A B C");
    place.refuses(&["socket.create_server(('127.0.0.1', 8889))"]);
}

#[test]
fn recipe_of_nothing_gets_nothing() {
    let Some(place) = place("recipe_of_nothing_gets_nothing", RECIPES[10]) else { return };
    let said = place.output(None);
    assert!(said.contains("tcp-connect=127.0.0.1:80"), "{said}");
    place.refuses(&[
        "socket.getaddrinfo('localhost', 80)",
        "socket.create_server(('127.0.0.1', 0))",
        "socket.socket(socket.AF_UNIX).connect('/run/x')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 1))",
    ]);
}

#[test]
fn recipe_of_a_budget_bounds_a_client() {
    let Some(place) = place("recipe_of_a_budget_bounds_a_client", RECIPES[11]) else { return };
    let listener = place.network.run(|| TcpListener::bind("127.0.0.1:80").expect("binds"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("reads");
        all.len()
    });
    let said = place.output(None);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].contains("allows 1 at once, and it is open; close one first"), "{said}");
    assert!(lines[1].starts_with("1000 ") && lines[1].contains("has no bytes left"), "{said}");
    assert_eq!(server.join().expect("it ends"), 1000);
    place.refuses(&["socket.create_connection(('api.example', 81))"]);
}
