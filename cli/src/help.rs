//! The texts of `--help` that follow the options.

use sandsock_host::policy::{Limits, Verb};

/// What follows the options in `sandsock --help`.
pub(crate) const AFTER_HELP: &str = "\
Exit status: the guest's own; 134 after a trap, 130 after a second Ctrl-C; 125 for an error of this command, 126 for a component
that can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --allow 'tcp-connect=*.example.com:443' fetch.wasm www.example.com
  sandsock run --policy server.toml server.wasm
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock compose app.wasm -o whole.wasm
  sandsock inspect server.wasm";

/// What follows the options, the verbs and the limits in `sandsock run --help`.
pub(crate) const RUN_HELP: &str = "\
A policy file is TOML:
  allow = [\"tcp-connect=db.example:5432\"]
  deny = [\"tcp-connect=10.0.0.0/8:*\"]
  publish = [\"0.0.0.0:8080=127.0.0.1:80\"]
  [limits]
  descriptors = 64
  [resolve]
  \"db.example\" = \"192.0.2.7\"

Options stand before COMPONENT; what follows it is the guest's.
Ctrl-C interrupts the guest's wait on a socket; a second one stops the guest.

A folder of --dir is writable unless it ends in :ro. A writable folder must not hold sockets that a rule names, nor files that this
command reads or writes, because the guest could replace them; such a folder is refused.

Exit status: the guest's own (0 or 1: WASI 0.2 carries no more), 134 after a trap, 130 after a second Ctrl-C;
125 for an error of this command, 126 for a component that can't be loaded.

Examples:
  sandsock run --allow tcp-listen=127.0.0.1:7777 echo_server.wasm 127.0.0.1 7777
  sandsock run --policy server.toml --deny 'tcp-connect=10.0.0.0/8:*' server.wasm
  sandsock run --allow tcp-connect=db.example:5432 --resolve db.example=192.0.2.7 app.wasm
  sandsock run --dir ./data::/data:ro --env LANG --limit descriptors=64 app.wasm --flag-of-the-guest";

/// What follows the options in `sandsock serve --help`.
pub(crate) const SERVE_HELP: &str = "\
Without --instances each connection is served by a fresh instance, which has it as descriptor 0 (fromfd(0)) and ends when it
likes, or after --max-time; nothing of one is left to the next. Beyond --max-connections new ones wait in the kernel's backlog.
With --instances N instances live on and accept for themselves: the listening socket is descriptor 3, told by LISTEN_FDS.
One that traps or fails is started anew.

Listening takes no grant: it is this command that listens. All else that the guest does takes the grants of `sandsock run`,
see its help. Standard output and error are the command's; standard input is empty. If nobody reads an output, a guest that writes
to it waits, and lines of the command and of observers are dropped and counted.

A trap, or a guest that computes, harms no other. SIGTERM or Ctrl-C: no more connections are accepted; after --grace seconds the
guests' waits are interrupted, and 2 seconds later they are stopped (with --instances they are interrupted at once, and stopped
after --grace). A second signal ends the command at once, with status 128 and its number.

Examples:
  sandsock serve --listen 127.0.0.1:7782 hello_http.wasm
  sandsock serve --listen /run/app.sock --max-connections 100 --grace 30 --policy app.toml app.wasm
  sandsock serve --listen '*:8000' --instances 4 server.wasm
  sandsock serve --listen fd:3 app.wasm        # socket activation";

/// The verbs, what each grants, and examples of its targets, for `--help`.
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
        "HOST is an address, a CIDR, a name, *.name or * (any address); IPv6 stands in brackets; PORT is a number, a range A-B or *.\n\
         In a path, * and ? stand for characters of a name, ** for folders; @NAME is abstract.\n\
         Nothing is granted by default. A denial wins over every grant.\n",
    );
    help
}

/// The limits and their defaults, for `--help`.
pub(crate) fn limits_help() -> String {
    let mut help = String::from("Limits (--limit NAME=N) and their defaults:\n");
    for row in Limits::TABLE {
        help.push_str(&format!("  {:<22} {:>9}  {}\n", row.name, row.default, row.about));
    }
    help
}
