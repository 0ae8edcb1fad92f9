//! The errnos of the CPython in the sandbox, whose numbers are WASI's.

/// Returns WASI's number for an errno of Linux, by its name. A name that WASI lacks gets 1000 and
/// Linux's number.
pub(crate) fn to_wasi(linux: i32) -> i32 {
    linux.saturating_add(1000)
}
