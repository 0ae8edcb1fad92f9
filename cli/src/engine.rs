//! Loading a component: the engine for it, with or without concurrency support, and the cache of
//! compiled code.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wasmtime::component::Component;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourcesRequired,
};

use crate::component::{Needs, needs, read};
use crate::exit::{Exit, into_anyhow};
use crate::{cache, compose};

/// The bytes that an instance may take in a pool. This is more than any needs: the pool shall not limit it.
const INSTANCE_SIZE: usize = 1 << 30;

/// The bytes of each stack of a component with threads. CPython's limit of recursion counts the memory
/// that C puts on its own stack, and not this stack, of which C takes up to twenty times as much. A page
/// that was never used takes no memory.
const THREAD_STACK: usize = 32 << 20;

/// The bytes of the stack of Python's runner without threads. It is on the stack of the process, which
/// has 8 MiB by default.
const RUNNER_STACK: usize = 2 << 20;

/// The bytes of its stack that are left to calls of the host.
const HOST_STACK: usize = 1 << 20;

/// The most elements of a table in a pool, unless the table starts with more.
const TABLE_ELEMENTS: usize = 100_000;

/// A component read from its file, and the engine it was compiled for.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) component: Component,
    /// The component imports or exports WASI 0.3. Only WASI 0.3 needs concurrency support, which
    /// makes every host call slower.
    pub(crate) concurrent: bool,
    /// The component starts threads. It is concurrent too.
    pub(crate) threads: bool,
    /// The provider that the component was composed with, and the imports that it fulfils.
    pub(crate) provider: Option<(PathBuf, Vec<String>)>,
}

/// Reads and compiles a component, or takes its code from the cache. A component that needs a
/// provider is composed with it first. `at_once` is the most instances at the same time. It is given
/// if many instances are made one after the other.
pub(crate) fn load(path: &Path, at_once: Option<u32>) -> Result<Loaded, Exit> {
    let mut bytes = read(path)?;
    let Needs { concurrent, threads, provider: wanted } = needs(path, &bytes)?;
    let concurrent = concurrent || threads;
    let mut provider = None;
    if !wanted.is_empty() {
        let found = compose::find()?;
        bytes = compose::plug(path, bytes, &found)?;
        provider = Some((found, wanted));
    }
    let config = config(concurrent, threads);
    let mut engine = Engine::new(&config).map_err(into_anyhow)?;
    let mut component = Component::from_binary(&engine, &bytes)
        .map_err(into_anyhow)
        .with_context(|| format!("{}: can't compile the component", path.display()))
        .map_err(Exit::load)?;
    // WASI 0.3 needs an unknown number of stacks, so its instances can't be pooled.
    if let (Some(at_once), false, Some(needs)) =
        (at_once, concurrent, component.resources_required())
    {
        // The compiled code is the same, so it comes from the cache.
        let pooled = Engine::new(&pooled(config, at_once, &needs)).and_then(|engine| {
            Component::from_binary(&engine, &bytes).map(|component| (engine, component))
        });
        match pooled {
            Ok(pooled) => (engine, component) = pooled,
            // The component is too large for a pool, or the address space is.
            Err(error) => tracing::info!("instances get their memory one by one: {error:#}"),
        }
    }
    Ok(Loaded { engine, component, concurrent, threads, provider })
}

/// Returns the settings of the engine for Python's runner. Its code has a cache of its own.
pub(crate) fn runner_config(threads: bool) -> Config {
    let mut config = settings(threads, threads);
    if !threads {
        config.max_wasm_stack(RUNNER_STACK);
    }
    config
}

/// Returns the settings of an engine that uses the cache.
fn config(concurrent: bool, threads: bool) -> Config {
    let mut config = settings(concurrent, threads);
    // wasmtime's key holds the version and every setting that matters to the code, the choice of
    // engine too.
    if let Some(cache) = cache::open() {
        config.cache(Some(cache));
    }
    config
}

fn settings(concurrent: bool, threads: bool) -> Config {
    let mut config = Config::new();
    config.concurrency_support(concurrent);
    if concurrent {
        config.wasm_component_model_async(true);
    }
    if threads {
        config.wasm_component_model_threading(true);
        config.max_wasm_stack(THREAD_STACK).async_stack_size(THREAD_STACK + HOST_STACK);
    }
    // A second Ctrl-C stops a guest that computes.
    config.epoch_interruption(true);
    config
}

/// Adds a pool for `at_once` instances. It reserves their memory at the start and reuses it, so that
/// an instance costs no mmap and munmap.
fn pooled(mut config: Config, at_once: u32, needs: &ResourcesRequired) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let all = |each: u32| at_once.saturating_mul(each);
    // These are counted and not reserved.
    pool.total_component_instances(at_once)
        .total_core_instances(u32::MAX)
        .max_component_instance_size(INSTANCE_SIZE)
        .max_core_instance_size(INSTANCE_SIZE);
    pool.total_memories(all(needs.num_memories)).max_memories_per_module(needs.num_memories.max(1));
    let elements = usize::try_from(needs.max_initial_table_size.unwrap_or(0)).unwrap_or(usize::MAX);
    pool.total_tables(all(needs.num_tables)).max_tables_per_module(needs.num_tables.max(1));
    pool.table_elements(elements.max(TABLE_ELEMENTS));
    pool.total_stacks(at_once);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
