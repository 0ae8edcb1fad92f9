//! The harness: runs a guest program in this process, under a policy, in both ways to wait.

pub mod bench;
pub mod built;
pub mod docs;

use std::fmt::Display;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sandsock_host::observe::Observer;
use sandsock_host::policy::{Policy, PolicyBuilder, PolicyBuilderExt as _, Rule};
use sandsock_host::tls::TlsSettings;
use sandsock_host::{
    Inherited, Interrupter, PolicyHandle, SandsockCtx, SandsockCtxView, SandsockView,
};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

pub mod fuse;
pub mod kernel;
pub mod netns;
pub mod recording;
pub mod resolver;

/// Every guest program, by its name.
pub mod programs {
    use super::Program;

    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

include!(concat!(env!("OUT_DIR"), "/pairs.rs"));

/// A guest program, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Program(&'static str);

impl Program {
    /// An example, by its name.
    pub const fn example(name: &'static str) -> Self {
        Self(name)
    }

    /// Where the built component lies.
    pub fn path(self) -> PathBuf {
        guest_path(self.0)
    }

    /// Returns whether the program is built. A program on std::net is not if the toolchain's
    /// wasi-libc has no sockets: `test` is then skipped.
    pub fn is_built(self, test: &str) -> bool {
        let is_built = self.path().exists();
        if !is_built {
            skip(test, &format!("{} is not built: this wasi-libc has no sockets", self.0));
        }
        is_built
    }

    /// The component composed with the provider, by the command.
    #[track_caller]
    pub fn composed(self) -> PathBuf {
        let folder = target().join("composed");
        std::fs::create_dir_all(&folder).expect("target is writable");
        let output = folder.join(self.0).with_extension("wasm");
        // Each process writes its own, and the last one's stays.
        let own = folder.join(format!("{}.{}", self.0, std::process::id()));
        let composed = std::process::Command::new(command())
            .arg("compose")
            .arg(self.path())
            .arg("-o")
            .arg(&own)
            .output();
        let composed = composed.expect("cargo built the command");
        assert!(composed.status.success(), "{}", String::from_utf8_lossy(&composed.stderr));
        std::fs::rename(&own, &output).expect("target is writable");
        output
    }
}

/// Returns the path of a built guest, which may be an example, or the provider.
pub fn guest_path(name: &str) -> PathBuf {
    target().join("guests").join(name).with_extension("wasm")
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The target folder that this program was built in.
pub fn target() -> &'static Path {
    Path::new(env!("SANDSOCK_TARGET"))
}

/// Returns the path of the command that cargo built with this program: it lies one folder up. The
/// tests and benchmarks that start the command belong to its package, so that cargo builds it first.
pub fn command() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    own.ancestors().nth(2).expect("it lies in target/PROFILE/deps").join("sandsock")
}

/// Says why a test does not run here, and has it counted.
pub fn skip(test: &str, reason: &str) {
    println!("skipped {test}: {reason}");
    if let Ok(mut file) =
        std::fs::OpenOptions::new().create(true).append(true).open(target().join("skipped.txt"))
    {
        let _ = writeln!(file, "{test}: {reason}");
    }
}

/// Raises this process's limit of open files to `count`, or as far as the process may, and returns
/// the limit.
pub fn raise_descriptor_limit(count: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Above the hard limit a privileged process may go.
    for maximum in [maximum, maximum.map(|maximum| maximum.max(count))] {
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit { current: Some(count.max(current.unwrap_or(count))), maximum },
        );
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The two ways to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In poll(2), on the thread.
    Thread,
    /// In tokio, the fiber suspended.
    Fiber,
}

/// Runs a test's body once for each way to wait.
pub fn both_ways(body: impl Fn(Way)) {
    for way in [Way::Thread, Way::Fiber] {
        println!("-- waiting on the {way:?}");
        body(way);
    }
}

/// Runs a test's body in a process of its own, where no other test forks. A child that is about to
/// exec closes copies of all descriptors, and waits if a file's owner does not answer. `test` is
/// the test's whole name.
///
/// # Panics
/// If the test fails there.
#[track_caller]
pub fn in_own_process(test: &str, body: impl Fn()) {
    const INSIDE: &str = "SANDSOCK_TESTS_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("this program has a path");
    let arguments = ["--exact", test, "--nocapture", "--test-threads", "1"];
    let output = std::process::Command::new(program)
        .args(arguments)
        .env(INSIDE, "1")
        .output()
        .expect("it starts");
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    println!("{text}");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} failed in its own process"
    );
}

