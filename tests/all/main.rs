//! The suites. A guest program and its test share a name, `<suite>_<operation>_<outcome>`; a suite is a file here.

mod aio;
mod ancillary;
mod batch;
mod bench;
mod cli;
mod files;
mod inet;
mod limits;
mod names;
mod oracle;
mod policy;
mod poller;
mod selectors;
mod serve;
mod timeout;
mod unix;
mod wait;

mod pairs {
    include!(concat!(env!("OUT_DIR"), "/pairs.rs"));
}
