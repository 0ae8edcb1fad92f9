//! `sandsock run`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use sandsock_host::Interrupter;
use sandsock_host::policy::Limits;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::pipe;
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::cli::StdinStream as _;
use wasmtime_wasi::p2::Pollable as _;

use crate::ask::AskArgs;
use crate::engine::Loaded;
use crate::entry::{self, Ended, Entry, SWITCH};
use crate::exit::{Exit, into_anyhow};
use crate::guest::{
    ComponentArgs, GuestArgs, GuestEnv, Program, State, fit, new_store, policy,
    raise_descriptor_limit, unfit,
};
use crate::memory::Stacks;
use crate::observers::{Instances, Observers};
use crate::stderr::LAST_LINES;
use crate::stderr::Stderr;
use crate::text::printable_lines;

/// What `run` takes.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    program: ComponentArgs,

    #[command(flatten)]
    ask: AskArgs,

    #[command(flatten)]
    guest: GuestArgs,
}

/// Runs a component to its end. Its exit status is the command's.
pub(crate) fn run(args: &RunArgs, verbose: u8) -> Result<ExitCode, Exit> {
    let RunArgs { program, ask, guest } = args;
    run_program(
        guest,
        ask,
        &program.component,
        verbose,
        || Ok(program.program(guest)?),
        |_| program.load(guest, None),
        || (),
    )
}

/// Runs the program that `load` gives, in one instance. Messages begin with `name`. `begin` is called
/// when the program begins, and may start threads.
pub(crate) fn run_program(
    args: &GuestArgs,
    ask: &AskArgs,
    name: &Path,
    verbose: u8,
    program: impl FnOnce() -> Result<Program, Exit>,
    load: impl FnOnce(&Limits) -> Result<Loaded, Exit>,
    begin: impl FnOnce(),
) -> Result<ExitCode, Exit> {
    // This comes first, because what the process opens could take the numbers.
    let handed = args.handed()?;
    args.enter_netns()?;
    raise_descriptor_limit();
    args.observe.check()?;
    let policy = policy(args, handed.numbers())?;
    let limits = policy.limits().clone();
    let kept = args.kept(&policy, ask.asks())?;
    let look_ups = args.harden.look_ups(&kept)?;
    let guest_env = GuestEnv::new(args, program()?, &handed, policy, look_ups, None)?;
    let mut wasi = guest_env.wasi()?;
    // The guest is alone on its thread.
    wasi.inherit_stdio().allow_blocking_current_thread(true);
    let mut builder = guest_env.sandsock()?;
    // All streams of the standard input share one state.
    builder.stdin_ready(|| async { std::io::stdin().p2_stream().ready().await });
    let loaded = load(&limits)?;
    // It reads a file that the command can't open later.
    let stacks = Stacks::new(limits.memory_bytes);
    // The files are opened only now, so that an earlier error overwrites none of them.
    let (observers, ceiling) = guest_env.observers(args, verbose, Instances::One, kept, None)?;
    // From here on there may be threads.
    begin();
    let asker = ask.asker(args, ceiling)?;
    let guarded = asker.as_ref().map(|asker| asker.outputs.clone());
    if let Some(outputs) = &guarded {
        outputs.give(&mut wasi)?;
    }
    let sandsock = {
        if loaded.concurrent {
            builder.wait_on_fiber();
        }
        handed.give(&mut builder);
        observers.attach(&mut builder);
        if let Some(asker) = asker {
            builder.ask_for_grants(move |missing| asker.ask(missing));
        }
        builder.build().context("can't make the context")?
    };
    // The guest is the only owner of the descriptors that were handed over.
    drop(builder);
    let interrupter = sandsock.interrupter();
    let mut store = new_store(&loaded.engine, wasi.build(), sandsock);
    let stopped = Arc::new(AtomicBool::new(false));
    if loaded.threads {
        preempt(&mut store, &loaded.engine, &stopped, stacks);
    }
    stop_by_ctrl_c(interrupter, loaded.engine.clone(), stopped, observers.clone())?;
    let result = if loaded.concurrent {
        run_concurrent(&loaded, &mut store)
    } else {
        run_sync(&loaded, &mut store)
    };
    let result = result.map_err(|failure| failure.about(name));
    let dropped = store.data().sandsock.dropped_datagrams();
    if dropped > 0 {
        tracing::info!("{dropped} datagrams were dropped: no grant names their senders");
    }
    let advice = store.data().memory.advice();
    // The guest's descriptors are closed before the statistics are printed.
    drop(store);
    let status = result.and_then(|ended| status(name, ended, &advice));
    sandsock_host::finish_sends();
    if let Some(outputs) = guarded {
        outputs.finish(Instant::now() + LAST_LINES);
    }
    observers.finish(Instant::now() + LAST_LINES);
    status
}

