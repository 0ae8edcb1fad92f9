//! The programs of the suite `wasi3`. All of them are in one component, because a program with async
//! exports must be a library. The first argument names the program.

mod support;

macro_rules! programs {
    ($($name:ident)*) => {
        $(mod $name;)*

        /// Runs the program of this name. None if there is none.
        pub(crate) async fn run(name: &str, args: &[String]) -> Option<()> {
            match name {
                $(stringify!($name) => Some($name::run(args).await),)*
                _ => None,
            }
        }
    };
}

programs! {
    wasi3_accept_limited
    wasi3_cancel_ok
    wasi3_close_ok
    wasi3_idle_interrupted
    wasi3_names_denied
    wasi3_names_ok
    wasi3_states_ok
    wasi3_tcp_denied
    wasi3_tcp_ok
    wasi3_udp_denied
    wasi3_udp_ok
    wasi3_udp_strangers_unseen
}
