//! The engines: one with and one without support for concurrency, chosen by what a component
//! imports, and the compile cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use wasmtime::component::Component;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourcesRequired,
};

use super::inspect::wants_provider;
use super::{Failure, told};
use super::{cache, compose};

/// More than what the host keeps of an instance: a pool has no limit of its own.
const INSTANCE_SIZE: usize = 1 << 30;

/// How long a table may grow to in a pool, where it does not begin longer.
const TABLE_ELEMENTS: usize = 100_000;

/// A component read from its file, and the engine it was compiled for.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    pub(super) component: Component,
    /// It imports or exports WASI 0.3, which alone needs concurrency support. Every host call is
    /// dearer with it.
    pub(super) concurrent: bool,
    /// The provider that it was composed with, and which of its imports that fulfils.
    pub(super) provider: Option<(PathBuf, Vec<String>)>,
}

/// What a component needs of this command, as its outermost imports and exports tell.
#[derive(Default)]
pub(super) struct Needs {
    /// WASI 0.3.
    concurrent: bool,
    /// What a provider exports.
    pub(super) provider: Vec<String>,
}

/// Reads a component's binary form.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("{}: can't read the component", path.display()))
        .map_err(Failure::load)?;
    binary(path, bytes).map_err(Failure::load)
}

/// Reads and compiles a component, or takes it compiled from the cache. One that wants a provider
/// is composed with one first. `at_once` is how many instances there may be, where many are made
/// one after the other.
pub(super) fn load(path: &Path, at_once: Option<u32>) -> Result<Loaded, Failure> {
    let mut bytes = read(path)?;
    let Needs { concurrent, provider: wanted } = needs(path, &bytes)?;
    let mut provider = None;
    if !wanted.is_empty() {
        let found = compose::find()?;
        bytes = compose::plug(path, bytes, &found)?;
        provider = Some((found, wanted));
    }
    let config = config(concurrent);
    let mut engine = Engine::new(&config).map_err(told)?;
    let mut component = Component::from_binary(&engine, &bytes)
        .map_err(told)
        .with_context(|| format!("{}: can't compile the component", path.display()))
        .map_err(Failure::load)?;
    // How many stacks an instance of WASI 0.3 takes is not known.
    if let (Some(at_once), false, Some(needs)) =
        (at_once, concurrent, component.resources_required())
    {
        // The compiled form is the same: it comes from the cache.
        let pooled = Engine::new(&pooled(config, at_once, &needs)).and_then(|engine| {
            Component::from_binary(&engine, &bytes).map(|component| (engine, component))
        });
        match pooled {
            Ok(pooled) => (engine, component) = pooled,
            // It has more than a pool's places hold, or the address space does not.
            Err(error) => tracing::info!("instances get their memory one by one: {error:#}"),
        }
    }
    Ok(Loaded { engine, component, concurrent, provider })
}

/// A component's binary form: as it is, or from its text.
pub(super) fn binary(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    // Text begins with a parenthesis or a comment. Of anything else a parser's complaint would be
    // of no use.
    if !matches!(bytes.trim_ascii_start().first(), Some(b'(' | b';')) {
        bail!("{}: not a WebAssembly component", path.display());
    }
    match wat::Parser::new().parse_bytes(Some(path), &bytes) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => {
            // The message and the place, without the excerpt below it.
            let text = error.to_string();
            let told: Vec<&str> =
                text.lines().map(str::trim).take_while(|line| *line != "|").collect();
            bail!("not the text of a WebAssembly component: {}", told.join(" "))
        }
    }
}

/// Looks at the outermost imports and exports, before anything is compiled.
pub(super) fn needs(path: &Path, bytes: &[u8]) -> Result<Needs, Failure> {
    use wasmparser::{Encoding, Parser, Payload};
    let mut needs = Needs::default();
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload
            .with_context(|| format!("{}: not a valid WebAssembly component", path.display()))
            .map_err(Failure::load)?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Failure::load(anyhow::anyhow!(
                    "{}: a core module, not a component; build it for wasm32-wasip2, or wrap it with `wasm-tools component new`",
                    path.display()
                )));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    let import = import.map_err(Failure::load)?;
                    needs.concurrent |= is_wasi_0_3(import.name.name);
                    if wants_provider(import.name.name) {
                        needs.provider.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    let export = export.map_err(Failure::load)?;
                    needs.concurrent |= is_wasi_0_3(export.name.name);
                }
            }
            _ => {}
        }
    }
    Ok(needs)
}

fn is_wasi_0_3(name: &str) -> bool {
    name.starts_with("wasi:")
        && name.split_once('@').is_some_and(|(_, version)| version.starts_with("0.3."))
}

/// The settings of an engine.
fn config(concurrent: bool) -> Config {
    let mut config = Config::new();
    config.concurrency_support(concurrent);
    if concurrent {
        config.wasm_component_model_async(true);
    }
    // A second Ctrl-C stops a guest that computes.
    config.epoch_interruption(true);
    // wasmtime's key holds the version and every setting that matters to the code, the choice of
    // engine too.
    if let Some(cache) = cache::open() {
        config.cache(Some(cache));
    }
    config
}

/// With places for so many instances, reserved at the start and used again and again: an instance
/// then costs no mmap and munmap.
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
