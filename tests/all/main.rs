//! The suites. A guest program and its test share a name, `<suite>_<operation>_<outcome>`; a suite is a file here.

mod inet;

mod pairs {
    include!(concat!(env!("OUT_DIR"), "/pairs.rs"));
}
