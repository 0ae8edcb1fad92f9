//! `sandsock run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use sandsock_host::policy::Policy;
use sandsock_host::{Interrupter, SandsockCtx, SandsockCtxView, SandsockView};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store, WasmBacktrace};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxView, WasiView};

use super::engine::{Loaded, load};
use super::inspect::wants_provider;
use super::{Failure, RunArgs, told};

/// wasmtime's own default, for what the guest holds beside sockets.
const HANDLES_MIN: usize = 100_000;

/// What the store holds.
pub(super) struct State {
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

/// Runs a component to its end; its exit status is the command's.
pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    raise_descriptor_limit();
    let policy = policy(args)?;
    let dirs = args.dir.iter().map(|dir| parse_dir(dir)).collect::<anyhow::Result<Vec<_>>>()?;
    refuse_writable_socket_folders(&policy, &dirs)?;
    let wasi = wasi(args, &dirs)?;
    let loaded = load(&args.component)?;
    let mut builder = SandsockCtx::builder(Arc::new(policy));
    if loaded.concurrent {
        builder.wait_on_fiber();
    }
    let sandsock = builder.build().context("can't make the context")?;
    let interrupter = sandsock.interrupter();
    let mut store = Store::new(&loaded.engine, State { wasi, sandsock, table: ResourceTable::new() });
    store.set_epoch_deadline(1);
    // wasmtime traps above its own limit of handles: ours, which are errors, must be reached first.
    let limits = store.data().sandsock.limits();
    let handles = limits.descriptors.saturating_add(limits.poll_entries).saturating_add(limits.pollers);
    let handles = usize::try_from(handles).unwrap_or(usize::MAX);
    store.set_max_component_handles(handles.saturating_mul(2).max(HANDLES_MIN));
    stop_by_ctrl_c(interrupter, loaded.engine.clone())?;
    let result = if loaded.concurrent { run_concurrent(&loaded, &mut store) } else { run_sync(&loaded, &mut store) };
    let result = result.map_err(|failure| failure.about(&args.component));
    let dropped = store.data().sandsock.dropped_datagrams();
    if dropped > 0 {
        tracing::info!("{dropped} datagrams were dropped: no grant names their senders");
    }
    result.and_then(|ended| status(&args.component, ended))
}

/// The guest's limit of descriptors should be what it meets first, not this process's soft one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::info!("the limit of open files stays as it is: {error}");
    }
}

fn policy(args: &RunArgs) -> Result<Policy, Failure> {
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
    if args.allow_all {
        tracing::warn!("--allow-all: the guest may use every socket that is not denied");
        builder.allow_all();
    }
    Ok(builder.build())
}

/// `HOST::GUEST`, or `HOST` alone for both.
fn parse_dir(dir: &str) -> anyhow::Result<(PathBuf, String)> {
    let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
    if host.is_empty() || guest.is_empty() {
        bail!("--dir {dir}: write it as HOST::GUEST, for example ./data::/data");
    }
    Ok((PathBuf::from(host), guest.to_owned()))
}

/// A guest that may write where it binds could swap the folder under the check.
fn refuse_writable_socket_folders(policy: &Policy, dirs: &[(PathBuf, String)]) -> Result<(), Failure> {
    for (host, _) in dirs {
        let folder = host.canonicalize().with_context(|| format!("--dir {}: can't open the folder", host.display()))?;
        for base in policy.unix_bind_directories() {
            let real = real_folder(&base);
            if real.starts_with(&folder) || folder.starts_with(&real) {
                return Err(anyhow!(
                    "--dir {} and the grant unix-bind under {} share a folder: a guest must not write where it binds; \
                     use a folder of its own for sockets",
                    host.display(),
                    base.display()
                )
                .into());
            }
        }
    }
    Ok(())
}

/// A folder's real path. Of one that is not there yet, and that a guest might make, the part that is there and the rest.
fn real_folder(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find_map(|part| Some((part.canonicalize().ok()?, folder.strip_prefix(part).ok()?)));
    there.map_or_else(|| folder.to_owned(), |(real, rest)| real.join(rest))
}

fn wasi(args: &RunArgs, dirs: &[(PathBuf, String)]) -> Result<WasiCtx, Failure> {
    let mut wasi = WasiCtx::builder();
    wasi.inherit_stdio();
    // The guest is alone on its thread.
    wasi.allow_blocking_current_thread(true);
    // Until it is served under the same policy, wasi:sockets is denied whole.
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.arg(args.component.file_name().unwrap_or_default().to_string_lossy());
    wasi.args(&args.args);
    for variable in &args.env {
        match variable.split_once('=') {
            Some(("", _)) => return Err(anyhow!("--env {variable}: the name is missing; write NAME=VALUE").into()),
            None if variable.is_empty() => return Err(anyhow!("--env: the name is missing; write NAME=VALUE").into()),
            Some((name, value)) => wasi.env(name, value),
            None => match std::env::var(variable) {
                Ok(value) => wasi.env(variable, value),
                Err(_) => {
                    return Err(anyhow!("--env {variable}: it is not set here; write {variable}=VALUE to set it").into());
                }
            },
        };
    }
    for (host, guest) in dirs {
        wasi.preopened_dir(host, guest, FsPerms::ReadWrite)
            .map_err(told)
            .with_context(|| format!("--dir {}: can't open the folder", host.display()))?;
    }
    Ok(wasi.build())
}