/// A guest about to be run.
pub struct Guest {
    program: Program,
    composed: bool,
    way: Way,
    policy: PolicyBuilder,
    /// The policy that the guest shares with others, in place of its own.
    under: Option<Arc<Policy>>,
    args: Vec<String>,
    dirs: Vec<(PathBuf, String)>,
    hostname: Option<String>,
    inherited: Vec<(i32, Inherited)>,
    observers: Vec<Arc<dyn Observer>>,
    missing_grants: Arc<Mutex<Vec<String>>>,
    real_numbers: bool,
    tls: TlsSettings,
}

/// How a guest ended.
#[derive(Debug)]
pub struct Ended {
    /// The guest's own result, or the trap.
    pub result: Result<Result<(), ()>, wasmtime::Error>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Datagrams that no grant let in.
    pub dropped: u64,
    /// Bytes of files that the kernel sent by itself.
    pub by_kernel: u64,
    /// The processor time of its thread since instantiation. None if it shared the thread.
    pub cpu: Option<Duration>,
}

impl Ended {
    /// Checks that the guest succeeded, and returns its standard output.
    #[track_caller]
    pub fn success(self) -> String {
        match self.result {
            Ok(Ok(())) => self.stdout,
            Ok(Err(())) => {
                panic!("the guest failed\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr)
            }
            Err(trap) => panic!(
                "the guest trapped: {trap:?}\nstdout:\n{}\nstderr:\n{}",
                self.stdout, self.stderr
            ),
        }
    }
}

/// A guest under way on a thread of its own.
pub struct Running {
    thread: JoinHandle<Ended>,
    interrupter: Interrupter,
    policy: PolicyHandle,
    engine: Engine,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

impl Running {
    /// Ends the guest's wait.
    pub fn interrupt(&self) {
        self.interrupter.interrupt();
    }

    /// Returns a handle that replaces the guest's policy.
    pub fn policy(&self) -> PolicyHandle {
        self.policy.clone()
    }

    /// Stops the guest wherever it computes.
    pub fn stop(&self) {
        self.engine.increment_epoch();
        self.interrupter.interrupt();
    }

    /// Waits (10 s at most) until the guest has printed this many lines, and gives them.
    #[track_caller]
    pub fn lines(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let text = String::from_utf8_lossy(&self.stdout.contents()).into_owned();
            if text.matches('\n').count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            if self.thread.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = |pipe: &MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        panic!(
            "the guest did not print {count} lines\nstdout:\n{}\nstderr:\n{}",
            text(&self.stdout),
            text(&self.stderr)
        );
    }

    /// The lines that the guest has printed by now.
    pub fn lines_so_far(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stdout.contents()).into_owned();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Whether the guest has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the guest's end until an instant. None if the guest has not ended by then.
    #[track_caller]
    pub fn join_until(self, deadline: Instant) -> Option<Ended> {
        while !self.is_over() {
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(self.join())
    }

    /// Waits for the guest's end.
    #[track_caller]
    pub fn join(self) -> Ended {
        self.thread.join().expect("the host must not panic")
    }
}

impl Guest {
    /// A run of this program without any grant.
    pub fn new(program: Program, way: Way) -> Self {
        Self {
            program,
            composed: false,
            way,
            policy: Policy::builder(),
            under: None,
            args: Vec::new(),
            dirs: Vec::new(),
            inherited: Vec::new(),
            real_numbers: false,
            hostname: None,
            observers: Vec::new(),
            missing_grants: Arc::default(),
            tls: TlsSettings::default(),
        }
    }

    /// Returns the policy that the guest would run under.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::new(self.policy.clone().build())
    }

    /// Runs the guest under a policy that it shares with others.
    pub fn under(mut self, policy: &Arc<Policy>) -> Self {
        self.under = Some(Arc::clone(policy));
        self
    }

    /// Adds a grant.
    #[track_caller]
    pub fn allow(mut self, grant: impl Display) -> Self {
        self.policy.allow(&grant.to_string()).expect("a good grant");
        self
    }

    /// Adds what an example's policy file says.
    #[track_caller]
    pub fn example_policy(mut self) -> Self {
        let path = root().join("examples/policies").join(self.program.0).with_extension("toml");
        self.policy.file(&path).expect("a good policy");
        self
    }

    /// Adds a denial.
    #[track_caller]
    pub fn deny(mut self, grant: impl Display) -> Self {
        self.policy.deny(&grant.to_string()).expect("a good denial");
        self
    }

    /// Allows all that is not denied.
    pub fn allow_all(mut self) -> Self {
        self.policy.allow_all();
        self
    }

    /// Sets a limit.
    #[track_caller]
    pub fn limit(mut self, limit: impl Display) -> Self {
        self.policy.limit(&limit.to_string()).expect("a good limit");
        self
    }

    /// Sets the roots and the identities of TLS.
    pub fn tls(mut self, settings: TlsSettings) -> Self {
        self.tls = settings;
        self
    }