/// Runs a component without concurrency support, on this thread.
fn run_sync(loaded: &Loaded, store: &mut Store<State>) -> Result<Ended, Exit> {
    use wasmtime_wasi::p2::bindings::sync::CommandPre;
    let pre =
        CommandPre::new(fit(loaded, false)?.map_err(unfit)?).map_err(into_anyhow).map_err(unfit)?;
    let command = match pre.instantiate(&mut *store) {
        Ok(command) => command,
        Err(trap) => return Ok(Err(trap)),
    };
    Ok(command.wasi_cli_run().call_run(store))
}

/// Runs a component with concurrency support, on a tokio runtime of this thread.
fn run_concurrent(loaded: &Loaded, store: &mut Store<State>) -> Result<Ended, Exit> {
    let entry = Entry::new(loaded)?;
    Ok(entry::block_on(entry.run(store))?)
}

/// Makes the guest's threads give way to one another, and ends the guest when it is stopped.
fn preempt(
    store: &mut Store<State>,
    engine: &Engine,
    stopped: &Arc<AtomicBool>,
    mut stacks: Stacks,
) {
    let stopped = Arc::clone(stopped);
    store.epoch_deadline_callback(move |store| {
        if stopped.load(Ordering::Relaxed) {
            return Ok(UpdateDeadline::Interrupt);
        }
        stacks.check()?;
        sandsock_host::tick(store);
        // The host's waits go on in the meantime.
        Ok(UpdateDeadline::Yield(1))
    });
    let engine = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(SWITCH);
        }
    });
}

/// The first Ctrl-C ends the guest's wait. The second one stops the guest. If the guest is in a call
/// of the host, the second one ends the command.
fn stop_by_ctrl_c(
    interrupter: Interrupter,
    engine: Engine,
    stopped: Arc<AtomicBool>,
    observers: Observers,
) -> anyhow::Result<()> {
    /// The shell's status for a program that SIGINT ended.
    const STOPPED: i32 = 130;
    // Each signal writes one byte, so that two signals in a row count as two.
    let (mut signals, signal) = std::io::pipe().context("can't watch for Ctrl-C")?;
    pipe::register(SIGINT, signal).context("can't watch for Ctrl-C")?;
    let mut first = true;
    std::thread::spawn(move || {
        while signals.read_exact(&mut [0]).is_ok() {
            interrupter.interrupt();
            if std::mem::take(&mut first) {
                // Most guests end now. The advice is only for a guest that does not, and comes
                // after the guest's own message.
                std::thread::spawn(|| {
                    std::thread::sleep(Duration::from_millis(300));
                    say!("interrupted; Ctrl-C again stops the guest");
                });
                continue;
            }
            stopped.store(true, Ordering::Relaxed);
            engine.increment_epoch();
            let observers = observers.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(500));
                // Nobody may read the output.
                let last =
                    std::thread::spawn(move || observers.finish(Instant::now() + LAST_LINES));
                for _ in 0..20 {
                    if last.is_finished() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                std::process::exit(STOPPED);
            });
        }
    });
    Ok(())
}

/// The status that shells use for an abort.
const ABORTED: u8 = 134;

/// Returns the command's status for a guest's end.
fn status(component: &Path, ended: Ended, advice: &str) -> Result<ExitCode, Exit> {
    match ended {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(())) => Ok(failed(component, 1, advice)),
        Err(error) => {
            if let Some(I32Exit(code)) = error.downcast_ref() {
                return Ok(failed(component, u8::try_from(*code).unwrap_or(1), advice));
            }
            if matches!(error.downcast_ref(), Some(Trap::Interrupt)) {
                return Ok(ExitCode::from(130));
            }
            let component = component.display();
            if let Some(Trap::StackOverflow) = error.downcast_ref() {
                // The trace would have the same functions again and again.
                say!(
                    "{component}: the guest trapped: its calls are nested too deeply (call stack exhausted)"
                );
                return Ok(ExitCode::from(ABORTED));
            }
            say!("{component}: the guest trapped: {}{advice}", error.root_cause());
            if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
                // Each line is indented, so that the name of a function can't look like a message
                // of the command.
                let lines: String =
                    trace.to_string().lines().map(|line| format!("  {line}\n")).collect();
                let _ = Stderr.write_all(printable_lines(&lines).as_bytes());
            }
            Ok(ExitCode::from(ABORTED))
        }
    }
}

/// Returns the status of a guest that ended by itself. If it failed and was refused memory, says so.
fn failed(component: &Path, status: u8, advice: &str) -> ExitCode {
    if status != 0 && !advice.is_empty() {
        say!("{}: the guest ended with status {status}{advice}", component.display());
    }
    ExitCode::from(status)
}
