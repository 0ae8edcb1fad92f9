//! What `run` and `serve` share: the options about the guest, its policy, its environment, its store
//! and its linker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use sandsock_host::policy::{DescriptorNumber, Policy, PolicyBuilderExt as _};
use sandsock_host::{SandsockCtx, SandsockCtxBuilder, SandsockCtxView, SandsockView};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::engine::{Loaded, load};
use crate::exit::{Exit, into_anyhow};
use crate::folders::{self, Folder, Opened, SocketRule, TrustedPath};
use crate::inherited_fds::InheritedFds;
use crate::memory::Memory;
use crate::observers::ObserveArgs;
use crate::text::printable;
use crate::{cache, compose, path_walk};

/// The component, and its arguments.
#[derive(Args)]
pub(crate) struct ComponentArgs {
    /// The component, a .wasm or .wat file.
    pub(crate) component: PathBuf,

    /// The guest's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// The options about the guest.
#[derive(Args, Default)]
pub(crate) struct GuestArgs {
    /// Grant a capability, for example tcp-connect=127.0.0.1:8000.
    #[arg(long, value_name = "VERB[=TARGET]")]
    allow: Vec<String>,

    /// Refuse a capability, even if another option allows it.
    #[arg(long, value_name = "VERB[=TARGET]")]
    deny: Vec<String>,

    /// Read grants, denials, names and limits from a file.
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,

    /// Allow everything that is not denied. The command logs a warning.
    #[arg(long)]
    allow_all: bool,

    /// Set a limit of the instance.
    #[arg(long, value_name = "NAME=N")]
    limit: Vec<String>,

    /// Grant the look-up of a name, and answer it with this address, without asking a resolver.
    #[arg(long, value_name = "NAME=ADDRESS")]
    resolve: Vec<String>,

    /// If the guest binds GUEST:PORT, bind HOST:PORT instead, and grant that bind. Without /tcp or
    /// /udp it holds for TCP and UDP.
    #[arg(long, value_name = "HOST:PORT=GUEST:PORT[/tcp|/udp]")]
    publish: Vec<String>,

    /// Run inside this network namespace, a name of `ip netns` or a path.
    #[arg(long, value_name = "NAME")]
    netns: Option<OsString>,

    /// Hand over a descriptor that this command inherited, and grant its use: fd:N, stdin, or listen
    /// for all descriptors of socket activation.
    #[arg(long, value_name = "fd:N|stdin|listen")]
    inherit: Vec<String>,

    /// Give the guest this host name. Without it the guest sees `sandbox`, or the real name if that
    /// is granted.
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Give the guest a folder, under its own name or another one. With :ro the guest can't write to
    /// it.
    #[arg(long, value_name = "HOST[::GUEST][:ro]")]
    pub(crate) dir: Vec<String>,

    /// Set an environment variable, or pass on this command's own if only the name is given.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    // This must be last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) observe: ObserveArgs,
}

/// The files that the C library reads for look-ups.
const LOOKUP_FILES: [&str; 8] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
];

/// wasmtime's own default. It is for what the guest holds beside sockets.
const HANDLES_MIN: usize = 100_000;

/// The handles for each descriptor. A connection of `wasi:sockets` 0.3 has five: the socket, two
/// streams and two futures. Calls that wait, and poll entries, have handles too.
const HANDLES_EACH: usize = 8;

/// The data of a store.
pub(crate) struct State {
    wasi: WasiCtx,
    pub(crate) sandsock: SandsockCtx,
    pub(crate) memory: Memory,
    table: ResourceTable,
}

/// What the command line says about the program that the guest is.
pub(crate) struct Program {
    /// The guest's arguments. Its name is the first.
    pub(crate) args: Vec<String>,
    /// The folders that the guest gets.
    pub(crate) folders: Vec<Folder>,
    /// The files of the program itself, which no guest may change.
    pub(crate) trusted: Vec<TrustedPath>,
}

