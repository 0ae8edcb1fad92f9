//! `_sandsock`, an extension module for CPython: the provider component with the host below it, in
//! the interpreter's process.
//!
//! Every Python thread has an instance of the provider of its own, in a context with real
//! descriptor numbers, so that a call that waits blocks no other thread. `call` makes any function
//! of `sandsock:socket/sockets` by its name and turns values as they are written in WIT: a record
//! is a tuple, a variant `(case, payload)`, a list of bytes `bytes`, none `None`. A socket is the
//! opaque value of `state`: made into an object for the call alone, and let go of after it.
//!
//! It knows nothing of Python's semantics: these are the component's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sandsock_host::policy::{Policy, PolicyBuilderExt as _};
use sandsock_host::{SandsockCtx, SandsockCtxView, SandsockView};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{
    Component, ComponentType, Func, Instance, InstancePre, Lift, Linker, Lower, ResourceAny,
    ResourceTable, Type, Val,
};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};

/// The name of the provider's interface.
const SOCKETS: &str = "sandsock:socket/sockets@0.1.0";

/// What a store holds.
struct State {
    sandsock: SandsockCtx,
    table: ResourceTable,
}

impl SandsockView for State {
    fn sandsock(&mut self) -> SandsockCtxView<'_> {
        SandsockCtxView { ctx: &mut self.sandsock, table: &mut self.table }
    }
}

/// The provider, compiled, its imports found.
static PROVIDER: OnceLock<InstancePre<State>> = OnceLock::new();

/// The default timeout, which all threads share, and how often it was set.
static DEFAULT_TIMEOUT: Mutex<(u64, Val)> = Mutex::new((0, Val::Option(None)));

/// WIT `progress`.
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
struct Progress {
    deadline: Option<u64>,
    done: u64,
}

/// WIT `os-error`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct OsError {
    errno: Option<i32>,
    text: String,
}

/// WIT `denial`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Denial {
    grant: Option<String>,
    reason: String,
}

/// WIT `lookup-error`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct LookupError {
    code: i32,
    text: String,
}

/// WIT `attempt-error`.
#[derive(ComponentType, Lift)]
#[component(variant)]
enum AttemptError {
    #[component(name = "os")]
    Os(OsError),
    #[component(name = "denied")]
    Denied(Denial),
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "gaierror")]
    Gaierror(LookupError),
}

/// WIT `error`.
#[derive(ComponentType, Lift)]
#[component(variant)]
enum Error {
    #[component(name = "os")]
    Os(OsError),
    #[component(name = "denied")]
    Denied(Denial),
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "gaierror")]
    Gaierror(LookupError),
    #[component(name = "herror")]
    Herror(LookupError),
    #[component(name = "value-error")]
    Value(String),
    #[component(name = "type-error")]
    Type(String),
    #[component(name = "overflow-error")]
    Overflow(String),
    #[component(name = "unicode-error")]
    Unicode(String),
    #[component(name = "memory-error")]
    Memory,
    #[component(name = "group")]
    Group(Vec<AttemptError>),
    #[component(name = "interrupted")]
    Interrupted(Progress),
}

impl From<AttemptError> for Error {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Os(error) => Self::Os(error),
            AttemptError::Denied(denial) => Self::Denied(denial),
            AttemptError::TimedOut => Self::TimedOut,
            AttemptError::Gaierror(error) => Self::Gaierror(error),
        }
    }
}

impl Error {
    /// The case, and what it holds.
    fn shown(self, py: Python<'_>) -> PyResult<(&'static str, Py<PyAny>)> {
        Ok(match self {
            Self::Os(error) => ("os", (error.errno, error.text).into_py_any(py)?),
            Self::Denied(denial) => ("denied", (denial.grant, denial.reason).into_py_any(py)?),
            Self::TimedOut => ("timed-out", py.None()),
            Self::Gaierror(error) => ("gaierror", (error.code, error.text).into_py_any(py)?),
            Self::Herror(error) => ("herror", (error.code, error.text).into_py_any(py)?),
            Self::Value(text) => ("value-error", text.into_py_any(py)?),
            Self::Type(text) => ("type-error", text.into_py_any(py)?),
            Self::Overflow(text) => ("overflow-error", text.into_py_any(py)?),
            Self::Unicode(text) => ("unicode-error", text.into_py_any(py)?),
            Self::Memory => ("memory-error", py.None()),
            Self::Group(errors) => {
                let errors = errors.into_iter().map(|error| Self::from(error).shown(py));
                ("group", errors.collect::<PyResult<Vec<_>>>()?.into_py_any(py)?)
            }
            Self::Interrupted(progress) => {
                ("interrupted", (progress.deadline, progress.done).into_py_any(py)?)
            }
        })
    }
}

