//! `sandsock serve`: one instance for each connection, or a few that share a listening socket.
//!
//! Each worker is a thread with a tokio runtime of its own. Its guests wait on fibers, so a guest
//! that waits needs no thread. A guest that computes yields to the others of its worker at every
//! tick.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::{Args, value_parser};
use sandsock_host::policy::{DescriptorNumber, IdentityName, Limits};
use sandsock_host::{Acceptor, Inherited, SandsockCtxBuilder, TlsTerminator};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use wasmtime::{Engine, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use crate::ask::AskArgs;
use crate::engine::Loaded;
use crate::entry::{Ended, Entry, SWITCH};
use crate::exit::Exit;
use crate::guest::{
    ComponentArgs, GuestArgs, GuestEnv, Program, new_store, policy, raise_descriptor_limit,
};
use crate::inherited_fds::{LISTEN_START, listen_environment};
use crate::listen::{Listener, SocketFile};
use crate::memory::Memory;
use crate::observers::{Instances, Observers};
use crate::output::SharedOutput;
use crate::stderr::{self, LAST_LINES};

/// How long a guest computes before it yields to the others of its worker.
const TICK: Duration = Duration::from_millis(10);
/// How long interrupted guests may take to end by themselves.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a client's handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an accept waits after a temporary error, such as no free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the command waits before it restarts an instance that failed: at first the minimum, then
/// twice as long each time, up to the maximum.
const RESTART_MIN: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(10);

/// What `serve` takes.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Listen on HOST:PORT (IPv6 in brackets, * for every address), a path with a slash, @NAME, or
    /// an inherited listening socket fd:N.
    #[arg(long, value_name = "ADDR")]
    listen: String,

    /// Interrupt an instance's wait this many seconds after its start, and stop the instance 2
    /// seconds later. Without it, a client that sends nothing keeps its place as long as the guest
    /// waits.
    #[arg(long, value_name = "SECONDS", conflicts_with = "instances", value_parser = value_parser!(u32).range(1..=31_536_000))]
    max_time: Option<u32>,

    #[command(flatten)]
    instances: InstancesArgs,

    #[command(flatten)]
    program: ComponentArgs,

    #[command(flatten)]
    ask: AskArgs,

    #[command(flatten)]
    guest: GuestArgs,
}

/// How many instances there are, and for how long: for `serve` and for `python`.
#[derive(Args)]
pub(crate) struct InstancesArgs {
    /// Start N instances that share the listening socket as descriptor 3, instead of one for each
    /// connection.
    #[arg(long, value_name = "N", requires = "listen", value_parser = value_parser!(u32).range(1..=100_000))]
    instances: Option<u32>,

    /// Serve at most N connections at once. More wait in the kernel's backlog.
    #[arg(long, value_name = "N", default_value = "1024", requires = "listen", conflicts_with = "instances", value_parser = value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,

    /// Speak TLS with the clients, and show the identity NAME of --tls-identity. Each instance gets a
    /// plain connection, after the handshake. ;alpn=h2,http/1.1 offers protocols.
    #[arg(long, value_name = "identity=NAME[;alpn=LIST]", requires = "listen", conflicts_with = "instances", value_parser = parse_tls)]
    tls: Option<Tls>,

    /// At SIGTERM or Ctrl-C, interrupt the guests only after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "listen", allow_negative_numbers = true, value_parser = value_parser!(u32).range(0..=86_400))]
    grace: u32,

    /// Run the guests on N threads. The default is one for each processor.
    #[arg(long, value_name = "N", requires = "listen", value_parser = value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
}

/// The identity that the command shows, and its protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tls {
    identity: String,
    alpn: Vec<String>,
}

/// Parses `identity=NAME[;alpn=LIST]`.
fn parse_tls(word: &str) -> Result<Tls, String> {
    let form = "write identity=NAME, or identity=NAME;alpn=h2,http/1.1";
    let mut terms = word.split(';').map(|term| term.split_once('='));
    let Some(Some(("identity", identity))) = terms.next() else { return Err(form.to_owned()) };
    identity.parse::<IdentityName>().map_err(|error| error.to_string())?;
    let mut alpn = Vec::new();
    for term in terms {
        match term {
            Some(("alpn", list)) if alpn.is_empty() => {
                alpn.extend(list.split(',').map(str::to_owned));
            }
            _ => return Err(form.to_owned()),
        }
    }
    Ok(Tls { identity: identity.to_owned(), alpn })
}