/// How a guest ended: its own result, or a trap.
type Ended = Result<Result<(), ()>, wasmtime::Error>;

/// Without concurrency support, on this thread.
fn run_sync(loaded: &Loaded, store: &mut Store<State>) -> Result<Ended, Failure> {
    use wasmtime_wasi::p2::bindings::sync::CommandPre;
    let pre = CommandPre::new(fit(loaded)?.map_err(unfit)?).map_err(told).map_err(unfit)?;
    let command = match pre.instantiate(&mut *store) {
        Ok(command) => command,
        Err(trap) => return Ok(Err(trap)),
    };
    Ok(command.wasi_cli_run().call_run(store))
}

/// With concurrency support, on a tokio runtime of this thread.
fn run_concurrent(loaded: &Loaded, store: &mut Store<State>) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start tokio")?;
    let pre = fit(loaded)?.map_err(unfit)?;
    runtime.block_on(async {
        if let Ok(pre) = wasmtime_wasi::p3::bindings::CommandPre::new(pre.clone()) {
            let command = match pre.instantiate_async(&mut *store).await {
                Ok(command) => command,
                Err(trap) => return Ok(Err(trap)),
            };
            let ended = store.run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await).await;
            return Ok(ended.and_then(|ended| ended));
        }
        let pre = wasmtime_wasi::p2::bindings::CommandPre::new(pre).map_err(told).map_err(unfit)?;
        let command = match pre.instantiate_async(&mut *store).await {
            Ok(command) => command,
            Err(trap) => return Ok(Err(trap)),
        };
        Ok(command.wasi_cli_run().call_run(store).await)
    })
}

/// Everything that this command serves.
fn linker(loaded: &Loaded) -> Result<Linker<State>, Failure> {
    let mut linker = Linker::new(&loaded.engine);
    if loaded.concurrent {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker).map_err(told)?;
        sandsock_host::add_to_linker_async(&mut linker).map_err(told)?;
    } else {
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(told)?;
        sandsock_host::add_to_linker_sync(&mut linker).map_err(told)?;
    }
    Ok(linker)
}

/// The component with all its imports found, or why this command can't run it.
pub(super) fn fit(loaded: &Loaded) -> Result<anyhow::Result<InstancePre<State>>, Failure> {
    let kind = loaded.component.component_type();
    let imports: Vec<&str> = kind.imports(&loaded.engine).map(|(name, _)| name).collect();
    let list = |names: &dyn Fn(&str) -> bool| -> Option<String> {
        let names: Vec<&str> = imports.iter().copied().filter(|name| names(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = list(&|name| !name.starts_with("wasi:") && !name.starts_with("sandsock:socket/")) {
        return Ok(Err(anyhow!("it imports {names}, which this command does not have")));
    }
    if let Some(names) = list(&wants_provider) {
        return Ok(Err(anyhow!("it imports {names}: it has to be composed with a provider of these first")));
    }
    if !kind.exports(&loaded.engine).any(|(name, _)| name.starts_with("wasi:cli/run@")) {
        return Ok(Err(anyhow!("it exports no wasi:cli/run, so it is a library and not a program")));
    }
    // Now wasmtime's own words: they name the import, and what of it does not fit.
    Ok(linker(loaded)?.instantiate_pre(&loaded.component).map_err(told))
}

fn unfit(why: anyhow::Error) -> Failure {
    Failure::load(why.context("can't run it (see `sandsock inspect`)"))
}

/// The first Ctrl-C ends the guest's wait; the second one stops the guest, and the command where the guest sits in a call.
fn stop_by_ctrl_c(interrupter: Interrupter, engine: Engine) -> anyhow::Result<()> {
    /// The shell's status for a program that SIGINT ended.
    const STOPPED: i32 = 130;
    let count = AtomicU32::new(0);
    ctrlc::set_handler(move || {
        interrupter.interrupt();
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            // Most guests end now. Only one that does not needs the advice, and its own words come first.
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                eprintln!("sandsock: interrupted; Ctrl-C again stops the guest");
            });
            return;
        }
        engine.increment_epoch();
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            std::process::exit(STOPPED);
        });
    })
    .context("can't watch for Ctrl-C")
}

/// The command's status for a guest's end.
fn status(component: &Path, ended: Ended) -> Result<ExitCode, Failure> {
    match ended {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(())) => Ok(ExitCode::FAILURE),
        Err(error) => {
            if let Some(I32Exit(code)) = error.downcast_ref() {
                return Ok(ExitCode::from(u8::try_from(*code).unwrap_or(1)));
            }
            if matches!(error.downcast_ref(), Some(wasmtime::Trap::Interrupt)) {
                return Ok(ExitCode::from(130));
            }
            eprintln!("sandsock: {}: the guest trapped: {}", component.display(), error.root_cause());
            if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
                eprintln!("{trace}");
            }
            // A shell's status for an abort: the guest did not end by itself.
            Ok(ExitCode::from(134))
        }
    }
}
