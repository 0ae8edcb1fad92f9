//! What `run` and `serve` share: the options about the guest, its policy, its environment, its store
//! and its linker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use sandsock_host::policy::{
    Ceiling, DescriptorNumber, IdentityName, Policy, PolicyBuilder, PolicyBuilderExt as _, Verb,
};
use sandsock_host::tls::{Identity, Roots, TlsSettings};
use sandsock_host::{
    SandsockCtx, SandsockCtxBuilder, SandsockCtxView, SandsockView, TlsTerminator,
    TlsTerminatorError,
};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::engine::{Loaded, load};
use crate::exit::{Exit, into_anyhow};
use crate::folders::{self, Folder, Opened, SocketRule, TrustedPath};
use crate::harden::{HardenArgs, Kept, LookUps};
use crate::inherited_fds::InheritedFds;
use crate::learn::LearnArgs;
use crate::memory::Memory;
use crate::observers::{Instances, ObserveArgs, Observers};
use crate::parts::PROVIDER;
use crate::text::printable;
use crate::{cache, path_walk};

/// The component, and its arguments.
#[derive(Args)]
pub(crate) struct ComponentArgs {
    /// The component, a .wasm or .wat file.
    pub(crate) component: PathBuf,

    /// The guest's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// The options that make a policy.
#[derive(Args, Default)]
pub(crate) struct PolicyArgs {
    /// Grant a capability, for example tcp-connect=127.0.0.1:8000.
    #[arg(long, value_name = "VERB[=TARGET]")]
    allow: Vec<String>,

    /// Refuse a capability, even if another option allows it.
    #[arg(long, value_name = "VERB[=TARGET]")]
    deny: Vec<String>,

    /// Read grants, denials, names and limits from a file.
    #[arg(long = "policy", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Allow everything that is not denied. The command logs a warning.
    #[arg(long)]
    allow_all: bool,

    /// Set a limit of the instance.
    #[arg(long, value_name = "NAME=N")]
    limit: Vec<String>,

    /// Grant the look-up of a name, and answer it with this address, without asking a resolver.
    #[arg(long, value_name = "NAME=ADDRESS")]
    resolve: Vec<String>,

    /// Name a set of hosts, which a rule can have in place of a host.
    #[arg(long, value_name = "NAME=HOST,HOST")]
    set: Vec<String>,

    /// If the guest binds GUEST:PORT, bind HOST:PORT instead, and grant that bind. Without /tcp or
    /// /udp it holds for TCP and UDP.
    #[arg(long, value_name = "HOST:PORT=GUEST:PORT[/tcp|/udp]")]
    publish: Vec<String>,
}

/// The options about the guest.
#[derive(Args, Default)]
pub(crate) struct GuestArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

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

    /// Verify TLS servers by the roots in this PEM file or folder of PEM files. Without it, the system's
    /// roots count.
    #[arg(long, value_name = "PATH")]
    tls_roots: Option<PathBuf>,

    /// Give an identity for TLS a name, by which a rule of tls-identity or tls-listen lends it to the
    /// guest. The guest never sees the key.
    #[arg(long, value_name = "NAME=CERT.pem,KEY.pem")]
    tls_identity: Vec<String>,

    /// Give the guest a folder, under its own name or another one. With :ro the guest can't write to
    /// it.
    #[arg(long, value_name = "HOST[::GUEST][:ro]")]
    pub(crate) dir: Vec<String>,

    /// Set an environment variable, or pass on this command's own if only the name is given.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    #[command(flatten)]
    pub(crate) harden: HardenArgs,

    // These must be last, because their headings apply to every option after them.
    #[command(flatten)]
    pub(crate) observe: ObserveArgs,