impl InstancesArgs {
    /// Returns the most instances at the same time, if each serves one connection.
    fn at_once(&self) -> Option<u32> {
        self.instances.is_none().then_some(self.max_connections)
    }
}

/// What is served, and where.
pub(crate) struct Serving<'a> {
    pub(crate) listen: &'a str,
    pub(crate) max_time: Option<u32>,
    pub(crate) instances: &'a InstancesArgs,
    pub(crate) ask: &'a AskArgs,
    pub(crate) guest: &'a GuestArgs,
    /// What messages call the program.
    pub(crate) name: &'a Path,
}

/// The stages from serving to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// No connection is accepted any more.
    Draining,
    /// The guests' waits end.
    Interrupting,
    /// The guests end.
    Stopping,
}

/// What all workers share.
struct Server {
    engine: Engine,
    entry: Entry,
    /// The builder of each instance's context. The connection or the listener and the observers are
    /// added for each.
    context: SandsockCtxBuilder,
    observers: Observers,
    outputs: Outputs,
    guest_env: GuestEnv,
    /// The file of the listening socket, removed at the end.
    file: Mutex<Option<SocketFile>>,
    component: String,
    stage: watch::Sender<Stage>,
    connections: Arc<Semaphore>,
    /// How long a connection may last.
    max_time: Option<Duration>,
    tls: Option<TlsTerminator>,
    live: AtomicUsize,
    ticker: OnceLock<Thread>,
    /// The status after a second signal.
    status: AtomicI32,
}

/// The standard output and error that all guests share.
struct Outputs(SharedOutput, SharedOutput);

impl Outputs {
    /// Opens them. If grants are asked for at a terminal, a guest can't fake a question there.
    fn new(asks: bool) -> anyhow::Result<Self> {
        let open = if asks { SharedOutput::guarded } else { SharedOutput::of };
        let stdout = open(std::io::stdout().as_fd()).context("can't write to standard output")?;
        Ok(Self(stdout, stderr::share(open).context("can't write to standard error")?))
    }
}

/// How an instance ended.
enum Outcome {
    Success,
    /// The guest returned a failure, and has reported it itself.
    Failure,
    /// The guest trapped, for this reason.
    Trap(String),
    /// The command stopped it.
    Stopped,
}

/// Serves a component until a signal ends the command.
pub(crate) fn serve(args: &ServeArgs, verbose: u8) -> Result<ExitCode, Exit> {
    let ServeArgs { listen, max_time, instances, program, ask, guest } = args;
    let name = &program.component;
    let serving = Serving { listen, max_time: *max_time, instances, ask, guest, name };
    serve_program(
        &serving,
        verbose,
        || Ok(program.program(guest)?),
        |_| program.load(guest, instances.at_once()),
    )
}