thread_local! {
    static THREAD: RefCell<Option<Thread>> = const { RefCell::new(None) };
}

/// One thread's instance of the provider.
struct Thread {
    store: Store<State>,
    instance: Instance,
    functions: HashMap<String, (Func, ComponentFunc)>,
    /// Which of the default timeouts it knows.
    default_timeout: u64,
}

fn failed(error: wasmtime::Error) -> PyErr {
    PyRuntimeError::new_err(format!("{error:?}"))
}

/// Compiles the provider. It is called once, before all others.
#[pyfunction]
fn load(path: PathBuf) -> PyResult<()> {
    let provider = || -> wasmtime::Result<InstancePre<State>> {
        let mut config = Config::new();
        config.concurrency_support(false);
        if let Ok(cache) = Cache::new(CacheConfig::new()) {
            config.cache(Some(cache));
        }
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        sandsock_host::add_to_linker_sync(&mut linker)?;
        linker.instantiate_pre(&Component::from_file(&engine, &path)?)
    };
    PROVIDER
        .set(provider().map_err(failed)?)
        .map_err(|_| PyRuntimeError::new_err("the provider is loaded already"))
}

/// Calls a function of `sockets`, without the GIL.
///
/// Gives `(case, value, sockets)`: the case of the error or None, what the function or the error
/// holds, and for each socket among the arguments its state after the call. After an interrupt the
/// signals' handlers run first.
#[pyfunction]
#[pyo3(signature = (name, *args))]
fn call(py: Python<'_>, name: &str, args: &Bound<'_, PyTuple>) -> PyResult<Called> {
    // Python may collect garbage during the call, and with it a socket that nobody closed: that is
    // a call within the call, which gets an instance of its own.
    let mut thread = match THREAD.take() {
        Some(thread) => thread,
        None => Thread::new()?,
    };
    let result = match name {
        "[method]socket.send" => thread.send::<u64>(py, name, args),
        "[method]socket.sendall" => thread.send::<()>(py, name, args),
        _ => thread.call(py, name, args),
    };
    THREAD.set(Some(thread));
    result
}

/// What a call gives.
type Called = (Option<String>, Py<PyAny>, Py<PyAny>);

/// The end of a call. After an interrupt the signals' handlers run, and may raise.
fn finished(
    py: Python<'_>,
    case: Option<String>,
    value: Py<PyAny>,
    states: Vec<Py<PyAny>>,
) -> PyResult<Called> {
    if case.as_deref() == Some("interrupted") {
        py.check_signals()?;
    }
    Ok((case, value, PyTuple::new(py, states)?.into_any().unbind()))
}

/// The provider as Python sees it.
#[pymodule]
mod _sandsock {
    #[pymodule_export]
    use super::{call, load};
}

impl Thread {
    fn new() -> PyResult<Self> {
        let provider =
            PROVIDER.get().ok_or_else(|| PyRuntimeError::new_err("call load() first"))?;
        let mut policy = Policy::builder();
        policy.allow_all();
        for limit in [
            "descriptors=100000",
            "lookups-per-second=100000",
            "lookups-pending=1000",
            "rights-in-flight=16384",
        ] {
            policy.limit(limit).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        }
        policy
            .base_directory(std::env::current_dir()?)
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let sandsock = SandsockCtx::builder(Arc::new(policy.build())).real_numbers(true).build()?;
        let mut store =
            Store::new(provider.engine(), State { sandsock, table: ResourceTable::new() });
        let instance = provider.instantiate(&mut store).map_err(failed)?;
        Ok(Self { store, instance, functions: HashMap::new(), default_timeout: 0 })
    }

    fn function(&mut self, name: &str) -> PyResult<(Func, ComponentFunc)> {
        if let Some(known) = self.functions.get(name) {
            return Ok(known.clone());
        }
        let sockets = self.instance.get_export_index(&mut self.store, None, SOCKETS);
        let index = self.instance.get_export_index(&mut self.store, sockets.as_ref(), name);
        let function = index.and_then(|index| self.instance.get_func(&mut self.store, index));
        let function = function
            .ok_or_else(|| PyRuntimeError::new_err(format!("the provider has no {name}")))?;
        let kind = function.ty(&self.store);
        self.functions.insert(name.to_owned(), (function, kind.clone()));
        Ok((function, kind))
    }

    /// A call without Python's values.
    fn invoke(&mut self, name: &str, args: &[Val]) -> PyResult<Val> {
        let (function, kind) = self.function(name)?;
        let mut results = vec![Val::Bool(false); kind.results().len()];
        function.call(&mut self.store, args, &mut results).map_err(failed)?;
        Ok(results.pop().unwrap_or(Val::Tuple(Vec::new())))
    }

