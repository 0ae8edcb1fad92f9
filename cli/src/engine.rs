//! Loading a component: the engine for it, with or without concurrency support, and its compiled
//! code.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourcesRequired,
};

use crate::compiled::COMPONENTS;
use crate::component::{Needs, needs, read};
use crate::compose;
use crate::exit::{Exit, into_anyhow};
use crate::parts::PROVIDER;
use crate::settings::Settings;

/// The bytes that an instance may take in a pool. This is more than any needs: the pool shall not limit it.
const INSTANCE_SIZE: usize = 1 << 30;

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
/// if many instances are made one after the other. With `no_harden`, no other process compiles.
pub(crate) fn load(path: &Path, at_once: Option<u32>, no_harden: bool) -> Result<Loaded, Exit> {
    let mut bytes = read(path)?;
    let Needs { concurrent, threads, provider: wanted } = needs(path, &bytes)?;
    let concurrent = concurrent || threads;
    let mut provider = None;
    if !wanted.is_empty() {
        let found = PROVIDER.find()?;
        bytes = compose::plug(path, bytes, &found)?;
        provider = Some((found, wanted));
    }
    let settings = Settings { concurrent, threads, no_harden, ..Settings::default() };
    let key: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut engine = settings.engine()?;
    let code = COMPONENTS
        .code(settings, &engine, &key, || Ok(bytes))
        .with_context(|| format!("{}: can't compile the component", path.display()))
        .map_err(Exit::load)?;
    let mut component = code.component.clone();
    // WASI 0.3 needs an unknown number of stacks, so its instances can't be pooled.
    if let (Some(at_once), false, Some(needs)) =
        (at_once, concurrent, component.resources_required())
    {
        // The compiled code is the same.
        let pooled = Engine::new(&pooled(settings.config(), at_once, &needs))
            .map_err(into_anyhow)
            .and_then(|engine| Ok((code.again(&engine)?, engine)));
        match pooled {
            Ok(pooled) => (component, engine) = pooled,
            // The component is too large for a pool, or the address space is.
            Err(error) => tracing::info!("instances get their memory one by one: {error:#}"),
        }
    }
    Ok(Loaded { engine, component, concurrent, threads, provider })
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
