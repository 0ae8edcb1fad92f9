//! The suites. A guest program and its test share a name, `<suite>_<operation>_<outcome>`; a suite is a file here.

mod aio;
mod ancillary;
mod batch;
mod bench;
mod cli;
mod files;
mod inet;
mod ioctl;
mod limits;
mod multicast;
mod names;
mod netlink;
mod option;
mod oracle;
mod packet;
mod policy;
mod poller;
mod provider;
mod raw;
mod selectors;
mod serve;
mod timeout;
mod unix;
mod wait;

mod pairs {
    include!(concat!(env!("OUT_DIR"), "/pairs.rs"));
}
