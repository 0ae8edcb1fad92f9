//! The function by which a guest runs: that of the export `wasi:cli/run`, in any version.

use std::time::Duration;

use anyhow::anyhow;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::engine::Loaded;
use crate::exit::Exit;
use crate::guest::{RUN, State, fit, unfit};

/// How often a thread of the guest that computes gives way.
pub(crate) const SWITCH: Duration = Duration::from_millis(5);

/// A component that can be instantiated and run, on a fiber.
pub(crate) struct Entry {
    pre: InstancePre<State>,
    run: ComponentExportIndex,
    concurrent: bool,
}

/// How a guest ended: its own result, or a trap.
pub(crate) type Ended = wasmtime::Result<Result<(), ()>>;

impl Entry {
    /// Links the component and finds its function.
    pub(crate) fn new(loaded: &Loaded) -> Result<Self, Exit> {
        let pre = fit(loaded, true)?.map_err(unfit)?;
        let kind = loaded.component.component_type();
        let mut exports = kind.exports(&loaded.engine).map(|(name, _)| name);
        let run = exports
            .find(|name| name.starts_with(RUN))
            .and_then(|name| loaded.component.get_export_index(None, name))
            .and_then(|interface| loaded.component.get_export(Some(&interface), "run"));
        match run {
            Some((ComponentItem::ComponentFunc(function), run)) if is_run(&function) => {
                Ok(Self { pre, run, concurrent: loaded.concurrent })
            }
            _ => Err(unfit(anyhow!("its function run does not have the type of wasi:cli/run"))),
        }
    }

    /// Makes an instance and runs it. The threads that still live at the end of its first one end with
    /// the store.
    pub(crate) async fn run(&self, store: &mut Store<State>) -> Ended {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, self.run)?;
        let (ended,) = if self.concurrent {
            store.run_concurrent(async |accessor| run.call_concurrent(accessor, ()).await).await??
        } else {
            run.call_async(&mut *store, ()).await?
        };
        Ok(ended)
    }
}

/// WIT: `run: func() -> result`.
fn is_run(function: &ComponentFunc) -> bool {
    let mut results = function.results();
    function.params().len() == 0
        && matches!(
            (results.next(), results.next()),
            (Some(Type::Result(result)), None) if result.ok().is_none() && result.err().is_none()
        )
}

/// Runs a guest on a tokio runtime of this thread.
pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> anyhow::Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow!("can't start tokio: {error}"))?;
    Ok(runtime.block_on(future))
}
