//! The texts of `--help` that follow the options.

use sandsock_host::policy::{Limits, Verb};

/// What follows the options in `sandsock --help`.
pub(crate) const AFTER_HELP: &str = "\
Exit status: the guest's own status; 134 after a trap; 130 after a second Ctrl-C; 125 for an error of this command;
126 if the component can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --allow 'tcp-connect=*.example.com:443' fetch.wasm www.example.com
  sandsock run --policy server.toml server.wasm
  sandsock python --allow 'tcp-listen=*:50007' echo_server.py
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock compose app.wasm -o whole.wasm
  sandsock inspect server.wasm
  sandsock policy why server.toml tcp-connect=192.0.2.1:443";

/// What follows the options, the verbs and the limits in `sandsock run --help`.
pub(crate) const RUN_HELP: &str = "\
A policy file is TOML:
  allow = [\"tcp-connect=db.example:5432\"]
  deny = [\"tcp-connect=10.0.0.0/8:*\"]
  publish = [\"0.0.0.0:8080=127.0.0.1:80\"]
  include = [\"base.toml\"]
  [sets]
  backends = [\"10.0.0.0/24\", \"db.example\"]
  [limits]
  descriptors = 64
  [resolve]
  \"db.example\" = \"192.0.2.7\"

Write the options before COMPONENT. The guest gets every argument after it.
The first Ctrl-C interrupts the guest's wait on a socket. The second one stops the guest.

A folder of --dir is writable unless it ends in :ro. The command refuses a writable folder that holds a socket named by a rule,
or a file that this command reads or writes, because the guest could replace it.

Exit status: the guest's own status (0 or 1, because WASI 0.2 has no other); 134 after a trap; 130 after a second Ctrl-C;
125 for an error of this command; 126 if the component can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --policy server.toml --deny 'tcp-connect=10.0.0.0/8:*' server.wasm
  sandsock run --allow tcp-connect=db.example:5432 --resolve db.example=192.0.2.7 app.wasm
  sandsock run --dir ./data::/data:ro --env LANG --limit descriptors=64 app.wasm --flag-of-the-guest";

/// What follows the options in `sandsock python --help`.
pub(crate) const PYTHON_HELP: &str = "\
Without SCRIPT, the program is read from standard input. The program gets every argument after SCRIPT, MODULE or CODE.

The program reads its own folder, or with -m and -c the working directory, and the folders of --site. It can write to none of
them, and the command refuses a --dir that would let it. Everything else needs a grant, as under `sandsock run`; see its help.

With --listen, a fresh interpreter serves each connection, which is socket.socket(fileno=0), or with --instances N share the listening
socket, which is socket.socket(fileno=3). `sandsock serve --help` says more.

Exit status: the program's own status; 1 after an exception; 130 after a KeyboardInterrupt or a second Ctrl-C; 2 if the script can't
be opened; 134 after a trap; 125 for an error of this command; 126 if the runner can't be loaded.

Examples:
  sandsock python --allow 'tcp-listen=*:50007' echo_server.py
  sandsock python --allow tcp-connect=example.org:80 client.py
  sandsock python --allow tcp-listen=127.0.0.1:8000 -m http.server 8000 --bind 127.0.0.1
  sandsock python --site ./packages --dir ./data app.py --flag-of-the-program
  sandsock python --listen 127.0.0.1:7000 --max-time 60 handler.py";

/// What follows the options in `sandsock serve --help`.
pub(crate) const SERVE_HELP: &str = "\
Without --instances, a fresh instance serves each connection. The instance has the connection as descriptor 0 (fromfd(0)), and ends
by itself or after --max-time. No instance can see another one's data. If there are --max-connections already, new connections
wait in the kernel's backlog.
With --instances N, N instances stay alive and accept connections themselves. Their listening socket is descriptor 3, as LISTEN_FDS
says. The command restarts an instance that traps or fails.

The command itself listens, so listening needs no grant. Everything else that the guest does needs the same grants as under
`sandsock run`; see its help. Guests write to the command's standard output and error. Their standard input is empty. If nobody
reads an output, guests wait when they write to it, and lines of the command and of observers are dropped and counted.

A guest that traps or computes for long does not disturb the others. At SIGTERM or Ctrl-C the command stops accepting connections.
After --grace seconds it interrupts the guests' waits, and 2 seconds later it stops them. With --instances it interrupts at once,
and stops after --grace. A second signal ends the command at once, with status 128 plus the signal's number.

Examples:
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock serve --listen /run/app.sock --max-connections 100 --grace 30 --policy app.toml app.wasm
  sandsock serve --listen '*:8000' --instances 4 server.wasm
  sandsock serve --listen fd:3 app.wasm        # socket activation";

/// Returns the verbs, what each grants, and examples of its targets, for `--help`.
pub(crate) fn verbs_help() -> String {
    let mut help = String::from(
        "Capabilities (VERB=TARGET, or VERB alone), with examples of their targets:\n",
    );
    for row in Verb::TABLE {
        help.push_str(&format!("  {:<16} {}\n", row.name, row.about));
        if !row.examples.is_empty() {
            help.push_str(&format!("  {:<16}   {}\n", "", row.examples.join("  ")));
        }
    }
    help.push_str(
        "HOST is an address, a network in CIDR form, a name, *.NAME, a set, or * for any address. IPv6 is written in brackets.\n\
         Sets are public (the Internet without this host's own networks), private, loopback, link-local, multicast, and those of --set.\n\
         PORT is a number, a range A-B, or *. In a path, * and ? match within one name, and ** matches folders. @NAME is abstract.\n\
         Nothing is granted by default. A denial overrides every grant.\n",
    );
    help
}

/// Returns the limits and their defaults, for `--help`.
pub(crate) fn limits_help() -> String {
    let mut help = String::from("Limits (--limit NAME=N) and their defaults:\n");
    for row in Limits::TABLE {
        help.push_str(&format!("  {:<22} {:>9}  {}\n", row.name, row.default, row.about));
    }
    help
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, CommandFactory as _};
    use sandsock_tests::docs::{compare, table};

    /// Returns the table of options, except for those of `without` and `--help`.
    fn options(command: &Command, without: Option<&Command>) -> String {
        let rows = command.get_arguments().filter(|arg| !arg.is_positional());
        let rows = rows.filter(|arg| arg.get_id() != "help").filter(|arg| {
            without.is_none_or(|other| other.get_arguments().all(|of| of.get_id() != arg.get_id()))
        });
        table(&["option", ""], rows.map(|arg| vec![usage(arg), about(arg)]))
    }

    fn usage(arg: &Arg) -> String {
        // An option without a long form shows its short one below.
        let short = arg.get_short().filter(|_| arg.get_long().is_some());
        let short = short.map_or(String::new(), |short| format!("`-{short}`, "));
        format!("{short}`{}`", arg.to_string().replace(['<', '>'], "").trim_end_matches("..."))
    }

    fn about(arg: &Arg) -> String {
        let help = arg.get_help().expect("each option has a text").to_string();
        let required = if arg.is_required_set() { ". Required" } else { "" };
        let default = arg.get_default_values().first().filter(|_| arg.get_action().takes_values());
        let default =
            default.map_or(String::new(), |value| format!(". The default is {}", value.display()));
        format!("{help}{required}{default}")
    }

    #[test]
    fn docs_command_options() {
        let mut command = crate::Cli::command();
        command.build();
        let of = |name| command.find_subcommand(name).expect("the subcommand");
        compare(
            "docs/command.md",
            &[
                ("options of run", options(of("run"), None)),
                ("options of python", options(of("python"), Some(of("run")))),
                ("options of serve", options(of("serve"), Some(of("run")))),
                ("options of compose", options(of("compose"), Some(of("run")))),
            ],
        );
    }
}
