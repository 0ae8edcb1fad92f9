//! A small host for the programs on wasi:sockets, with the whole network allowed: by wasmtime's own
//! implementation, with which sandsock is compared, or by sandsock.

use std::sync::Arc;

use sandsock_host::policy::{Policy, PolicyBuilder, PolicyBuilderExt as _};
use sandsock_host::{LinkOptions, SandsockCtx};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use crate::State;

/// Which wasi:sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.2: the program `bench_wasi2`, without concurrency support.
    P2,
    /// 0.3: the program `bench_wasi3`.
    P3,
}

/// Whose implementation of wasi:sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// wasmtime-wasi's.
    Wasmtime,
    /// sandsock's.
    Sandsock,
}

/// A program, linked.
pub struct Program {
    name: &'static str,
    engine: Engine,
    pre: InstancePre<State>,
    version: Version,
    policy: PolicyBuilder,
}

impl Program {
    /// Links the program of a version.
    ///
    /// # Errors
    /// It is not built.
    pub fn of_version(version: Version, by: By) -> wasmtime::Result<Self> {
        let name = if version == Version::P3 { "bench_wasi3" } else { "bench_wasi2" };
        Self::new(name, version, by)
    }

    /// Links a program with the host's wasi:sockets, and with sandsock's own package.
    ///
    /// # Errors
    /// It is not built.
    pub fn new(name: &'static str, version: Version, by: By) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config
            .concurrency_support(version == Version::P3)
            .cache(Some(Cache::new(CacheConfig::new())?));
        if version == Version::P3 {
            config.wasm_component_model_async(true);
        }
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, crate::guest_path(name))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        if version == Version::P3 {
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        }
        let mut options = LinkOptions::default();
        options.wasi_sockets(by == By::Sandsock);
        sandsock_host::add_to_linker_with_options_async(&mut linker, &options)?;
        let pre = linker.instantiate_pre(&component)?;
        let mut policy = Policy::builder();
        if by == By::Sandsock {
            policy.allow_all();
        }
        Ok(Self { name, engine, pre, version, policy })
    }

    /// The program under another policy of sandsock. At first all is allowed if sandsock serves
    /// wasi:sockets, and else nothing.
    #[must_use]
    pub fn under(self, policy: &PolicyBuilder) -> Self {
        Self { policy: policy.clone(), ..self }
    }

    /// Runs an instance on a runtime of its own, and gives what it printed.
    ///
    /// # Errors
    /// It failed.
    pub fn run_alone(&self, args: &[String]) -> wasmtime::Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.run(args))
    }

    /// Runs an instance, and gives what it printed. WASI's own context allows the whole network.
    ///
    /// # Errors
    /// It failed.
    pub async fn run(&self, args: &[String]) -> wasmtime::Result<String> {
        let (stdout, stderr) = (MemoryOutputPipe::new(1 << 16), MemoryOutputPipe::new(1 << 16));
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).arg(self.name).args(args);
        // All three are needed: the first is only about addresses.
        wasi.inherit_network().allow_tcp(true).allow_udp(true);
        let policy = Arc::new(self.policy.clone().build());
        let sandsock = SandsockCtx::builder(policy).wait_on_fiber().build()?;
        let mut store = Store::new(&self.engine, State::new(wasi.build(), sandsock));
        let result = match self.version {
            Version::P2 => {
                use wasmtime_wasi::p2::bindings::CommandPre;
                let command =
                    CommandPre::new(self.pre.clone())?.instantiate_async(&mut store).await?;
                command.wasi_cli_run().call_run(&mut store).await
            }
            Version::P3 => {
                use wasmtime_wasi::p3::bindings::CommandPre;
                let command =
                    CommandPre::new(self.pre.clone())?.instantiate_async(&mut store).await?;
                store
                    .run_concurrent(async |accessor| {
                        command.wasi_cli_run().call_run(accessor).await
                    })
                    .await?
            }
        };
        drop(store);
        let stderr = || String::from_utf8_lossy(&stderr.contents()).into_owned();
        match result {
            Ok(Ok(())) => Ok(String::from_utf8_lossy(&stdout.contents()).into_owned()),
            Ok(Err(())) => Err(wasmtime::Error::msg(stderr())),
            Err(trap) => Err(trap.context(stderr())),
        }
    }
}

/// Runs the program of a version, and gives what it printed.
///
/// # Errors
/// It is not built, or it failed.
pub fn run(version: Version, by: By, args: &[String]) -> wasmtime::Result<String> {
    Program::of_version(version, by)?.run_alone(args)
}
