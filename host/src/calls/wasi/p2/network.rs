//! `wasi:sockets/network` and `instance-network`.

use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::Error as StreamError;

use super::types::ErrorCode;
use crate::calls::wasi::error;
use crate::ctx::SandsockCtxView;
use crate::observe::{Identify, Identity};

/// WIT `network`. It has no state: the policy belongs to the context.
pub(crate) struct Network;

impl Identify for Network {
    fn identify(_: &Resource<Self>, _: &wasmtime::component::ResourceTable) -> Identity {
        Identity::Type("network")
    }
}

/// WIT `instance-network`.
pub(crate) fn instance_network(
    view: &mut SandsockCtxView<'_>,
) -> wasmtime::Result<Resource<Network>> {
    Ok(view.table.push(Network)?)
}

/// WIT `network-error-code`. The error may be one of another interface's stream.
pub(crate) fn network_error_code(
    view: &mut SandsockCtxView<'_>,
    error: Resource<StreamError>,
) -> wasmtime::Result<Option<ErrorCode>> {
    Ok(code_of(view.table.get(&error)?).map(ErrorCode::from))
}

/// Returns the code of an error that is about a network.
fn code_of(error: &StreamError) -> Option<error::ErrorCode> {
    let own = error.downcast_ref::<error::ErrorCode>().copied();
    own.or_else(|| {
        let error = error.downcast_ref::<std::io::Error>()?;
        Some(Errno::from_io_error(error)?.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_that_of_the_stream() {
        let own = StreamError::new(error::ErrorCode::ConnectionReset);
        assert_eq!(code_of(&own), Some(error::ErrorCode::ConnectionReset));
        let of_wasi = StreamError::new(std::io::Error::from(Errno::TIMEDOUT));
        assert_eq!(code_of(&of_wasi), Some(error::ErrorCode::Timeout));
        for other in [std::io::Error::other("a limit").into(), StreamError::msg("a file")] {
            assert_eq!(code_of(&other), None, "{other}");
        }
    }
}
