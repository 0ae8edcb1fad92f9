//! The error codes of look-ups.

use super::error::{ErrorCode, SocketFault};
use crate::calls::netdb::LookupError;
use sandsock_abi::constants::{EAI_ADDRFAMILY, EAI_NODATA};

impl From<LookupError> for SocketFault {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Code(code) => code_of(code).into(),
            // No function of the package asks for an h_errno.
            LookupError::Host(_) => ErrorCode::Unknown.into(),
            LookupError::Fault(fault) => match Self::from(fault) {
                // A limit of the instance, or of the process.
                Self::Code { code: ErrorCode::WouldBlock, cause } => {
                    Self::Code { code: ErrorCode::TemporaryResolverFailure, cause }
                }
                other => other,
            },
        }
    }
}

/// The code of an EAI_* code.
fn code_of(code: i32) -> ErrorCode {
    match code {
        libc::EAI_NONAME | EAI_NODATA | EAI_ADDRFAMILY => ErrorCode::NameUnresolvable,
        libc::EAI_AGAIN => ErrorCode::TemporaryResolverFailure,
        libc::EAI_MEMORY => ErrorCode::OutOfMemory,
        _ => ErrorCode::PermanentResolverFailure,
    }
}