/// Serves the program that `load` gives until a signal ends the command.
pub(crate) fn serve_program(
    serving: &Serving<'_>,
    verbose: u8,
    program: impl FnOnce() -> Result<Program, Exit>,
    load: impl FnOnce(&Limits) -> Result<Loaded, Exit>,
) -> Result<ExitCode, Exit> {
    let Serving { listen, max_time, instances: args, ask, guest, name } = *serving;
    let handed = guest.handed()?;
    guest.enter_netns()?;
    raise_descriptor_limit();
    guest.observe.check()?;
    let number = DescriptorNumber(if args.instances.is_some() { LISTEN_START } else { 0 });
    if handed.descriptors().iter().any(|(taken, _)| *taken == number) {
        let what = if args.instances.is_some() { "the listening socket" } else { "its connection" };
        return Err(anyhow!(
            "--inherit {number}: each instance has {what} under this number; use another number"
        )
        .into());
    }
    let policy = policy(guest, handed.numbers().chain([number]))?;
    let kept = guest.kept(&policy, ask.asks())?;
    let look_ups = guest.harden.look_ups(&kept)?;
    let limits = policy.limits().clone();
    let socket = Listener::file_of(listen);
    let mut guest_env = GuestEnv::new(guest, program()?, &handed, policy, look_ups, socket)?;
    // A missing folder is reported now and only once.
    guest_env.wasi()?;
    let tls =
        args.tls.as_ref().map(|tls| guest_env.terminator(&tls.identity, &tls.alpn)).transpose()?;
    if args.instances.is_some() {
        guest_env.add_env(listen_environment(1, &["listen"]));
    }
    let loaded = load(&limits)?;
    let entry = Entry::new(&loaded).map_err(|failure| failure.about(name))?;
    let workers = match args.workers {
        Some(count) => count as usize,
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let mut context = {
        let mut builder = guest_env.sandsock()?;
        builder.wait_on_fiber();
        handed.give(&mut builder);
        builder
    };
    let Listener { socket, name: address, file } = Listener::new(listen)?;
    // The files are opened only now, so that an earlier error overwrites none of them.
    let removed = Listener::file_of(listen);
    let (observers, ceiling) =
        guest_env.observers(guest, verbose, Instances::Many, kept, removed)?;
    let outputs = Outputs::new(ask.asks())?;
    let Outputs(stdout, stderr) = &outputs;
    if let Some(asker) = ask.asker_of_all(guest, stdout.clone(), stderr.clone(), ceiling)? {
        context.ask_for_grants(move |missing| asker.ask(missing));
    }
    let server = Arc::new(Server {
        engine: loaded.engine.clone(),
        entry,
        context,
        observers,
        outputs,
        guest_env,
        file: Mutex::new(file),
        component: name.display().to_string(),
        stage: watch::Sender::new(Stage::Serving),
        connections: Arc::new(Semaphore::new(args.max_connections as usize)),
        max_time: max_time.map(|seconds| Duration::from_secs(seconds.into())),
        tls,
        live: AtomicUsize::new(0),
        ticker: OnceLock::new(),
        status: AtomicI32::new(0),
    });
    let grace = Duration::from_secs(args.grace.into());
    end_by_signals(&server, if args.instances.is_some() { Duration::ZERO } else { grace }, grace)?;
    tick(&server, if loaded.threads { SWITCH } else { TICK });
    say!("listening on {address}");
    let share = |worker: usize| {
        let count = args.instances.map(|count| count as usize);
        count.map(|count| (worker..count).step_by(workers))
    };
    let threads: Vec<_> = (0..workers)
        .map(|worker| {
            let (server, share, socket) = (Arc::clone(&server), share(worker), socket.clone());
            let name = format!("worker-{worker}");
            std::thread::Builder::new().name(name).spawn(move || match share {
                None => server.accept_all(socket),
                Some(share) => server.run_all(share.collect(), &socket),
            })
        })
        .collect::<Result<_, _>>()
        .context("can't start a worker")?;
    // The last worker closes the socket. The kernel then refuses new connections.
    drop(socket);
    for thread in threads {
        match thread.join() {
            Ok(result) => result?,
            Err(_) => return Err(anyhow!("a worker panicked").into()),
        }
    }
    sandsock_host::finish_sends();
    server.finish(Instant::now() + LAST_LINES);
    Ok(ExitCode::from(u8::try_from(server.status.load(Ordering::Relaxed)).unwrap_or(1)))
}

impl Server {
    /// Ends the guests.
    fn stop(&self) {
        self.stage.send_replace(Stage::Stopping);
        self.engine.increment_epoch();
    }

    /// Does what remains at the end of the command. Waits for readers at most until `until`.
    fn finish(&self, until: Instant) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.observers.finish(until);
        // The guests that wrote have got the error.
        let _ = self.outputs.0.drain(until);
    }

    /// A worker's life: a fresh instance for each connection.
    fn accept_all(self: Arc<Self>, listener: Inherited) -> anyhow::Result<()> {
        on_worker(async |tasks| {
            let listener = Acceptor::new(listener).context("can't wait for connections")?;
            let mut stage = self.stage.subscribe();
            loop {
                let next = async {
                    // The semaphore is never closed. More connections wait in the kernel.
                    let place = Arc::clone(&self.connections).acquire_owned().await;
                    (listener.accept().await, place)
                };
                let (connection, place) = tokio::select! {
                    biased;
                    _ = stage.wait_for(|stage| *stage > Stage::Serving) => return Ok(()),
                    next = next => next,
                };
                match connection {
                    Ok((socket, peer)) => {
                        let server = Arc::clone(&self);
                        tasks.spawn_local(
                            async move { server.connection(socket, peer, place).await },
                        );
                    }
                    Err(error) => {
                        tracing::warn!("can't accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        })
    }

    /// Runs an instance for one connection. Its place is free after the instance has closed the
    /// descriptors that others sent to it.
    async fn connection(
        &self,
        socket: Inherited,
        peer: Option<SocketAddr>,
        place: impl Send + Sync + 'static,
    ) {
        let peer = peer.map_or_else(|| "a UNIX socket".to_owned(), |peer| peer.to_string());
        tracing::info!("a connection from {peer}");
        let socket = match self.handshake(socket).await {
            Ok(socket) => socket,
            Err(error) => return tracing::info!("a connection from {peer}: no TLS: {error}"),
        };
        let ended =
            self.instance(move |builder| builder.hold(Arc::new(place)).inherit(0, socket)).await;
        self.report(&format_args!("a connection from {peer}"), &ended);
    }

    /// Makes the handshake of TLS on a connection, if the command speaks TLS.
    async fn handshake(&self, socket: Inherited) -> io::Result<Inherited> {
        let Some(tls) = &self.tls else { return Ok(socket) };
        let mut stage = self.stage.subscribe();
        tokio::select! {
            result = tokio::time::timeout(HANDSHAKE, tls.handshake(socket)) => result?,
            _ = stage.wait_for(|stage| *stage > Stage::Draining) => {
                Err(io::Error::other("the command ends"))
            }
        }
    }

    /// A worker's life: its share of instances that accept for themselves. An instance that fails is
    /// restarted.
    fn run_all(self: Arc<Self>, share: Vec<usize>, listener: &Inherited) -> anyhow::Result<()> {
        on_worker(async |tasks| {
            for number in share {
                let (server, listener) = (Arc::clone(&self), listener.clone());
                tasks.spawn_local(async move { server.keep_running(number, &listener).await });
            }
            Ok(())
        })
    }

    async fn keep_running(&self, number: usize, listener: &Inherited) {
        let mut stage = self.stage.subscribe();
        let mut pause = RESTART_MIN;
        loop {
            let start = Instant::now();
            let listener = listener.clone();
            let ended = self.instance(move |builder| builder.inherit(LISTEN_START, listener)).await;
            self.report(&format_args!("instance {number}"), &ended);
            if matches!(ended, Ok(Outcome::Success | Outcome::Stopped)) {
                return;
            }
            pause = if start.elapsed() > RESTART_MAX {
                RESTART_MIN
            } else {
                (pause * 2).min(RESTART_MAX)
            };
            tokio::select! {
                _ = stage.wait_for(|stage| *stage > Stage::Serving) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Runs one instance to its end.
    async fn instance(
        &self,
        give: impl FnOnce(&mut SandsockCtxBuilder) -> &mut SandsockCtxBuilder,
    ) -> anyhow::Result<Outcome> {
        let sandsock = {
            let mut builder = self.context.clone();
            self.observers.attach(&mut builder);
            give(&mut builder).build()?
        };
        let interrupter = sandsock.interrupter();
        let mut wasi = self.guest_env.wasi()?;
        wasi.stdout(self.outputs.0.clone()).stderr(self.outputs.1.clone());
        let mut store = new_store(&self.engine, wasi.build(), sandsock);
        let mut stage = self.stage.subscribe();
        let asked = self.stage.subscribe();
        store.epoch_deadline_callback(move |store| {
            if *asked.borrow() == Stage::Stopping {
                return Ok(UpdateDeadline::Interrupt);
            }
            sandsock_host::tick(store);
            Ok(UpdateDeadline::Yield(1))
        });
        let _live = Live::new(self);
        let ended = {
            let mut run = std::pin::pin!(self.entry.run(&mut store));
            // After --max-time an instance goes through the same stages as all do at the command's
            // end.
            let mut own = Stage::Serving;
            let mut time =
                std::pin::pin!(tokio::time::sleep(self.max_time.unwrap_or(Duration::MAX)));
            loop {
                let now = (*stage.borrow_and_update()).max(own);
                match now {
                    Stage::Serving | Stage::Draining => {}
                    Stage::Interrupting => interrupter.interrupt(),
                    Stage::Stopping => return Ok(Outcome::Stopped),
                }
                tokio::select! {
                    ended = &mut run => break ended,
                    // The sender lives as long as the server.
                    _ = stage.changed() => {}
                    () = &mut time, if self.max_time.is_some() => {
                        own = if own == Stage::Serving { Stage::Interrupting } else { Stage::Stopping };
                        time.as_mut().reset(tokio::time::Instant::now() + LAST_WORDS);
                    }
                }
            }
        };
        Ok(outcome_of(ended, &store.data().memory))
    }

    /// Reports how an instance ended, unless the guest did.
    fn report(&self, what: &dyn std::fmt::Display, ended: &anyhow::Result<Outcome>) {
        match ended {
            Ok(Outcome::Success | Outcome::Stopped) => {}
            Ok(Outcome::Failure) => tracing::info!("{what}: the guest failed"),
            Ok(Outcome::Trap(trap)) => {
                say!("{}: {what}: the guest trapped: {trap}", self.component);
            }
            Err(error) => say!("{}: {what}: can't make an instance: {error:#}", self.component),
        }
    }
}

/// Counts an instance while it lives, so that the ticker runs.
struct Live<'a>(&'a Server);

impl<'a> Live<'a> {
    fn new(server: &'a Server) -> Self {
        if server.live.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(ticker) = server.ticker.get()
        {
            ticker.unpark();
        }
        Self(server)
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns how a guest ended.
fn outcome_of(ended: Ended, memory: &Memory) -> Outcome {
    match ended {
        Ok(Ok(())) => Outcome::Success,
        Ok(Err(())) => Outcome::Failure,
        Err(error) => match error.downcast_ref() {
            Some(I32Exit(0)) => Outcome::Success,
            Some(I32Exit(_)) => Outcome::Failure,
            None if matches!(error.downcast_ref(), Some(Trap::Interrupt)) => Outcome::Stopped,
            None => Outcome::Trap(format!("{}{}", error.root_cause(), memory.advice())),
        },
    }
}

/// Runs a worker: first `start`, then every task that it spawned, to the end.
fn on_worker(start: impl AsyncFnOnce(&LocalSet) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start tokio")?;
    let tasks = LocalSet::new();
    let started = runtime.block_on(tasks.run_until(start(&tasks)));
    if started.is_ok() {
        runtime.block_on(tasks);
    }
    // A thread of the pool may be blocked for ever in a guest's file, such as a FIFO.
    runtime.shutdown_background();
    started
}

/// Starts the ticker, which increments the epoch while there are instances.
fn tick(server: &Arc<Server>, every: Duration) {
    let own = Arc::downgrade(server);
    let ticker = std::thread::spawn(move || {
        // The ticker does not keep the server alive, because the server's end gives back the
        // descriptors that were handed over.
        while let Some(live) = own.upgrade().map(|server| server.live.load(Ordering::Relaxed)) {
            if live == 0 {
                std::thread::park();
            }
            std::thread::sleep(every);
            if let Some(server) = own.upgrade() {
                server.engine.increment_epoch();
            }
        }
    });
    // There is no instance yet that would have to wake the ticker.
    let _ = server.ticker.set(ticker.thread().clone());
}

/// Handles SIGTERM and SIGINT. After the first signal, guests are interrupted after `grace` and
/// stopped `patience` later. The second signal ends the command at once.
fn end_by_signals(server: &Arc<Server>, grace: Duration, patience: Duration) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("can't watch for signals")?;
    let server = Arc::downgrade(server);
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        let Some(_) = signals.next() else { return };
        if let Some(server) = server.upgrade() {
            let live = server.live.load(Ordering::Relaxed);
            say!(
                "accepting no more connections; {live} instances are running. A second signal ends them."
            );
            server.stage.send_replace(Stage::Draining);
        }
        let slow = Weak::clone(&server);
        std::thread::spawn(move || {
            std::thread::sleep(grace);
            if let Some(server) = slow.upgrade() {
                server.stage.send_if_modified(|stage| {
                    std::mem::replace(stage, (*stage).max(Stage::Interrupting)) != *stage
                });
            }
            std::thread::sleep(if grace.is_zero() { patience } else { LAST_WORDS });
            if let Some(server) = slow.upgrade() {
                server.stop();
            }
        });
        let Some(signal) = signals.next() else { return };
        if let Some(server) = server.upgrade() {
            // The status that shells use for a program ended by a signal.
            server.status.store(128 + signal, Ordering::Relaxed);
            server.stop();
        }
        std::thread::sleep(Duration::from_millis(500));
        let until = Instant::now() + LAST_LINES / 4;
        if let Some(server) = server.upgrade() {
            server.finish(until);
        }
        stderr::finish(until);
        std::process::exit(128 + signal);
    });
    Ok(())
}
