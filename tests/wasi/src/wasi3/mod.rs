//! The programs of the suite `wasi3`, and its attacks. All of them are in one component, because a program with async
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
    attack_wasi3_greed_bounded
    attack_wasi3_orders_harmless
    wasi3_accept_limited
    wasi3_acts_ok
    wasi3_budget_bounded
    wasi3_cancel_ok
    wasi3_close_ok
    wasi3_idle_interrupted
    wasi3_names_denied
    wasi3_names_ok
    wasi3_serve_ok
    wasi3_standard_ok
    wasi3_states_denied
    wasi3_states_ok
    wasi3_tcp_denied
    wasi3_tcp_ok
    wasi3_udp_denied
    wasi3_udp_ok
    wasi3_udp_strangers_unseen
}
