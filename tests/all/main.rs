//! The suites. A guest program and its test share a name, `<suite>_<operation>_<outcome>`; a suite
//! is a file here.

mod aio;
mod alg;
mod ancillary;
mod apps;
mod ask;
#[path = "../attacks/host/mod.rs"]
mod attacks;
mod batch;
mod bench;
mod bluetooth;
mod budget;
mod can;
mod cli;
mod docs;
mod family;
mod files;
mod harden;
mod inet;
mod ioctl;
mod kernel;
mod learn;
mod limits;
mod multicast;
mod names;
mod netlink;
mod observe;
mod option;
mod oracle;
mod packet;
mod policy;
mod policy_tools;
mod poller;
mod provider;
mod python;
mod qipcrtr;
mod raw;
mod rds;
mod recipes;
mod rights;
mod schema;
mod selectors;
mod serve;
mod snapshot;
mod threads;
mod timeout;
mod tipc;
mod tls;
mod unix;
mod vsock;
mod wait;
mod wasi;
mod wasi3;

mod pairs {
    sandsock_tests::pairs!();
}

#[test]
fn command_is_this_build() {
    assert_eq!(sandsock_tests::command(), std::path::Path::new(env!("CARGO_BIN_EXE_sandsock")));
}
