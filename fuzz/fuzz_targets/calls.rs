//! Random calls of a guest under a random policy, in both ways to wait: no panic, no leak of
//! descriptors, no hang, and no act that the policy does not allow.
//!
//! The guest is `target/guests/limits_random_survived.wasm`, which `make guests` builds. A listener
//! and a UDP socket that no policy grants must stay untouched.

#![no_main]

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_host::{SandsockCtx, SandsockCtxView, SandsockView};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::{Command, sync};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

struct State {
    wasi: WasiCtx,
    sandsock: SandsockCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl SandsockView for State {
    fn sandsock(&mut self) -> SandsockCtxView<'_> {
        SandsockCtxView { ctx: &mut self.sandsock, table: &mut self.table }
    }
}

/// What all runs share.
struct Shared {
    engine: Engine,
    component: Component,
    listener: TcpListener,
    datagrams: UdpSocket,
    runtime: tokio::runtime::Runtime,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let mut config = Config::new();
    config.concurrency_support(false);
    let engine = Engine::new(&config).expect("an engine");
    let guest =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests/limits_random_survived.wasm");
    let component = Component::from_file(&engine, guest).expect("run `make guests` first");
    // Every policy denies these two ports, which the guest may guess.
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("binds");
    listener.set_nonblocking(true).expect("is set");
    datagrams.set_nonblocking(true).expect("is set");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Shared { engine, component, listener, datagrams, runtime: runtime.expect("a runtime") }
});

/// Rules for the policies. The first byte chooses some of them.
const RULES: &[&str] = &[
    "tcp-listen=127.0.0.1:0",
    "tcp-connect=127.0.0.1:*",
    "udp-bind=127.0.0.1:0",
    "udp-send=127.0.0.1:*",
    "unix-bind=@sandsock-random-*",
    "unix-connect=@sandsock-random-*",
    "ancillary=rights:send",
    "ancillary=rights:receive,any",
];

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("it is there").count()
}

fuzz_target!(|data: &[u8]| {
    let Some((&[rules, more], calls)) = data.split_first_chunk::<2>() else { return };
    let Shared { engine, component, listener, datagrams, runtime } = &*SHARED;
    let mut policy = Policy::builder();
    if more & 1 != 0 {
        policy.allow_all();
    }
    let budget =
        ["", ";bytes=5000", ";rate=1MB/s", ";bytes=100;scope=command"][usize::from(more >> 1 & 3)];
    for (bit, rule) in RULES.iter().enumerate() {
        let takes = !rule.starts_with("udp-bind") && !rule.starts_with("ancillary");
        if rules & 1 << bit != 0 {
            policy.allow(&format!("{rule}{}", if takes { budget } else { "" })).expect("a rule");
        }
    }
    for (verb, port) in [
        ("tcp-connect", listener.local_addr().expect("an address").port()),
        ("udp-send", datagrams.local_addr().expect("an address").port()),
    ] {
        policy.deny(&format!("{verb}=127.0.0.1:{port}")).expect("a rule");
        policy.deny(&format!("{verb}=[::1]:{port}")).expect("a rule");
    }
    policy.limit("buffer-bytes=16777216").expect("a limit");
    let policy = Arc::new(policy.build());
    let argument: String = calls.iter().map(|byte| format!("{byte:02x}")).collect();
    let state = |on_fiber: bool| {
        let mut builder = SandsockCtx::builder(Arc::clone(&policy));
        if on_fiber {
            builder.wait_on_fiber();
        }
        let wasi = WasiCtx::builder().args(&["guest", &argument]).build();
        let sandsock = builder.build().expect("a context");
        State { wasi, sandsock, table: ResourceTable::new() }
    };
    let start = Instant::now();
    let before = descriptors();
    {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("links");
        sandsock_host::add_to_linker_sync(&mut linker).expect("links");
        let mut store = Store::new(engine, state(false));
        let command =
            sync::Command::instantiate(&mut store, component, &linker).expect("instantiates");
        assert_eq!(command.wasi_cli_run().call_run(&mut store).expect("no trap"), Ok(()));
    }
    runtime.block_on(async {
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("links");
        sandsock_host::add_to_linker_async(&mut linker).expect("links");
        let mut store = Store::new(engine, state(true));
        let command =
            Command::instantiate_async(&mut store, component, &linker).await.expect("instantiates");
        assert_eq!(command.wasi_cli_run().call_run(&mut store).await.expect("no trap"), Ok(()));
    });
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    assert!(listener.accept().is_err(), "a denied connection came through");
    assert!(datagrams.recv(&mut [0; 9]).is_err(), "a denied datagram came through");
    // Closes can take a moment on other threads.
    let end = Instant::now() + Duration::from_secs(5);
    while descriptors() > before + 4 {
        assert!(Instant::now() < end, "{} descriptors leaked", descriptors() - before);
        std::thread::sleep(Duration::from_millis(5));
    }
});
