//! The registration of a list of functions: `functions!`.
//!
//! A list has one line for each function: its name, the names of its parameters, and the Rust
//! function. A `wait` function may wait. Where components are called without async, its future is
//! ready at once, because the context waits on the thread. While it waits, the guest waits too. A
//! `concurrent` function is an async function of the Component Model: the guest goes on while it
//! waits. A `store` function and a `now` function never wait. The first gets the store, and the other
//! one the context's view.
//!
//! A function can be registered by a list alone, and each registration reports the calls to the
//! observers ([`crate::observe`]). The observers have all names from here.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use crate::bindings::sandsock::socket::types::{Error, NameError};
use crate::calls::async_call::AsyncCall;
use crate::calls::netdb::{self, LookupError};
use crate::calls::rights::RestrictError;
use crate::calls::tls;
use crate::calls::wasi::error::{SocketFault, SocketResult};
use crate::calls::wasi::{p2, p3};
use crate::ctx::{SandsockView, StoreView as _};
use crate::error::{CallResult, answer};
use crate::observe::{self, ToValues};

/// How the components of a linker are called.
#[derive(Clone, Copy)]
pub(super) enum Calls {
    Sync,
    Async,
}

/// The package `sandsock:socket`.
pub(super) struct Raw;

/// The package `wasi:sockets` 0.2.
pub(super) struct Wasi2;

/// The package `wasi:sockets` 0.3.
pub(super) struct Wasi3;

/// Runs a future that must be ready: its context waits on the thread.
pub(super) fn ready<R>(future: impl Future<Output = wasmtime::Result<R>>) -> wasmtime::Result<R> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg(
            "a context that waits on the fiber was given to a component that is called without async; \
             build it with wait_on_thread, or use add_to_linker_async",
        )),
    }
}

/// Converts what a function returns to the results of a package's functions, or a trap.
pub(super) trait Answer<Package> {
    type Results;

    fn into_results(self) -> wasmtime::Result<Self::Results>;

    /// The error, where the results say less than it.
    fn cause(&self) -> Option<Error> {
        None
    }
}

impl<R> Answer<Raw> for CallResult<R> {
    type Results = (Result<R, Error>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        answer(self)
    }
}

impl<R> Answer<Raw> for Result<R, LookupError> {
    type Results = (Result<R, NameError>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        netdb::answer(self)
    }
}

impl<R> Answer<Wasi2> for SocketResult<R> {
    type Results = (Result<R, p2::types::ErrorCode>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        match self {
            Ok(value) => Ok((Ok(value),)),
            Err(SocketFault::Code { code, .. }) => Ok((Err(code.into()),)),
            Err(SocketFault::Trap(trap)) => Err(trap),
        }
    }

    fn cause(&self) -> Option<Error> {
        match self {
            Err(SocketFault::Code { cause, .. }) => cause.clone(),
            _ => None,
        }
    }
}

impl<R> Answer<Wasi3> for SocketResult<R> {
    type Results = (Result<R, p3::types::ErrorCode>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        match self {
            Ok(value) => Ok((Ok(value),)),
            Err(SocketFault::Code { code, cause }) => {
                Ok((Err(p3::types::ErrorCode::new(code, cause.as_ref())),))
            }
            Err(SocketFault::Trap(trap)) => Err(trap),
        }
    }

    fn cause(&self) -> Option<Error> {
        Answer::<Wasi2>::cause(self)
    }
}

impl<R> Answer<Wasi3> for p3::names::LookupResult<R> {
    type Results = (Result<R, p3::types::LookupErrorCode>,);

    fn into_results(self) -> wasmtime::Result<Self::Results> {
        match self.0 {
            Ok(value) => Ok((Ok(value),)),
            Err(SocketFault::Code { code, cause }) => {
                Ok((Err(p3::types::LookupErrorCode::new(code, cause.as_ref())),))
            }
            Err(SocketFault::Trap(trap)) => Err(trap),
        }
    }

    fn cause(&self) -> Option<Error> {
        Answer::<Wasi2>::cause(&self.0)
    }
}

/// A function without a result.
impl<Package> Answer<Package> for wasmtime::Result<()> {
    type Results = ();

    fn into_results(self) -> wasmtime::Result<()> {
        self
    }
}

/// Functions that can't fail.
macro_rules! plain_results {
    ($($type:ty),*) => {$(
        impl<Package> Answer<Package> for wasmtime::Result<$type> {
            type Results = ($type,);

            fn into_results(self) -> wasmtime::Result<Self::Results> {
                self.map(|value| (value,))
            }
        }
    )*};
}