impl ComponentArgs {
    /// Returns the program that the component is, with the folders of `--dir`.
    pub(crate) fn program(&self, guest: &GuestArgs) -> anyhow::Result<Program> {
        let name = self.component.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Program {
            args: std::iter::once(name).chain(self.args.iter().cloned()).collect(),
            folders: Folder::parse_all(&guest.dir)?,
            trusted: vec![TrustedPath::file(&self.component, "the component")],
        })
    }

    /// Reads and compiles the component as [`load`] does, and warns of likely mistakes in the
    /// command line.
    pub(crate) fn load(&self, guest: &GuestArgs, at_once: Option<u32>) -> Result<Loaded, Exit> {
        // These are the arguments as they were written: clap removes the `--` by which a user says
        // that the guest shall get such an option.
        let written = std::env::args_os()
            .map_while(|arg| arg.into_string().ok())
            .take_while(|arg| arg != "--")
            .skip_while(|arg| self.component != Path::new(arg));
        let late = written.skip(1).find(|arg| {
            let option = arg.split_once('=').map_or(arg.as_str(), |(option, _)| option);
            ["--allow", "--allow-all", "--deny", "--policy"].contains(&option)
        });
        if let Some(late) = late {
            tracing::warn!(
                "{late} comes after the component, so the guest gets it; write options of sandsock before the component"
            );
        }
        load(&self.component, at_once).map_err(|Exit { status, error }| {
            match guest.observe.without_value() {
                Some(option) => Exit {
                    status,
                    error: anyhow!("{error:#} ({option} takes its value as {option}=VALUE)"),
                },
                None => Exit { status, error },
            }
        })
    }
}

impl GuestArgs {
    /// Takes the descriptors of `--inherit`. This must happen before the process opens anything.
    pub(crate) fn handed(&self) -> anyhow::Result<InheritedFds> {
        InheritedFds::new(&self.inherit)
    }

    /// Enters the network namespace. This must happen before there is a second thread.
    pub(crate) fn enter_netns(&self) -> anyhow::Result<()> {
        let Some(name) = &self.netns else { return Ok(()) };
        sandsock_host::netns::enter(name).with_context(|| format!("--netns {}", name.display()))
    }

    /// Returns the policy's rules about UNIX paths, each with the option that set it.
    fn socket_rules(&self, policy: &Policy) -> Vec<SocketRule> {
        let name = |rule: &str, deny: bool| {
            let (option, words) =
                if deny { ("--deny", &self.deny) } else { ("--allow", &self.allow) };
            match self.policy.as_slice() {
                [] => format!("{option} {rule}"),
                _ if words.iter().any(|word| word == rule) => format!("{option} {rule}"),
                [file] => format!("the rule {rule} of --policy {}", file.display()),
                _ => format!("the rule {rule} of a --policy"),
            }
        };
        policy
            .unix_folders()
            .map(|(folder, rule, deny)| SocketRule { folder, name: name(rule, deny) })
            .collect()
    }

    /// Returns the files that the command trusts or writes.
    fn own_files(&self) -> Vec<TrustedPath> {
        let mut own: Vec<TrustedPath> = self
            .policy
            .iter()
            .map(|path| TrustedPath::file(path, "the policy of --policy"))
            .collect();
        own.extend(
            compose::places()
                .into_iter()
                .map(|path| TrustedPath::file(path, "where the provider of sockets is looked for")),
        );
        own.extend(self.observe.files());
        let cache = cache::folder(cache::COMPILED).map(|path| {
            (path, "the cache of compiled components (XDG_CACHE_HOME names another place)")
        });
        own.extend(cache.map(|(path, what)| TrustedPath {
            path,
            what: what.to_owned(),
            folder: true,
        }));
        // man 8 ip-netns: a name without a slash is in this folder. A path replaces it.
        let netns = self.netns.iter().map(|name| Path::new("/run/netns").join(name));
        own.extend(netns.map(|path| TrustedPath::file(path, "the namespace of --netns")));
        own.extend(
            path_walk::own_files()
                .into_iter()
                .map(|path| TrustedPath::file(path, "a part of this command")),
        );
        own.push(TrustedPath::file("/proc/self/mem", "the memory of this command"));
        own.extend(LOOKUP_FILES.iter().map(|path| TrustedPath::file(path, "which look-ups read")));
        // man 7 hostname: HOSTALIASES names a file of aliases.
        own.extend(
            std::env::var_os("HOSTALIASES")
                .map(|path| TrustedPath::file(path, "the aliases of HOSTALIASES")),
        );
        own
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

/// Raises this process's limit of open files, so that a guest reaches its own limit first.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::info!("the limit of open files stays as it is: {error}");
    }
}

