//! `sandsock serve`: one instance for each connection, or a few that share a listening socket.
//!
//! Each worker is a thread with a tokio runtime of its own. Its guests wait on fibers, so a guest
//! that waits needs no thread. A guest that computes yields to the others of its worker at every
//! tick.

use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::{Args, value_parser};
use sandsock_host::policy::DescriptorNumber;
use sandsock_host::{Acceptor, Inherited, SandsockCtxBuilder};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use crate::exit::{Exit, into_anyhow};
use crate::guest::{
    ComponentArgs, GuestArgs, GuestEnv, State, fit, new_store, policy, raise_descriptor_limit,
    unfit,
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

    /// Start N instances that share the listening socket as descriptor 3, instead of one for each
    /// connection.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    instances: Option<u32>,

    /// Serve at most N connections at once. More wait in the kernel's backlog.
    #[arg(long, value_name = "N", default_value = "1024", conflicts_with = "instances", value_parser = value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,

    /// Interrupt an instance's wait this many seconds after its start, and stop the instance 2
    /// seconds later. Without it, a client that sends nothing keeps its place as long as the guest
    /// waits.
    #[arg(long, value_name = "SECONDS", conflicts_with = "instances", value_parser = value_parser!(u32).range(1..=31_536_000))]
    max_time: Option<u32>,

    /// At SIGTERM or Ctrl-C, interrupt the guests only after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", allow_negative_numbers = true, value_parser = value_parser!(u32).range(0..=86_400))]
    grace: u32,

    /// Run the guests on N threads. The default is one for each processor.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,

    #[command(flatten)]
    program: ComponentArgs,

    #[command(flatten)]
    guest: GuestArgs,
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
    pre: Pre,
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
    live: AtomicUsize,
    ticker: OnceLock<Thread>,
    /// The status after a second signal.
    status: AtomicI32,
}

/// The standard output and error that all guests share.
struct Outputs(SharedOutput, SharedOutput);

impl Outputs {
    fn new() -> anyhow::Result<Self> {
        let stdout = SharedOutput::of(std::io::stdout().as_fd())
            .context("can't write to standard output")?;
        Ok(Self(stdout, stderr::share().context("can't write to standard error")?))
    }
}

/// A component ready to be instantiated.
enum Pre {
    P2(wasmtime_wasi::p2::bindings::CommandPre<State>),
    P3(wasmtime_wasi::p3::bindings::CommandPre<State>),
}

impl Pre {
    fn new(pre: InstancePre<State>, concurrent: bool) -> Result<Self, Exit> {
        if concurrent && let Ok(pre) = wasmtime_wasi::p3::bindings::CommandPre::new(pre.clone()) {
            return Ok(Self::P3(pre));
        }
        wasmtime_wasi::p2::bindings::CommandPre::new(pre)
            .map(Self::P2)
            .map_err(|error| unfit(into_anyhow(error)))
    }
}

/// How an instance ended.
enum Ended {
    Success,
    /// The guest returned a failure, and has reported it itself.
    Failure,
    /// The guest trapped, for this reason.
    Trap(String),
    /// The command stopped it.
    Stopped,
}