plain_results! { Result<(), RestrictError> }
plain_results! { bool, u64, Option<i32>, Option<u32>, Vec<i32>, String }
plain_results! { tls::State, u32, Option<tls::Failure> }
plain_results! { Resource<p2::network::Network>, Resource<DynPollable> }
plain_results! { p2::types::IpAddressFamily, Option<p2::types::ErrorCode> }
plain_results! { p3::streams::Sent, p3::streams::Received }

/// Reports the end of a call to the observers. A denial that the results can't name is reported as a
/// missing grant.
pub(super) fn finish<Package, T: SandsockView, A: Answer<Package, Results: ToValues>>(
    store: &mut StoreContextMut<'_, T>,
    answer: A,
) -> wasmtime::Result<A::Results> {
    let cause = answer.cause();
    if let Some(Error::Denied(denial)) = &cause {
        let grants = &store.view().ctx.missing_grants;
        grants.denied(denial.grant.as_deref(), &denial.reason);
    }
    let result = answer.into_results();
    observe::end(store, &result, cause.as_ref());
    result
}

/// The same for an async function, which takes the store only if it has something to report.
pub(super) fn finish_async<Package, T, A>(
    call: &mut AsyncCall<'_, T>,
    answer: A,
) -> wasmtime::Result<A::Results>
where
    T: SandsockView + 'static,
    A: Answer<Package, Results: ToValues>,
{
    if call.is_observed() || matches!(answer.cause(), Some(Error::Denied(_))) {
        call.with(|store| finish::<Package, _, _>(store, answer))
    } else {
        answer.into_results()
    }
}

/// The functions of a list, by interface and name.
#[cfg(test)]
pub(super) fn by_name(functions: &[crate::observe::Function]) -> crate::observe::Functions {
    functions
        .iter()
        .map(|function| {
            let parameters = function.parameters.iter().map(|&name| name.to_owned()).collect();
            ((function.interface.to_owned(), function.name.to_owned()), parameters)
        })
        .collect()
}

/// A name as WIT's tools write it.
macro_rules! name {
    ($([$kind:ident] $resource:ident $(-$resource_:ident)*.)? $head:ident $(-$tail:ident)*) => {
        concat!(
            $("[", stringify!($kind), "]", stringify!($resource) $(, "-", stringify!($resource_))*, ".",)?
            stringify!($head) $(, "-", stringify!($tail))*
        )
    };
}

/// The names of a function and its parameters, for the observers.
macro_rules! function {
    ($interface:expr, $name:expr, ($($head:ident $(-$tail:ident)*),*)) => {
        Function {
            interface: $interface,
            name: $name,
            parameters: &[$(name!($head $(-$tail)*)),*],
        }
    };
}

/// Makes a call, and reports it to the observers.
macro_rules! observed {
    ($package:ty, $store:ident, $function:expr, $params:ident, $result:expr) => {{
        observe::begin(&mut $store, &$function, &$params);
        let answer = $result;
        finish::<$package, _, _>(&mut $store, answer)
    }};
}

/// Calls a function with the values of a tuple. The names count them.
macro_rules! call {
    ($path:path, $view:expr, $params:ident, ()) => {{
        let () = $params;
        $path($view)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident $(-$a_:ident)*)) => {{
        let (a,) = $params;
        $path($view, a)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident $(-$a_:ident)*, $b:ident $(-$b_:ident)*)) => {{
        let (a, b) = $params;
        $path($view, a, b)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident $(-$a_:ident)*, $b:ident $(-$b_:ident)*, $c:ident $(-$c_:ident)*)) => {{
        let (a, b, c) = $params;
        $path($view, a, b, c)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident, $c:ident, $d:ident)) => {{
        let (a, b, c, d) = $params;
        $path($view, a, b, c, d)
    }};
    ($path:path, $view:expr, $params:ident, ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident)) => {{
        let (a, b, c, d, e) = $params;
        $path($view, a, b, c, d, e)
    }};
}

