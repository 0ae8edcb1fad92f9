//! Ten Python plugins in one process, each with a policy of its own.
//!
//!     make python
//!     cargo run --release --example python_plugins
//!
//! Each plugin is a server that may listen on the loopback, and may connect to one address, which
//! differs from plugin to plugin. The program asks each of them for its own address and for
//! its neighbour's, and prints what a plugin costs.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_host::{SandsockCtx, SandsockCtxView, SandsockView};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi::p2::bindings::sync::{Command, CommandPre};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

const PLUGINS: usize = 10;

/// The plugin. Its argument is what it says of itself. It serves requests of one line, the port that
/// it shall connect to, until one is empty.
const PLUGIN: &str = r#"
import socket, sys

with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as file:
            port = file.readline().strip()
            if not port:
                break
            try:
                with socket.create_connection(("127.0.0.1", int(port))) as other:
                    answer = other.recv(100).decode()
            except PermissionError as error:
                answer = str(error)
            file.write(f"{sys.argv[1]}: {answer}\n")
"#;

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

/// A plugin that runs on a thread of its own.
struct Plugin {
    thread: thread::JoinHandle<wasmtime::Result<()>>,
    port: u16,
    /// From the start of the instance to its first line.
    start: Duration,
}

/// The runner, ready to be instantiated.
#[derive(Clone)]
struct Runner {
    engine: Engine,
    pre: CommandPre<State>,
    folder: PathBuf,
}

impl Runner {
    fn load(folder: PathBuf) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false).max_wasm_stack(1 << 20);
        // The runner is compiled once, which takes half a minute.
        config.cache(Some(Cache::new(CacheConfig::new())?));
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, folder.join("runner.wasm"))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        sandsock_host::add_to_linker_sync(&mut linker)?;
        // A plugin has no threads beside its first one.
        sandsock_host::add_no_threads_to_linker(&mut linker, &component)?;
        let pre = CommandPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, pre, folder })
    }

    /// Starts a plugin and waits for its first line.
    fn start(&self, name: String, grant: &str) -> wasmtime::Result<Plugin> {
        let mut policy = Policy::builder();
        policy.allow("tcp-listen=127.0.0.1:0")?;
        policy.allow(grant)?;
        policy.limit("descriptors=16")?;
        let sandsock = SandsockCtx::builder(Arc::new(policy.build())).build()?;
        let output = MemoryOutputPipe::new(1 << 16);
        let mut wasi = WasiCtx::builder();
        wasi.args(&["python3", "-c", PLUGIN, &name]).stdout(output.clone()).inherit_stderr();
        for (part, guest) in [("stdlib", "/python"), ("lib", "/python-lib")] {
            wasi.preopened_dir(self.folder.join(part), guest, FsPerms::ReadOnly)?;
        }
        wasi.allow_blocking_current_thread(true);
        let state = State { wasi: wasi.build(), sandsock, table: ResourceTable::new() };
        let started = Instant::now();
        let (engine, pre) = (self.engine.clone(), self.pre.clone());
        let thread = thread::spawn(move || {
            let mut store = Store::new(&engine, state);
            let command: Command = pre.instantiate(&mut store)?;
            let ended = command.wasi_cli_run().call_run(&mut store)?;
            ended.map_err(|()| wasmtime::Error::msg("the plugin failed"))
        });
        while !output.contents().ends_with(b"\n") && !thread.is_finished() {
            thread::sleep(Duration::from_micros(200));
        }
        let start = started.elapsed();
        let line = String::from_utf8_lossy(&output.contents()).into_owned();
        let port =
            line.trim().parse().map_err(|_| wasmtime::Error::msg("the plugin has no port"))?;
        Ok(Plugin { thread, port, start })
    }
}

/// Sends one line to a plugin, and returns its answer.
fn ask(plugin: &Plugin, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", plugin.port))?;
    writeln!(stream, "{line}")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

/// Returns the resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn main() -> wasmtime::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(|| "target/python".into(), PathBuf::from);
    let runner = Runner::load(folder)?;
    // What the plugins may connect to, each to one. Every one of them sends its number.
    let services: Vec<TcpListener> =
        (0..PLUGINS).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let ports: Vec<u16> = services
        .iter()
        .map(|service| Ok(service.local_addr()?.port()))
        .collect::<std::io::Result<_>>()?;
    for (number, service) in services.into_iter().enumerate() {
        thread::spawn(move || {
            for stream in service.incoming().flatten() {
                let _ = (&stream).write_all(format!("service {number}").as_bytes());
            }
        });
    }
    let mut plugins = Vec::new();
    let mut before = resident();
    println!("the runner: {before} KiB resident");
    for (number, port) in ports.iter().enumerate() {
        let plugin =
            runner.start(format!("plugin {number}"), &format!("tcp-connect=127.0.0.1:{port}"))?;
        let now = resident();
        println!(
            "plugin {number}: first line after {:.1} ms, {} KiB resident more",
            plugin.start.as_secs_f64() * 1e3,
            now.saturating_sub(before)
        );
        before = now;
        plugins.push(plugin);
    }
    for (number, plugin) in plugins.iter().enumerate() {
        println!("{}", ask(plugin, &ports[number].to_string())?);
        println!("{}", ask(plugin, &ports[(number + 1) % PLUGINS].to_string())?);
    }
    for plugin in plugins {
        ask(&plugin, "")?;
        plugin.thread.join().map_err(|_| wasmtime::Error::msg("a thread panicked"))??;
    }
    Ok(())
}