/// Makes the policy from the options, and grants the descriptors that are handed over.
pub(crate) fn policy(
    args: &GuestArgs,
    handed: impl Iterator<Item = DescriptorNumber>,
) -> Result<Policy, Exit> {
    let mut builder = Policy::builder();
    builder.base_directory(std::env::current_dir().context("the working directory is gone")?)?;
    for file in &args.policy {
        builder.file(file)?;
    }
    for grant in &args.allow {
        builder.allow(grant).with_context(|| format!("--allow {grant}"))?;
    }
    for grant in &args.deny {
        builder.deny(grant).with_context(|| format!("--deny {grant}"))?;
    }
    for limit in &args.limit {
        builder.limit(limit).with_context(|| format!("--limit {limit}"))?;
    }
    for pair in &args.resolve {
        builder.resolve(pair).with_context(|| format!("--resolve {pair}"))?;
    }
    for pair in &args.publish {
        builder.publish(pair).with_context(|| format!("--publish {pair}"))?;
    }
    for number in handed {
        builder.allow(&format!("inherit={number}"))?;
    }
    if args.allow_all {
        tracing::warn!("--allow-all: the guest may use every socket that is not denied");
        builder.allow_all();
    }
    Ok(builder.build())
}

/// What each instance gets: its policy, arguments, environment variables and folders.
pub(crate) struct GuestEnv {
    policy: Arc<Policy>,
    hostname: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folders: Vec<Opened>,
}

impl GuestEnv {
    /// Checks the options and opens the folders. `socket` is the file that the command itself
    /// binds, if any.
    pub(crate) fn new(
        args: &GuestArgs,
        program: Program,
        handed: &InheritedFds,
        policy: Policy,
        socket: Option<&Path>,
    ) -> Result<Self, Exit> {
        let mut own = args.own_files();
        own.extend(program.trusted);
        own.extend(socket.map(|path| TrustedPath::file(path, "the socket of --listen")));
        let folders = folders::open(&program.folders, &args.socket_rules(&policy), &own)?;
        let mut env = handed.environment();
        env.extend(
            args.env
                .iter()
                .map(|variable| parse_env(variable))
                .collect::<anyhow::Result<Vec<_>>>()?,
        );
        Ok(Self {
            policy: Arc::new(policy),
            hostname: args.hostname.clone(),
            args: program.args,
            env,
            folders,
        })
    }

    /// Adds environment variables. Those of the options come later and win.
    pub(crate) fn add_env(&mut self, variables: Vec<(String, String)>) {
        self.env.splice(0..0, variables);
    }

    /// Makes WASI's context, without the standard streams.
    pub(crate) fn wasi(&self) -> anyhow::Result<WasiCtxBuilder> {
        let mut wasi = WasiCtx::builder();
        // Both versions of wasi:sockets are sandsock's.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.args(&self.args).envs(&self.env);
        for folder in &self.folders {
            let rights = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(folder.path(), &folder.guest, rights)
                .map_err(into_anyhow)
                .with_context(|| format!("can't open the folder {}", folder.guest))?;
        }
        Ok(wasi)
    }

    /// Makes the sockets' context, with the host name and the folders from which files are sent.
    pub(crate) fn sandsock(&self) -> anyhow::Result<SandsockCtxBuilder> {
        let mut sandsock = SandsockCtx::builder(Arc::clone(&self.policy));
        // The errors of wasi:sockets have no text. The reason may quote a name of the guest's.
        sandsock.on_missing_grant(|missing| say!("{}", printable(missing.reason)));
        if let Some(name) = &self.hostname {
            sandsock.host_name(name).with_context(|| format!("--hostname {name}"))?;
        }
        for folder in &self.folders {
            let opened = sandsock.folder(folder.path(), &folder.guest);
            opened.with_context(|| format!("can't open the folder {}", folder.guest))?;
        }
        Ok(sandsock)
    }
}