    fn call(&mut self, py: Python<'_>, name: &str, args: &Bound<'_, PyTuple>) -> PyResult<Called> {
        self.follow_default_timeout()?;
        let (function, kind) = self.function(name)?;
        let types: Vec<Type> = kind.params().map(|(_, kind)| kind).collect();
        if types.len() != args.len() {
            return Err(PyTypeError::new_err(format!(
                "{name} takes {} arguments, {} given",
                types.len(),
                args.len()
            )));
        }
        let mut sockets = Vec::new();
        let mut values = Vec::new();
        for (kind, arg) in types.iter().zip(args) {
            values.push(self.value(kind, &arg, &mut sockets)?);
        }
        let mut results = vec![Val::Bool(false); kind.results().len()];
        // Of a signal that came by now nobody could tell the wait.
        py.check_signals()?;
        let store = &mut self.store;
        py.detach(|| function.call(store, &values, &mut results)).map_err(failed)?;
        if name == "setdefaulttimeout" && matches!(results[..], [Val::Result(Ok(_))]) {
            let mut default = DEFAULT_TIMEOUT.lock().unwrap_or_else(PoisonError::into_inner);
            *default = (default.0 + 1, values[0].clone());
            self.default_timeout = default.0;
        }
        let (case, result) = match results.pop() {
            None => (None, None),
            Some(Val::Result(Ok(value))) => (None, value.map(|value| *value)),
            Some(Val::Result(Err(error))) => match error.map(|error| *error) {
                Some(Val::Variant(case, payload)) => (Some(case), payload.map(|payload| *payload)),
                other => (Some(String::new()), other),
            },
            Some(value) => (None, Some(value)),
        };
        let result = result.map_or_else(|| Ok(py.None()), |value| self.object(py, value))?;
        let mut states = Vec::new();
        for socket in sockets {
            states.push(self.state(py, socket)?);
        }
        finished(py, case, result, states)
    }

    /// `send` and `sendall`, whose bytes may be many: too many to be values one by one.
    fn send<T>(&mut self, py: Python<'_>, name: &str, args: &Bound<'_, PyTuple>) -> PyResult<Called>
    where
        T: for<'py> IntoPyObject<'py> + Lift + ComponentType + Send + Sync + 'static,
    {
        self.follow_default_timeout()?;
        type Sent<'py> =
            (Bound<'py, PyBytes>, Bound<'py, PyBytes>, i32, Option<(Option<u64>, u64)>);
        let (socket, data, flags, resume): Sent<'_> = args.extract()?;
        let (function, _) = self.function(name)?;
        let function = function
            .typed::<(ResourceAny, &[u8], i32, Option<Progress>), (Result<T, Error>,)>(&self.store)
            .map_err(failed)?;
        let socket = self.socket(&socket)?;
        let resume = resume.map(|(deadline, done)| Progress { deadline, done });
        let (store, data) = (&mut self.store, data.as_bytes());
        let result = py.detach(|| function.call(store, (socket, data, flags, resume)));
        let (case, value) = match result.map_err(failed)?.0 {
            Ok(value) => (None, value.into_py_any(py)?),
            Err(error) => {
                let (case, payload) = error.shown(py)?;
                (Some(case.to_owned()), payload)
            }
        };
        let states = vec![self.state(py, socket)?];
        finished(py, case, value, states)
    }

    /// Makes the default timeout this thread's too.
    fn follow_default_timeout(&mut self) -> PyResult<()> {
        let (count, value) = DEFAULT_TIMEOUT.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if count != self.default_timeout {
            self.default_timeout = count;
            self.invoke("setdefaulttimeout", &[value])?;
        }
        Ok(())
    }

    /// A socket of this state.
    fn socket(&mut self, state: &Bound<'_, PyBytes>) -> PyResult<ResourceAny> {
        let state = state.as_bytes().iter().map(|&byte| Val::U8(byte)).collect();
        match self.invoke("[static]socket.from-state", &[Val::List(state)])? {
            Val::Result(Ok(Some(socket))) if let Val::Resource(socket) = *socket => Ok(socket),
            other => Err(PyRuntimeError::new_err(format!("from-state: {other:?}"))),
        }
    }

    /// A socket's state; the object goes and leaves the descriptor open.
    fn state(&mut self, py: Python<'_>, socket: ResourceAny) -> PyResult<Py<PyAny>> {
        let state = self.invoke("[method]socket.state", &[Val::Resource(socket)])?;
        self.invoke("[method]socket.detach", &[Val::Resource(socket)])?;
        socket.resource_drop(&mut self.store).map_err(failed)?;
        self.object(py, state)
    }