/// Makes `add`, which registers the functions of the list, and the list of their names.
macro_rules! functions {
    (package $package:ident $name:literal $version:literal;
    $(interface $interface:literal {
        $(resource $resource:ident $(-$resource_:ident)*: $type:ty, drop = $drop_path:path;)*
        $(wait $([$wait_kind:ident] $wait_resource:ident $(-$wait_resource_:ident)*.)? $wait:ident $(-$wait_:ident)* ($($wait_params:tt)*)
            = $wait_path:path;)*
        $(concurrent $([$async_kind:ident] $async_resource:ident $(-$async_resource_:ident)*.)? $async:ident $(-$async_:ident)* ($($async_params:tt)*)
            = $async_path:path;)*
        $(store $([$store_kind:ident] $store_resource:ident $(-$store_resource_:ident)*.)? $store:ident $(-$store_:ident)* ($($store_params:tt)*)
            = $store_path:path;)*
        $(now $([$now_kind:ident] $now_resource:ident $(-$now_resource_:ident)*.)? $now:ident $(-$now_:ident)* ($($now_params:tt)*)
            = $now_path:path;)*
    })*) => {
        /// The functions of the list, without the drops.
        #[cfg(test)]
        pub(super) const FUNCTIONS: &[Function] = &[$(
            $(function!(
                $interface,
                name!($([$wait_kind] $wait_resource $(-$wait_resource_)*.)? $wait $(-$wait_)*),
                ($($wait_params)*)
            ),)*
            $(function!(
                $interface,
                name!($([$async_kind] $async_resource $(-$async_resource_)*.)? $async $(-$async_)*),
                ($($async_params)*)
            ),)*
            $(function!(
                $interface,
                name!($([$store_kind] $store_resource $(-$store_resource_)*.)? $store $(-$store_)*),
                ($($store_params)*)
            ),)*
            $(function!(
                $interface,
                name!($([$now_kind] $now_resource $(-$now_resource_)*.)? $now $(-$now_)*),
                ($($now_params)*)
            ),)*
        )*];

        pub(super) fn add<T: SandsockView + 'static>(
            linker: &mut Linker<T>,
            #[allow(unused_variables, reason = "only functions that may wait differ")]
            calls: Calls,
        ) -> wasmtime::Result<()> {
            $(
                let mut instance = linker
                    .instance(concat!($name, "/", $interface, "@", $version))?;
                $({
                    const DROP: Function = function!(
                        $interface,
                        concat!("[resource-drop]", name!($resource $(-$resource_)*)),
                        (self)
                    );
                    let host = ResourceType::host::<$type>();
                    instance.resource(name!($resource $(-$resource_)*), host, |mut store, rep| {
                        let params = (Resource::<$type>::new_own(rep),);
                        observed!($package, store, DROP, params, call!($drop_path, &mut store.view(), params, (resource)))
                    })?;
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$wait_kind] $wait_resource $(-$wait_resource_)*.)? $wait $(-$wait_)*),
                        ($($wait_params)*)
                    );
                    match calls {
                        Calls::Sync => {
                            instance.func_wrap(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                                ready(async {
                                    observed!($package, store, FUNCTION, params, $wait_path(&mut store, params).await)
                                })
                            })?;
                        }
                        Calls::Async => {
                            instance.func_wrap_async(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                                Box::new(async move {
                                    observed!($package, store, FUNCTION, params, $wait_path(&mut store, params).await)
                                })
                            })?;
                        }
                    }
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$async_kind] $async_resource $(-$async_resource_)*.)? $async $(-$async_)*),
                        ($($async_params)*)
                    );
                    instance.func_wrap_concurrent(FUNCTION.name, |accessor, params| {
                        Box::pin(async move {
                            let mut call = AsyncCall::new(accessor);
                            call.with(|store| observe::begin(store, &FUNCTION, &params));
                            let answer = $async_path(&mut call, params).await;
                            finish_async::<$package, _, _>(&mut call, answer)
                        })
                    })?;
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$store_kind] $store_resource $(-$store_resource_)*.)? $store $(-$store_)*),
                        ($($store_params)*)
                    );
                    instance.func_wrap(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                        observed!($package, store, FUNCTION, params, $store_path(&mut store, params))
                    })?;
                })*
                $({
                    const FUNCTION: Function = function!(
                        $interface,
                        name!($([$now_kind] $now_resource $(-$now_resource_)*.)? $now $(-$now_)*),
                        ($($now_params)*)
                    );
                    instance.func_wrap(FUNCTION.name, |mut store: StoreContextMut<'_, T>, params| {
                        observed!($package, store, FUNCTION, params, call!($now_path, &mut store.view(), params, ($($now_params)*)))
                    })?;
                })*
            )*
            Ok(())
        }
    };
}
