//! The settings of wasmtime's engines. The process that runs a component and the one that compiles
//! it must have the same.

use clap::Args;
use wasmtime::{Config, Engine};

use crate::exit::into_anyhow;

/// The bytes of each stack of a component with threads. CPython's limit of recursion counts the memory
/// that C puts on its own stack, and not this stack, of which C takes up to twenty times as much. A page
/// that was never used takes no memory.
const THREAD_STACK: usize = 32 << 20;

/// The bytes of the stack of Python's runner without threads. It is on the stack of the process, which
/// has 8 MiB by default, or on that of a fiber.
const RUNNER_STACK: usize = 2 << 20;

/// The bytes of its stack that are left to calls of the host.
const HOST_STACK: usize = 1 << 20;

/// What an engine is for.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The component needs concurrency support.
    #[arg(long)]
    pub(crate) concurrent: bool,
    /// The component starts threads.
    #[arg(long)]
    pub(crate) threads: bool,
    /// The component is Python's runner.
    #[arg(long)]
    pub(crate) runner: bool,
    /// The code is for every processor of this architecture.
    #[arg(long)]
    pub(crate) portable: bool,
    /// This process compiles, and no other.
    #[arg(skip)]
    pub(crate) no_harden: bool,
}

impl Settings {
    /// Returns the arguments that [`Settings`] is parsed from.
    pub(crate) fn words(self) -> Vec<&'static str> {
        let all = [
            ("--concurrent", self.concurrent),
            ("--threads", self.threads),
            ("--runner", self.runner),
            ("--portable", self.portable),
        ];
        all.into_iter().filter(|(_, set)| *set).map(|(word, _)| word).collect()
    }

    /// Returns wasmtime's settings.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new();
        config.concurrency_support(self.concurrent);
        if self.concurrent {
            config.wasm_component_model_async(true);
        }
        if self.threads {
            config.wasm_component_model_threading(true);
            config.max_wasm_stack(THREAD_STACK).async_stack_size(THREAD_STACK + HOST_STACK);
        } else if self.runner {
            config.max_wasm_stack(RUNNER_STACK).async_stack_size(RUNNER_STACK + HOST_STACK);
        }
        // A second Ctrl-C stops a guest that computes.
        config.epoch_interruption(true);
        config
    }

    /// Makes an engine.
    pub(crate) fn engine(self) -> anyhow::Result<Engine> {
        let mut config = self.config();
        if self.portable {
            // wasmtime: with a target, the code uses no feature that only some of its processors
            // have.
            let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
            config.target(&target).map_err(into_anyhow)?;
        }
        Engine::new(&config).map_err(into_anyhow)
    }
}