    #[command(flatten)]
    pub(crate) learn: LearnArgs,
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
        load(&self.component, at_once, guest.harden.no_harden).map_err(|Exit { status, error }| {
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

impl PolicyArgs {
    /// Adds the sets. This must come before all rules that name them.
    pub(crate) fn add_sets(&self, builder: &mut PolicyBuilder) -> Result<(), Exit> {
        for set in &self.set {
            builder.set(set).with_context(|| format!("--set {set}"))?;
        }
        Ok(())
    }

    /// Adds these policy files, those of `--policy`, and then the other options.
    pub(crate) fn add_rules(
        &self,
        builder: &mut PolicyBuilder,
        files: &[PathBuf],
    ) -> Result<(), Exit> {
        for file in files.iter().chain(&self.files) {
            builder.file(file)?;
        }
        for grant in &self.allow {
            builder.allow(grant).with_context(|| format!("--allow {grant}"))?;
        }
        for grant in &self.deny {
            builder.deny(grant).with_context(|| format!("--deny {grant}"))?;
        }
        for limit in &self.limit {
            builder.limit(limit).with_context(|| format!("--limit {limit}"))?;
        }
        for pair in &self.resolve {
            builder.resolve(pair).with_context(|| format!("--resolve {pair}"))?;
        }
        for pair in &self.publish {
            builder.publish(pair).with_context(|| format!("--publish {pair}"))?;
        }
        if self.allow_all {
            builder.allow_all();
        }
        Ok(())
    }
}

impl GuestArgs {
    /// Returns the files of `--policy`.
    pub(crate) fn policy_files(&self) -> &[PathBuf] {
        &self.policy.files
    }

    /// Returns what the command keeps for itself under a policy. `asks` says that grants may be added
    /// later, at a terminal.
    pub(crate) fn kept(&self, policy: &Policy, asks: bool) -> anyhow::Result<Kept> {
        let mut files: Vec<PathBuf> = self.learn.file().map(Path::to_owned).into_iter().collect();
        if asks {
            files.extend_from_slice(&self.policy.files);
        }
        self.harden.kept(policy, asks, files)
    }

    /// Takes the descriptors of `--inherit`. This must happen before the process opens anything.
    pub(crate) fn handed(&self) -> anyhow::Result<InheritedFds> {
        InheritedFds::new(&self.inherit)
    }

    /// Enters the network namespace. This must happen before there is a second thread.
    pub(crate) fn enter_netns(&self) -> anyhow::Result<()> {
        let Some(name) = &self.netns else { return Ok(()) };
        sandsock_host::netns::enter(name).with_context(|| format!("--netns {}", name.display()))
    }

    /// Reads the roots and the identities of TLS. Returns the files of the keys too.
    fn tls(&self) -> anyhow::Result<(TlsSettings, Vec<TrustedPath>)> {
        let (mut settings, mut keys, mut names) = (TlsSettings::default(), Vec::new(), Vec::new());
        if let Some(path) = &self.tls_roots {
            settings.roots(Roots::from_path(path).context("--tls-roots")?);
        }
        for word in &self.tls_identity {
            let TlsIdentity { name, chain, key } = TlsIdentity::parse(word)?;
            if names.contains(&name) {
                bail!("--tls-identity {word}: the name {name} is given twice; use another name");
            }
            let read = |path: &str| {
                let can_not = || format!("--tls-identity {word}: can't read {path}");
                std::fs::read(path).with_context(can_not)
            };
            let identity = Identity::from_pem(&read(chain)?, &read(key)?)
                .with_context(|| format!("--tls-identity {word}"))?;
            settings.identity(name.as_str(), identity);
            keys.push(TrustedPath::file(key, format!("the key of --tls-identity {name}")));
            names.push(name);
        }
        Ok((settings, keys))
    }

    /// Returns the files of TLS that a guest must not change.
    fn tls_files(&self) -> Vec<TrustedPath> {
        let roots = self.tls_roots.iter();
        let roots = roots.map(|path| TrustedPath {
            path: path.clone(),
            what: "the roots of --tls-roots".to_owned(),
            folder: path.is_dir(),
        });
        let identities = self.tls_identity.iter().filter_map(|word| TlsIdentity::parse(word).ok());
        let chains = identities.map(|identity| {
            let what = format!("the certificate of --tls-identity {}", identity.name);
            TrustedPath::file(identity.chain, what)
        });
        roots.chain(chains).collect()
    }

    /// Returns the policy's rules about UNIX paths, each with the option that set it.
    fn socket_rules(&self, policy: &Policy) -> Vec<SocketRule> {
        let name = |rule: &str, deny: bool| {
            let (option, words) =
                if deny { ("--deny", &self.policy.deny) } else { ("--allow", &self.policy.allow) };
            match self.policy.files.as_slice() {
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
    fn own_files(&self, policy: &Policy) -> Vec<TrustedPath> {
        let mut own: Vec<TrustedPath> = policy
            .files()
            .iter()
            .map(|path| TrustedPath::file(path, "the policy of --policy"))
            .collect();
        own.extend(
            PROVIDER
                .places()
                .into_iter()
                .map(|path| TrustedPath::file(path, "where the provider of sockets is looked for")),
        );
        own.extend(self.observe.files());
        own.extend(
            self.learn.file().map(|path| TrustedPath::file(path, "the policy that --learn writes")),
        );
        own.extend(self.harden.own_file());
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

/// Adds this host's own networks, if a rule needs them.
pub(crate) fn add_host_networks(builder: &mut PolicyBuilder) -> Result<(), Exit> {
    if builder.needs_host_networks() {
        let own = sandsock_host::own_networks();
        builder
            .host_networks(own.context("can't list this host's networks, which are not public")?);
    }
    Ok(())
}

/// Makes the policy from the options, and grants the descriptors that are handed over.
pub(crate) fn policy(
    args: &GuestArgs,
    handed: impl Iterator<Item = DescriptorNumber>,
) -> Result<Policy, Exit> {
    let mut builder = Policy::builder();
    builder.base_directory(std::env::current_dir().context("the working directory is gone")?)?;
    args.policy.add_sets(&mut builder)?;
    args.learn.add_known(&mut builder, &args.policy.files)?;
    args.policy.add_rules(&mut builder, &[])?;
    let handed: Vec<String> = handed.map(|number| format!("inherit={number}")).collect();
    for rule in &handed {
        builder.allow(rule)?;
    }
    if args.policy.allow_all {
        tracing::warn!(
            "--allow-all: the guest may use every socket, and set this host's name and network, unless a rule denies it"
        );
    }
    add_host_networks(&mut builder)?;
    let policy = args.learn.policy(builder, &handed)?;
    for warning in policy.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(policy)
}

/// What each instance gets: its policy, arguments, environment variables and folders.
pub(crate) struct GuestEnv {
    policy: Arc<Policy>,
    hostname: Option<String>,
    tls: TlsSettings,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folders: Vec<Opened>,
    look_ups: LookUps,
}

impl GuestEnv {
    /// Checks the options and opens the folders. `socket` is the file that the command itself
    /// binds, if any.
    pub(crate) fn new(
        args: &GuestArgs,
        program: Program,
        handed: &InheritedFds,
        policy: Policy,
        look_ups: LookUps,
        socket: Option<&Path>,
    ) -> Result<Self, Exit> {
        let mut own = args.own_files(&policy);
        own.extend(program.trusted);
        own.extend(socket.map(|path| TrustedPath::file(path, "the socket of --listen")));
        let (mut tls, keys) = args.tls()?;
        for rule in policy.allowed() {
            if let Some(name) = rule.tls().and_then(|terms| terms.identity.as_ref())
                && !tls.has_identity(name.as_str())
            {
                let add = format!("add --tls-identity {name}=CERT.pem,KEY.pem");
                return Err(anyhow!("--allow {rule}: there is no identity {name}; {add}").into());
            }
            match rule.tls().and_then(|terms| terms.roots.as_deref()) {
                Some(path) => {
                    let roots = Roots::from_path(Path::new(path));
                    tls.rule_roots(path, roots.with_context(|| format!("--allow {rule}"))?);
                    own.push(TrustedPath {
                        path: path.into(),
                        what: format!("the roots of {rule}"),
                        folder: Path::new(path).is_dir(),
                    });
                }
                None if matches!(rule.verb(), Verb::TlsConnect | Verb::TlsUpgrade) => {
                    let verb = rule.verb();
                    tls.read_roots().with_context(|| format!("a rule of {verb} needs roots"))?;
                }
                None => {}
            }
        }
        own.extend(args.tls_files());
        let folders = folders::open(&program.folders, &args.socket_rules(&policy), &own, &keys)?;
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
            tls,
            args: program.args,
            env,
            folders,
            look_ups,
        })
    }

    /// Opens the files of the observers. Then the command restricts itself, and keeps `kept` and
    /// the file that it removes at its end. No thread may be started before that. Also returns the
    /// ceiling of later grants, if there is one. `verbose` is how often -v was given.
    pub(crate) fn observers(
        &self,
        args: &GuestArgs,
        verbose: u8,
        instances: Instances,
        kept: Kept,
        removed: Option<&Path>,
    ) -> anyhow::Result<(Observers, Option<Ceiling>)> {
        let lesson = args.learn.lesson(&self.policy)?;
        let mut ceiling = None;
        let observers = args.observe.open(verbose, instances, lesson, || {
            ceiling = args.harden.apply(kept, &self.folders, removed)?;
            Ok(())
        })?;
        Ok((observers, ceiling))
    }

    /// Adds environment variables. Those of the options come later and win.
    pub(crate) fn add_env(&mut self, variables: Vec<(String, String)>) {
        self.env.splice(0..0, variables);
    }

    /// Makes what speaks TLS in front of the guests, with an identity of `--tls-identity`.
    pub(crate) fn terminator(
        &self,
        identity: &str,
        alpn: &[String],
    ) -> anyhow::Result<TlsTerminator> {
        let alpn = alpn.iter().map(|name| name.clone().into_bytes()).collect();
        TlsTerminator::new(&self.tls, identity, alpn).map_err(|error| match error {
            TlsTerminatorError::NoIdentity(name) => anyhow!(
                "--tls identity={name}: there is no identity {name}; add --tls-identity \
                 {name}=CERT.pem,KEY.pem"
            ),
            error => anyhow!("--tls identity={identity}: {error}"),
        })
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
        sandsock.tls(self.tls.clone());
        if let Some(process) = &self.look_ups {
            sandsock.look_up_in(Arc::clone(process));
        }
        for folder in &self.folders {
            let opened = sandsock.folder(folder.path(), &folder.guest);
            opened.with_context(|| format!("can't open the folder {}", folder.guest))?;
        }
        Ok(sandsock)
    }
}

/// A word of `--tls-identity`.
struct TlsIdentity<'a> {
    name: IdentityName,
    chain: &'a str,
    key: &'a str,
}

impl<'a> TlsIdentity<'a> {
    /// Parses `NAME=CERT.pem,KEY.pem`.
    fn parse(word: &'a str) -> anyhow::Result<Self> {
        let files = word.split_once('=').and_then(|(name, files)| {
            let (chain, key) = files.split_once(',')?;
            (!chain.is_empty() && !key.is_empty()).then_some((name, chain, key))
        });
        let Some((name, chain, key)) = files else {
            bail!("--tls-identity {word}: write NAME=CERT.pem,KEY.pem");
        };
        let name = name.parse().with_context(|| format!("--tls-identity {word}"))?;
        Ok(Self { name, chain, key })
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

/// How the name of the export begins that runs a guest. Its version follows.
pub(crate) const RUN: &str = "wasi:cli/run@";

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
    if !exports(RUN) {
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