    /// Gives a name an address.
    #[track_caller]
    pub fn resolve(mut self, pair: impl Display) -> Self {
        self.policy.resolve(&pair.to_string()).expect("a good pair");
        self
    }

    /// Gives the guest a host name.
    pub fn hostname(mut self, name: &str) -> Self {
        self.hostname = Some(name.to_owned());
        self
    }

    /// Composes the program with the provider.
    pub fn composed(mut self) -> Self {
        self.composed = true;
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Display) -> Self {
        self.args.push(arg.to_string());
        self
    }

    /// Whether this grant was added, and not denied.
    pub fn is_allowed(&self, grant: &str) -> bool {
        let policy = self.policy.clone().build();
        let has = |rules: &[Rule]| rules.iter().any(|rule| rule.to_string() == grant);
        has(policy.allowed()) && !has(policy.denied())
    }

    /// Hands a descriptor over that others may have too.
    #[track_caller]
    pub fn inherit(mut self, number: i32, descriptor: impl Into<OwnedFd>) -> Self {
        self.inherited.push((number, Inherited::new(descriptor.into()).expect("it is open")));
        self
    }

    /// Hands over a descriptor that other guests get too.
    pub fn hand(mut self, number: i32, descriptor: &Inherited) -> Self {
        self.inherited.push((number, descriptor.clone()));
        self
    }

    /// Shows the guest this process's own descriptor numbers, all of which it may use.
    pub fn real_numbers(mut self) -> Self {
        self.real_numbers = true;
        self
    }

    /// Publishes an address.
    #[track_caller]
    pub fn publish(mut self, pair: impl Display) -> Self {
        self.policy.publish(&pair.to_string()).expect("a good pair");
        self
    }

    /// Gives the guest a folder.
    pub fn dir(mut self, host: &Path, guest: &str) -> Self {
        self.dirs.push((host.to_owned(), guest.to_owned()));
        self
    }

    /// Sets the directory that relative UNIX paths start at: for the grants that follow, and for
    /// the guest.
    #[track_caller]
    pub fn base(mut self, directory: &Path) -> Self {
        self.policy.base_directory(directory).expect("a good directory");
        self
    }

    /// Lets an observer follow the guest's calls.
    pub fn observe(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Where the grants are listed that calls of `wasi:sockets` lack, once the guest has ended.
    pub fn missing_grants(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.missing_grants)
    }

    /// Runs the guest to its end.
    #[track_caller]
    pub fn run(self) -> Ended {
        self.start().join()
    }

    /// Starts the guest on a thread of its own.
    #[track_caller]
    pub fn start(self) -> Running {
        let engine = new_engine(self.program);
        let component = match self.composed {
            true => from_file(&engine, &self.program.composed()),
            false => compiled(&engine, self.program),
        };
        let way = self.way;
        let Prepared { state, stdout, stderr } = self.prepare();
        let interrupter = state.sandsock.interrupter();
        let policy = state.sandsock.policy_handle();
        let (own_engine, own_stdout, own_stderr) = (engine.clone(), stdout.clone(), stderr.clone());
        let thread = guest_thread(move || {
            let mut store = Store::new(&engine, state);
            store.set_epoch_deadline(1);
            allow_handles(&mut store);
            let before = thread_time();
            let result = match way {
                Way::Thread => run_sync(&engine, &component, &mut store),
                Way::Fiber => on_runtime(run_async(&engine, &component, &mut store)),
            };
            let cpu = thread_time().saturating_sub(before);
            ended(store, result, &stdout, &stderr, Some(cpu))
        });
        Running {
            thread,
            interrupter,
            policy,
            engine: own_engine,
            stdout: own_stdout,
            stderr: own_stderr,
        }
    }

    /// The guest's own state, ready for a store.
    fn prepare(self) -> Prepared {
        let stdout = MemoryOutputPipe::new(1 << 20);
        let stderr = MemoryOutputPipe::new(1 << 20);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).arg(self.program.0).args(&self.args);
        for (host, guest) in &self.dirs {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite).expect("the folder is there");
        }
        let policy = self.under.unwrap_or_else(|| Arc::new(self.policy.build()));
        let mut builder = SandsockCtx::builder(policy);
        for (host, guest) in &self.dirs {
            builder.folder(host, guest).expect("the folder is there");
        }
        if self.way == Way::Fiber {
            builder.wait_on_fiber();
        }
        for (number, descriptor) in self.inherited {
            builder.inherit(number, descriptor);
        }
        for observer in self.observers {
            builder.observe(observer);
        }
        builder.real_numbers(self.real_numbers).tls(self.tls);
        let missing_grants = self.missing_grants;
        builder.on_missing_grant(move |missing| {
            let grant = missing.grant.unwrap_or(missing.reason).to_owned();
            missing_grants.lock().unwrap_or_else(PoisonError::into_inner).push(grant);
        });
        if let Some(name) = &self.hostname {
            builder.host_name(name).expect("a good name");
        }
        let sandsock = builder.build().expect("a context");
        Prepared { state: State::new(wasi.build(), sandsock), stdout, stderr }
    }
}