/// Serves until a signal ends it.
pub(crate) fn serve(args: &ServeArgs, verbose: u8) -> Result<ExitCode, Exit> {
    let handed = args.guest.handed()?;
    args.guest.enter_netns()?;
    raise_descriptor_limit();
    args.guest.observe.check()?;
    let number = DescriptorNumber(if args.instances.is_some() { LISTEN_START } else { 0 });
    if handed.descriptors().iter().any(|(taken, _)| *taken == number) {
        let what = if args.instances.is_some() { "the listening socket" } else { "its connection" };
        return Err(anyhow!(
            "--inherit {number}: each instance has {what} under this number; use another number"
        )
        .into());
    }
    let policy = policy(&args.guest, handed.numbers().chain([number]))?;
    let program = args.program.program(&args.guest)?;
    let socket = Listener::file_of(&args.listen);
    let mut guest_env = GuestEnv::new(&args.guest, program, &handed, policy, socket)?;
    // A missing folder is reported now and only once.
    guest_env.wasi()?;
    if args.instances.is_some() {
        guest_env.add_env(listen_environment(1, &["listen"]));
    }
    let component = args.program.component.display().to_string();
    let about = |failure: Exit| failure.about(&args.program.component);
    let at_once = args.instances.is_none().then_some(args.max_connections);
    let loaded = args.program.load(&args.guest, at_once)?;
    let pre = fit(&loaded, true)?
        .map_err(unfit)
        .and_then(|pre| Pre::new(pre, loaded.concurrent))
        .map_err(about)?;
    let workers = match args.workers {
        Some(count) => count as usize,
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let context = {
        let mut builder = guest_env.sandsock()?;
        builder.wait_on_fiber();
        handed.give(&mut builder);
        builder
    };
    let Listener { socket, name, file } = Listener::new(&args.listen)?;
    // The files are opened only now, so that an earlier error overwrites none of them.
    let observers = args.guest.observe.open(verbose, Instances::Many)?;
    let outputs = Outputs::new()?;
    let server = Arc::new(Server {
        engine: loaded.engine.clone(),
        pre,
        context,
        observers,
        outputs,
        guest_env,
        file: Mutex::new(file),
        component,
        stage: watch::Sender::new(Stage::Serving),
        connections: Arc::new(Semaphore::new(args.max_connections as usize)),
        max_time: args.max_time.map(|seconds| Duration::from_secs(seconds.into())),
        live: AtomicUsize::new(0),
        ticker: OnceLock::new(),
        status: AtomicI32::new(0),
    });
    let grace = Duration::from_secs(args.grace.into());
    end_by_signals(&server, if args.instances.is_some() { Duration::ZERO } else { grace }, grace)?;
    tick(&server);
    say!("listening on {name}");
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
        let ended =
            self.instance(move |builder| builder.hold(Arc::new(place)).inherit(0, socket)).await;
        self.report(&format_args!("a connection from {peer}"), &ended);
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
            if matches!(ended, Ok(Ended::Success | Ended::Stopped)) {
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
    ) -> anyhow::Result<Ended> {
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
        let run = async {
            match &self.pre {
                Pre::P2(pre) => {
                    let command = pre.instantiate_async(&mut store).await?;
                    command.wasi_cli_run().call_run(&mut store).await
                }
                Pre::P3(pre) => {
                    let command = pre.instantiate_async(&mut store).await?;
                    store
                        .run_concurrent(async |accessor| {
                            command.wasi_cli_run().call_run(accessor).await
                        })
                        .await?
                }
            }
        };
        let ended = {
            let mut run = std::pin::pin!(run);
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
                    Stage::Stopping => return Ok(Ended::Stopped),
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
        Ok(ended_of(ended, &store.data().memory))
    }

    /// Reports how an instance ended, unless the guest did.
    fn report(&self, what: &dyn std::fmt::Display, ended: &anyhow::Result<Ended>) {
        match ended {
            Ok(Ended::Success | Ended::Stopped) => {}
            Ok(Ended::Failure) => tracing::info!("{what}: the guest failed"),
            Ok(Ended::Trap(trap)) => {
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
fn ended_of(ended: wasmtime::Result<Result<(), ()>>, memory: &Memory) -> Ended {
    match ended {
        Ok(Ok(())) => Ended::Success,
        Ok(Err(())) => Ended::Failure,
        Err(error) => match error.downcast_ref() {
            Some(I32Exit(0)) => Ended::Success,
            Some(I32Exit(_)) => Ended::Failure,
            None if matches!(error.downcast_ref(), Some(Trap::Interrupt)) => Ended::Stopped,
            None => Ended::Trap(format!("{}{}", error.root_cause(), memory.advice())),
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
fn tick(server: &Arc<Server>) {
    let own = Arc::downgrade(server);
    let ticker = std::thread::spawn(move || {
        // The ticker does not keep the server alive, because the server's end gives back the
        // descriptors that were handed over.
        while let Some(live) = own.upgrade().map(|server| server.live.load(Ordering::Relaxed)) {
            if live == 0 {
                std::thread::park();
            }
            std::thread::sleep(TICK);
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
