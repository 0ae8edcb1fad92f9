//! The types of `wasi:sockets/types`.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, FutureReader, Lift, Lower, StreamReader};

use crate::bindings::sandsock::socket::types::Error;
use crate::calls::wasi::error;
use crate::observe::{CallError, ToValue, Value, ValueBuilder, WatchedData};

/// Makes the variant `error-code` of one of the interfaces, from the common one. The other codes
/// become `other`, with a text.
macro_rules! error_codes {
    ($(#[$doc:meta])* $type:ident: $($name:literal $code:ident $($also:ident)*;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, ComponentType, Lift, Lower)]
        #[component(variant)]
        pub(crate) enum $type {
            $(#[component(name = $name)] $code,)*
            #[component(name = "other")]
            Other(Option<String>),
        }

        impl $type {
            /// Returns the code, with what is known of its cause.
            pub(crate) fn new(code: error::ErrorCode, cause: Option<&Error>) -> Self {
                match code {
                    $(error::ErrorCode::$code $(| error::ErrorCode::$also)* => Self::$code,)*
                    other => Self::Other(text_of(other, cause)),
                }
            }

            /// The code's name in the package.
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                    Self::Other(_) => "other",
                }
            }
        }

        impl ToValue for $type {
            fn to_value<T: WatchedData>(
                &self,
                _: &mut StoreContextMut<'_, T>,
                _: &mut ValueBuilder,
            ) -> Value {
                Value::Failed(CallError::Code(self.name()))
            }
        }
    };
}

error_codes! {
    /// WIT `types.error-code`.
    ErrorCode:
    "access-denied" AccessDenied;
    "not-supported" NotSupported;
    "invalid-argument" InvalidArgument;
    "out-of-memory" OutOfMemory;
    "timeout" Timeout;
    "invalid-state" InvalidState ConcurrencyConflict NotInProgress;
    "address-not-bindable" AddressNotBindable;
    "address-in-use" AddressInUse;
    "remote-unreachable" RemoteUnreachable;
    "connection-refused" ConnectionRefused;
    "connection-broken" ConnectionBroken;
    "connection-reset" ConnectionReset;
    "connection-aborted" ConnectionAborted;
    "datagram-too-large" DatagramTooLarge;
}

error_codes! {
    /// WIT `ip-name-lookup.error-code`.
    LookupErrorCode:
    "access-denied" AccessDenied;
    "invalid-argument" InvalidArgument;
    "name-unresolvable" NameUnresolvable;
    "temporary-resolver-failure" TemporaryResolverFailure;
    "permanent-resolver-failure" PermanentResolverFailure;
}

/// The text of the case `other`.
fn text_of(code: error::ErrorCode, cause: Option<&Error>) -> Option<String> {
    let text = match (code, cause) {
        // Nothing waits in vain here but for an interrupt, or at a limit that has no other code.
        (error::ErrorCode::WouldBlock, Some(Error::Os(libc::EINTR))) => "interrupted".to_owned(),
        (error::ErrorCode::NewSocketLimit, _) => "too many open sockets".to_owned(),
        (_, Some(Error::Os(number))) => std::io::Error::from_raw_os_error(*number).to_string(),
        _ => return None,
    };
    Some(text)
}

/// Streams and futures have no number.
macro_rules! unnumbered {
    ($($type:ty = $name:literal;)*) => {$(
        impl ToValue for $type {
            fn to_value<T: WatchedData>(
                &self,
                _: &mut StoreContextMut<'_, T>,
                _: &mut ValueBuilder,
            ) -> Value {
                Value::Text($name.to_owned())
            }
        }
    )*};
}

unnumbered! {
    StreamReader<u8> = "stream";
    super::listen::Clients = "stream";
    FutureReader<Result<(), ErrorCode>> = "future";
}
