//! The errnos of the CPython in the sandbox, whose numbers are WASI's.

use pyo3::prelude::*;
use sandsock::errno::{self, ERRNOS};

/// The first of the numbers for errnos that WASI lacks.
const ADDED: i32 = 1000;

macro_rules! shared {
    ($($name:ident)*) => {
        /// Linux's number and WASI's of each errno that both have.
        const SHARED: &[(i32, i32)] = &[
            $((errno::$name, libc::$name),)*
            // wasi-libc has no ESHUTDOWN. CPython: `errno.ESHUTDOWN` is EPIPE there.
            (errno::ESHUTDOWN, libc::EPIPE),
        ];
    };
}

shared! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF EBADMSG EBUSY
    ECANCELED ECHILD ECONNABORTED ECONNREFUSED ECONNRESET EDEADLK EDESTADDRREQ EDOM EDQUOT EEXIST
    EFAULT EFBIG EHOSTUNREACH EIDRM EILSEQ EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR ELOOP EMFILE
    EMLINK EMSGSIZE EMULTIHOP ENAMETOOLONG ENETDOWN ENETRESET ENETUNREACH ENFILE ENOBUFS ENODEV
    ENOENT ENOEXEC ENOLCK ENOLINK ENOMEM ENOMSG ENOPROTOOPT ENOSPC ENOSYS ENOTCONN ENOTDIR
    ENOTEMPTY ENOTRECOVERABLE ENOTSOCK ENOTTY ENXIO EOPNOTSUPP EOVERFLOW EOWNERDEAD EPERM EPIPE
    EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EROFS ESPIPE ESRCH ESTALE ETIMEDOUT ETXTBSY EXDEV
}

/// The number of places in [`TABLE`]. Linux's errnos are below it.
const PLACES: usize = 256;

/// WASI's number at the place of Linux's. 0 if WASI lacks the errno.
const TABLE: [i32; PLACES] = {
    let mut table = [0; PLACES];
    let mut at = 0;
    while at < SHARED.len() {
        table[SHARED[at].0 as usize] = SHARED[at].1;
        at += 1;
    }
    table
};

/// Returns WASI's number for an errno of Linux, by its name. An errno that WASI lacks gets 1000 and
/// Linux's number. 0 is no error, and stays 0.
pub(crate) fn to_wasi(linux: i32) -> i32 {
    match usize::try_from(linux).ok().and_then(|place| TABLE.get(place)) {
        _ if linux == 0 => 0,
        Some(&wasi @ 1..) => wasi,
        _ => linux.saturating_add(ADDED),
    }
}

/// Returns the name, the number in this interpreter and glibc's text of each errno of Linux.
#[pyfunction]
pub(crate) fn errnos() -> Vec<(&'static str, i32, &'static str)> {
    ERRNOS.iter().map(|errno| (errno.name, to_wasi(errno.number), errno.text)).collect()
}