/// Runs many guests of one program, all waiting on fibers, together on one thread.
#[track_caller]
pub fn run_together(guests: Vec<Guest>) -> JoinHandle<Vec<Ended>> {
    let program = guests.first().expect("at least one guest").program;
    let engine = new_engine(program);
    assert!(guests.iter().all(|guest| guest.program == program && guest.way == Way::Fiber));
    let component = compiled(&engine, program);
    let prepared: Vec<_> = guests.into_iter().map(Guest::prepare).collect();
    guest_thread(move || {
        let tasks = tokio::task::LocalSet::new();
        let all: Vec<_> = prepared
            .into_iter()
            .map(|Prepared { state, stdout, stderr }| {
                let (engine, component) = (engine.clone(), component.clone());
                tasks.spawn_local(async move {
                    let mut store = Store::new(&engine, state);
                    store.set_epoch_deadline(1);
                    let result = run_async(&engine, &component, &mut store).await;
                    ended(store, result, &stdout, &stderr, None)
                })
            })
            .collect();
        on_runtime(tasks.run_until(async move {
            let mut results = Vec::new();
            for task in all {
                results.push(task.await.expect("the host must not panic"));
            }
            results
        }))
    })
}

/// Runs guests on a thread that a recorded run knows.
fn guest_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    recording::begin();
    let thread = std::thread::Builder::new().name(recording::GUEST_THREAD.to_owned());
    thread.spawn(run).expect("the process can start a thread")
}

/// A guest that only lacks its store.
struct Prepared {
    state: State,
    stdout: MemoryOutputPipe,
    stderr: MemoryOutputPipe,
}

/// Closes the store, and with it every descriptor of the guest, and returns how the guest ended.
fn ended(
    store: Store<State>,
    result: Outcome,
    stdout: &MemoryOutputPipe,
    stderr: &MemoryOutputPipe,
    cpu: Option<Duration>,
) -> Ended {
    let dropped = store.data().sandsock.dropped_datagrams();
    let by_kernel = store.data().sandsock.file_bytes_sent();
    drop(store);
    let text = |pipe: &MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
    Ended { result, stdout: text(stdout), stderr: text(stderr), dropped, by_kernel, cpu }
}

/// wasmtime traps above its own limit of handles: the policy's must be met first.
fn allow_handles(store: &mut Store<State>) {
    let limits = store.data().sandsock.limits();
    let handles = usize::try_from(limits.descriptors + limits.poll_entries + limits.pollers)
        .expect("64 bits");
    store.set_max_component_handles((2 * handles).max(100_000));
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The data of a guest's store.
pub struct State {
    wasi: WasiCtx,
    sandsock: SandsockCtx,
    table: ResourceTable,
}

impl State {
    /// With these contexts, and a table of its own.
    pub fn new(wasi: WasiCtx, sandsock: SandsockCtx) -> Self {
        Self { wasi, sandsock, table: ResourceTable::new() }
    }
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

/// Makes an engine for one guest, so that it can be stopped without the others.
fn new_engine(program: Program) -> Engine {
    if kernel::is_booted() {
        return kernel::engine(program);
    }
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Cache::new(CacheConfig::new()).expect("a cache folder"));
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true).cache(Some(cache.clone()));
    Engine::new(&config).expect("an engine")
}

/// The program, compiled or from wasmtime's cache.
#[track_caller]
fn compiled(engine: &Engine, program: Program) -> Component {
    from_file(engine, &program.path())
}

fn from_file(engine: &Engine, path: &Path) -> Component {
    Component::from_file(engine, path)
        .unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

type Outcome = Result<Result<(), ()>, wasmtime::Error>;

fn run_sync(engine: &Engine, component: &Component, store: &mut Store<State>) -> Outcome {
    use wasmtime_wasi::p2::bindings::sync::Command;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    sandsock_host::add_to_linker_sync(&mut linker)?;
    Command::instantiate(&mut *store, component, &linker)?.wasi_cli_run().call_run(store)
}

async fn run_async(engine: &Engine, component: &Component, store: &mut Store<State>) -> Outcome {
    use wasmtime_wasi::p2::bindings::Command;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sandsock_host::add_to_linker_async(&mut linker)?;
    Command::instantiate_async(&mut *store, component, &linker)
        .await?
        .wasi_cli_run()
        .call_run(store)
        .await
}

/// Runs a future on a runtime of this thread alone.
fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