    /// Python's value as the contract's.
    fn value(
        &mut self,
        kind: &Type,
        arg: &Bound<'_, PyAny>,
        sockets: &mut Vec<ResourceAny>,
    ) -> PyResult<Val> {
        Ok(match kind {
            Type::Bool => Val::Bool(arg.extract()?),
            Type::U8 => Val::U8(arg.extract()?),
            Type::U16 => Val::U16(arg.extract()?),
            Type::S32 => Val::S32(arg.extract()?),
            Type::U32 => Val::U32(arg.extract()?),
            Type::S64 => Val::S64(arg.extract()?),
            Type::U64 => Val::U64(arg.extract()?),
            Type::Float64 => Val::Float64(arg.extract()?),
            Type::String => Val::String(arg.extract()?),
            Type::List(list) => match (list.ty(), arg.cast::<PyBytes>()) {
                (Type::U8, Ok(bytes)) => {
                    Val::List(bytes.as_bytes().iter().map(|&byte| Val::U8(byte)).collect())
                }
                (item, _) => {
                    let items = arg.try_iter()?.map(|part| self.value(&item, &part?, sockets));
                    Val::List(items.collect::<PyResult<_>>()?)
                }
            },
            Type::Tuple(tuple) => Val::Tuple(self.values(tuple.types(), arg, sockets)?),
            Type::Record(record) => {
                let (names, kinds): (Vec<_>, Vec<_>) =
                    record.fields().map(|field| (field.name.to_owned(), field.ty)).unzip();
                Val::Record(
                    names.into_iter().zip(self.values(kinds.into_iter(), arg, sockets)?).collect(),
                )
            }
            Type::Option(option) => Val::Option(match arg.is_none() {
                true => None,
                false => Some(Box::new(self.value(&option.ty(), arg, sockets)?)),
            }),
            Type::Variant(variant) => {
                let (name, payload): (String, Bound<'_, PyAny>) = arg.extract()?;
                let case = variant.cases().find(|case| case.name == name);
                let case = case.ok_or_else(|| PyTypeError::new_err(format!("no case {name}")))?;
                let payload =
                    case.ty.map(|kind| self.value(&kind, &payload, sockets)).transpose()?;
                Val::Variant(name, payload.map(Box::new))
            }
            Type::Borrow(_) => {
                let socket = self.socket(arg.cast()?)?;
                sockets.push(socket);
                Val::Resource(socket)
            }
            other => return Err(PyTypeError::new_err(format!("no way to make {other:?}"))),
        })
    }

    /// The parts of a tuple or a record.
    fn values(
        &mut self,
        kinds: impl ExactSizeIterator<Item = Type>,
        arg: &Bound<'_, PyAny>,
        sockets: &mut Vec<ResourceAny>,
    ) -> PyResult<Vec<Val>> {
        let parts = arg.cast::<PyTuple>()?;
        if parts.len() != kinds.len() {
            return Err(PyTypeError::new_err(format!(
                "{} parts, not {}",
                kinds.len(),
                parts.len()
            )));
        }
        kinds.zip(parts).map(|(kind, part)| self.value(&kind, &part, sockets)).collect()
    }

    /// The contract's value as Python's.
    fn object(&mut self, py: Python<'_>, value: Val) -> PyResult<Py<PyAny>> {
        Ok(match value {
            Val::Bool(value) => value.into_pyobject(py)?.to_owned().into_any().unbind(),
            Val::U8(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::U16(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::S32(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::U32(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::S64(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::U64(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::Float64(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::String(value) | Val::Enum(value) => value.into_pyobject(py)?.into_any().unbind(),
            Val::Option(value) | Val::Result(Ok(value)) => match value {
                Some(value) => self.object(py, *value)?,
                None => py.None(),
            },
            // Only bytes begin with a byte; of an empty list nobody can tell, and Python's `b""` is
            // as empty.
            Val::List(items) if items.iter().all(|item| matches!(item, Val::U8(_))) => {
                let bytes: Vec<u8> = items
                    .iter()
                    .filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None })
                    .collect();
                PyBytes::new(py, &bytes).into_any().unbind()
            }
            Val::List(items) | Val::Tuple(items) => self.objects(py, items)?,
            Val::Record(fields) => {
                self.objects(py, fields.into_iter().map(|(_, value)| value).collect())?
            }
            Val::Variant(case, payload) => {
                let payload =
                    payload.map_or_else(|| Ok(py.None()), |payload| self.object(py, *payload))?;
                PyTuple::new(py, [case.into_pyobject(py)?.into_any().unbind(), payload])?
                    .into_any()
                    .unbind()
            }
            Val::Resource(socket) => self.state(py, socket)?,
            other => return Err(PyTypeError::new_err(format!("no way to show {other:?}"))),
        })
    }

    fn objects(&mut self, py: Python<'_>, values: Vec<Val>) -> PyResult<Py<PyAny>> {
        let objects =
            values.into_iter().map(|value| self.object(py, value)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, objects)?.into_any().unbind())
    }
}