/// Parses `NAME=VALUE`, or takes the value of a variable of this process.
fn parse_env(variable: &str) -> anyhow::Result<(String, String)> {
    match variable.split_once('=') {
        Some(("", _)) => bail!("--env {variable}: the name is missing; write NAME=VALUE"),
        None if variable.is_empty() => bail!("--env: the name is missing; write NAME=VALUE"),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(variable) {
            Ok(value) => Ok((variable.to_owned(), value)),
            Err(_) => {
                bail!(
                    "--env {variable}: this variable is not set; write {variable}=VALUE to set it"
                )
            }
        },
    }
}

/// Makes the store of one instance.
pub(crate) fn new_store(engine: &Engine, wasi: WasiCtx, sandsock: SandsockCtx) -> Store<State> {
    let memory = Memory::new(sandsock.limits().memory_bytes);
    let mut store =
        Store::new(engine, State { wasi, sandsock, memory, table: ResourceTable::new() });
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    // wasmtime traps the guest at its own limit of handles. The policy's limits are errors, so they
    // must be reached first.
    let limits = store.data().sandsock.limits();
    let handles = limits
        .descriptors
        .saturating_add(limits.poll_entries)
        .saturating_add(limits.pollers)
        // A thread and the call that it waits in are handles too.
        .saturating_add(limits.threads.saturating_mul(4));
    let handles = usize::try_from(handles).unwrap_or(usize::MAX);
    store.set_max_component_handles(handles.saturating_mul(HANDLES_EACH).max(HANDLES_MIN));
    store
}

/// Returns a linker with everything that this command offers to guests.
fn linker(loaded: &Loaded, fiber: bool) -> Result<Linker<State>, Exit> {
    let mut linker = Linker::new(&loaded.engine);
    if fiber {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(into_anyhow)?;
        if loaded.concurrent {
            wasmtime_wasi::p3::add_to_linker(&mut linker).map_err(into_anyhow)?;
        }
        sandsock_host::add_to_linker_async(&mut linker).map_err(into_anyhow)?;
        if loaded.threads {
            sandsock_host::add_threads_to_linker(&mut linker).map_err(into_anyhow)?;
        }
    } else {
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(into_anyhow)?;
        sandsock_host::add_to_linker_sync(&mut linker).map_err(into_anyhow)?;
    }
    let kind = loaded.component.component_type();
    let mut imports = kind.imports(&loaded.engine);
    if !loaded.threads && imports.any(|(name, _)| name.starts_with(SCHEDULER)) {
        sandsock_host::add_no_threads_to_linker(&mut linker, &loaded.component)
            .map_err(into_anyhow)?;
    }
    Ok(linker)
}

/// How the name of an import begins that says how many threads a program may have.
const SCHEDULER: &str = "sandsock:socket/scheduler@";

/// How the names of the interfaces begin that this command offers.
const PACKAGES: [&str; 7] = [
    "sandsock:socket/",
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Links the component, or returns why this command can't run it. `fiber` says that async functions
/// call it.
pub(crate) fn fit(
    loaded: &Loaded,
    fiber: bool,
) -> Result<anyhow::Result<InstancePre<State>>, Exit> {
    let kind = loaded.component.component_type();
    let imports: Vec<&str> = kind.imports(&loaded.engine).map(|(name, _)| name).collect();
    let list = |names: &dyn Fn(&str) -> bool| -> Option<String> {
        let names: Vec<&str> = imports.iter().copied().filter(|name| names(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = list(&|name| !PACKAGES.iter().any(|package| name.starts_with(package))) {
        return Ok(Err(anyhow!("it imports {names}, which this command does not offer")));
    }
    let exports = |item: &str| kind.exports(&loaded.engine).any(|(name, _)| name.starts_with(item));
    if !exports("wasi:cli/run@") {
        if exports("wasi:http/") {
            return Ok(Err(anyhow!(
                "it answers requests of wasi:http and needs a host that speaks HTTP; this command offers sockets, and runs components \
                 that export wasi:cli/run"
            )));
        }
        return Ok(Err(anyhow!(
            "it does not export wasi:cli/run, so it is a library and not a program"
        )));
    }
    // wasmtime's own error names the import, and what about it does not fit.
    Ok(linker(loaded, fiber)?.instantiate_pre(&loaded.component).map_err(into_anyhow))
}

/// Returns the error for a component that can't be run.
pub(crate) fn unfit(why: anyhow::Error) -> Exit {
    Exit::load(why.context("can't run it (see `sandsock inspect`)"))
}
