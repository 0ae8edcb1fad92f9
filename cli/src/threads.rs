//! Turns a component that was linked with stand-ins for threads into one with threads.
//!
//! componentize-py links libraries, and its linker knows no thread functions of the Component Model.
//! So the library `python/threads` imports stand-ins (`wit/threads.wit`), and the finished component
//! is changed here:
//!
//! * Each lowering of a stand-in becomes the canonical function of the same signature.
//! * The functions of `waits` and the export `wasi:cli/run` get async types, so that a call of them
//!   suspends one thread.
//! * libpython gets the POSIX threads of the library in place of wasi-libc's stubs.
//!
//! One item takes the place of one item, so no index changes but that of one new core type.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use wasmparser::{
    BinaryReader, CanonicalFunction, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentType, ComponentTypeRef, Encoding, ExternalKind, Instance,
    InstanceTypeDeclaration, Parser, Payload, Validator, WasmFeatures,
};

use crate::component::read;
use crate::exit::Exit;

const STAND_INS: &str = "sandsock:socket/thread-builtins@0.1.0";
const WAITS: &str = "sandsock:socket/waits@0.1.0";
const RUN: &str = "wasi:cli/run@";

/// The table with the functions of all libraries.
const TABLE: &str = "__indirect_function_table";

/// How the library's functions begin that take the place of libc's.
const OWN: &str = "sandsock_";

/// The stubs of wasi-libc that libpython imports.
const STUBS: [&str; 16] = [
    "clock_nanosleep",
    "nanosleep",
    "pthread_cond_signal",
    "pthread_cond_timedwait",
    "pthread_cond_wait",
    "pthread_create",
    "pthread_detach",
    "pthread_getattr_np",
    "pthread_getspecific",
    "pthread_join",
    "pthread_mutex_lock",
    "pthread_mutex_trylock",
    "pthread_mutex_unlock",
    "pthread_self",
    "pthread_setspecific",
    "sched_yield",
];

/// The functions of [`STAND_INS`] that the library imports. The interpreter's bindings import them a
/// second time.
const BUILTINS: [&str; 4] = ["index", "new-indirect", "resume-later", "yield"];

/// Binary encodings (component-model/design/mvp/Binary.md).
const CORE_TYPE_SECTION: u8 = 3;
const ALIAS_SECTION: u8 = 6;
const CANON_SECTION: u8 = 8;
const INSTANCE_TYPE: u8 = 0x42;
const SYNC_FUNCTION: u8 = 0x40;
const ASYNC_FUNCTION: u8 = 0x43;
/// One core type, `(func (param i32))`.
const START_TYPE: [u8; 5] = [1, 0x60, 1, 0x7f, 0];
/// An alias of a core function that an instance exports.
const CORE_EXPORT: [u8; 3] = [0x00, 0x00, 0x01];

/// Writes the binary form of a module's text.
pub(crate) fn assemble(text: &Path, module: &Path) -> Result<ExitCode, Exit> {
    write(module, &read(text)?)
}

/// Writes the component with threads for one with stand-ins.
pub(crate) fn link_file(component: &Path, out: &Path) -> Result<ExitCode, Exit> {
    let linked = link(&read(component)?)
        .with_context(|| format!("{}: can't give it threads", component.display()))
        .map_err(Exit::load)?;
    write(out, &linked)
}

fn write(path: &Path, bytes: &[u8]) -> Result<ExitCode, Exit> {
    std::fs::write(path, bytes).with_context(|| format!("{}: can't write", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the component with threads.
///
/// # Errors
/// The component is not of the form that componentize-py gives it.
pub(crate) fn link(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let new = Linker::default().run(bytes).and_then(|linker| linker.finish(bytes));
    new.context("this componentize-py links components in a form that is not known here")
}

/// What is known of the component up to a section, and what changes in it.
#[derive(Default)]
struct Linker {
    /// How many items each index space has.
    instances: u32,
    functions: u32,
    core_functions: u32,
    core_types: u32,
    core_instances: u32,
    tables: u32,
    modules: u32,
    /// Where each type is, if it is written at its place.
    types: Vec<Option<usize>>,
    table: Option<u32>,
    stand_ins: Option<u32>,
    /// The functions of the stand-ins.
    names: BTreeMap<u32, String>,
    library: Option<u32>,
    library_instance: Option<u32>,
    /// The core function of the export.
    run: Option<u32>,
    /// The component that exports `run` is the next one.
    expects_shim: bool,
    start_type: Option<u32>,
    builtins: BTreeSet<String>,
    stubs: Vec<&'static str>,
    /// Where the bytes of function types are that become async.
    async_types: Vec<usize>,
    /// The sections that are replaced.
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl Linker {
    fn run(mut self, bytes: &[u8]) -> anyhow::Result<Self> {
        let mut depth = 0usize;
        let mut in_shim = false;
        // The end of the section before, where the next one begins.
        let mut start = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            match &payload {
                Payload::Version { encoding, range, .. } => {
                    if depth == 0 {
                        ensure!(*encoding == Encoding::Component, "it is not a component");
                        start = range.end;
                    }
                    continue;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    if depth == 0 {
                        let is_module = matches!(payload, Payload::ModuleSection { .. });
                        self.modules += u32::from(is_module);
                        in_shim = !is_module && std::mem::take(&mut self.expects_shim);
                    }
                    depth += 1;
                    continue;
                }
                Payload::End(end) => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        (start, in_shim) = (*end, false);
                    }
                    continue;
                }
                Payload::ExportSection(exports) if depth == 1 => {
                    for export in exports.clone() {
                        if export?.name == "sandsock_pthread_create" {
                            self.library = self.modules.checked_sub(1);
                        }
                    }
                }
                Payload::ComponentTypeSection(types) if in_shim => {
                    for item in types.clone().into_iter_with_offsets() {
                        if let (at, ComponentType::Func(_)) = item? {
                            self.async_types.push(at);
                        }
                    }
                }
                _ => {}
            }
            if depth > 0 {
                continue;
            }
            let Some((_, range)) = payload.as_section() else { continue };
            self.section(bytes, start..range.end, payload)?;
            start = range.end;
        }
        Ok(self)
    }

    /// Looks at a section of the outermost component.
    fn section(
        &mut self,
        bytes: &[u8],
        whole: Range<usize>,
        payload: Payload<'_>,
    ) -> anyhow::Result<()> {
        match payload {
            Payload::ComponentTypeSection(types) => {
                for item in types.into_iter_with_offsets() {
                    self.types.push(Some(item?.0));
                }
            }
            Payload::CoreTypeSection(types) => self.core_types += types.count(),
            Payload::ComponentInstanceSection(instances) => self.instances += instances.count(),
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Instance(kind) => {
                            match import.name.name {
                                STAND_INS => self.stand_ins = Some(self.instances),
                                WAITS => self.make_async(bytes, kind)?,
                                _ => {}
                            }
                            self.instances += 1;
                        }
                        ComponentTypeRef::Func(_) => self.functions += 1,
                        ComponentTypeRef::Type(_) => self.types.push(None),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    match export?.kind {
                        ComponentExternalKind::Func => self.functions += 1,
                        ComponentExternalKind::Instance => self.instances += 1,
                        ComponentExternalKind::Type => self.types.push(None),
                        _ => {}
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if let Instance::Instantiate { module_index, .. } = instance?
                        && Some(module_index) == self.library
                    {
                        self.library_instance = Some(self.core_instances);
                    }
                    self.core_instances += 1;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                let range = aliases.range();
                let items: Vec<_> = aliases.into_iter_with_offsets().collect::<Result<_, _>>()?;
                self.replace_stubs(bytes, whole, range, &items);
                for (_, alias) in items {
                    self.alias(alias);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                let range = functions.range();
                let items: Vec<_> = functions.into_iter_with_offsets().collect::<Result<_, _>>()?;
                self.canonical(bytes, whole, range, &items)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes the function types of an instance's type async.
    fn make_async(&mut self, bytes: &[u8], kind: u32) -> anyhow::Result<()> {
        let at = self.types.get(kind as usize).copied().flatten();
        let at = at.context("the type of an interface is not at its place")?;
        let mut reader = BinaryReader::new(&bytes[at..], at);
        ensure!(reader.read_u8()? == INSTANCE_TYPE, "an interface is no instance");
        for _ in 0..reader.read_var_u32()? {
            // The byte before a type says that it is one.
            let place = reader.original_position() + 1;
            if let InstanceTypeDeclaration::Type(ComponentType::Func(_)) = reader.read()? {
                self.async_types.push(place);
            }
        }
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => match kind {
                ComponentExternalKind::Func => {
                    if Some(instance_index) == self.stand_ins {
                        self.names.insert(self.functions, name.to_owned());
                    }
                    self.functions += 1;
                }
                ComponentExternalKind::Instance => self.instances += 1,
                ComponentExternalKind::Type => self.types.push(None),
                _ => {}
            },
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, name, .. } => {
                if name.starts_with(RUN) && name.ends_with("#run") {
                    self.run = Some(self.core_functions);
                }
                self.core_functions += 1;
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Table, name, .. } => {
                if name == TABLE {
                    self.table.get_or_insert(self.tables);
                }
                self.tables += 1;
            }
            ComponentAlias::CoreInstanceExport { .. } => {}
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreType, .. } => {
                self.core_types += 1;
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => {
                self.types.push(None);
            }
            ComponentAlias::Outer { .. } => {}
        }
    }

    /// Replaces the aliases of libc's stubs by aliases of the library's functions.
    fn replace_stubs(
        &mut self,
        bytes: &[u8],
        whole: Range<usize>,
        range: Range<usize>,
        items: &[(usize, ComponentAlias<'_>)],
    ) {
        let Some(library) = self.library_instance else { return };
        let before = self.stubs.len();
        let mut body = Vec::new();
        leb128(items.len(), &mut body);
        for (place, (at, alias)) in items.iter().enumerate() {
            let end = items.get(place + 1).map_or(range.end, |(next, _)| *next);
            let stub = match alias {
                ComponentAlias::CoreInstanceExport {
                    kind: ExternalKind::Func,
                    name,
                    instance_index,
                } if *instance_index != library => STUBS.iter().find(|stub| *stub == name),
                _ => None,
            };
            match stub {
                Some(stub) => {
                    let name = format!("{OWN}{stub}");
                    body.extend(CORE_EXPORT);
                    leb128(library as usize, &mut body);
                    leb128(name.len(), &mut body);
                    body.extend(name.as_bytes());
                    self.stubs.push(stub);
                }
                None => body.extend(&bytes[*at..end]),
            }
        }
        if self.stubs.len() > before {
            self.edits.push((whole, section(ALIAS_SECTION, &body)));
        }
    }

    /// Replaces the lowerings of the stand-ins by canonical functions, and notes the export's type.
    fn canonical(
        &mut self,
        bytes: &[u8],
        whole: Range<usize>,
        range: Range<usize>,
        items: &[(usize, CanonicalFunction)],
    ) -> anyhow::Result<()> {
        let mut changed = false;
        let mut new_type = false;
        let mut body = Vec::new();
        leb128(items.len(), &mut body);
        for (place, (at, function)) in items.iter().enumerate() {
            let end = items.get(place + 1).map_or(range.end, |(next, _)| *next);
            let mut name = None;
            match function {
                CanonicalFunction::Lift { core_func_index, type_index, .. } => {
                    if Some(*core_func_index) == self.run {
                        let at = self.types.get(*type_index as usize).copied().flatten();
                        self.async_types.push(at.context("the type of run is not at its place")?);
                        self.expects_shim = true;
                    }
                    self.functions += 1;
                }
                CanonicalFunction::Lower { func_index, .. } => {
                    name = self.names.get(func_index).map(String::as_str);
                    self.core_functions += 1;
                }
                _ => self.core_functions += 1,
            }
            match name {
                None => {
                    body.extend(&bytes[*at..end]);
                    continue;
                }
                Some("new-indirect") => {
                    new_type |= self.start_type.is_none();
                    body.push(0x27);
                    leb128(*self.start_type.get_or_insert(self.core_types) as usize, &mut body);
                    leb128(self.table.context("there is no table")? as usize, &mut body);
                }
                Some("index") => body.push(0x26),
                Some("resume-later") => body.push(0x28),
                // The second byte says that the thread can't be cancelled meanwhile.
                Some("yield") => body.extend([0x0c, 0x00]),
                Some(other) => bail!("there is no thread function {other}"),
            }
            changed = true;
            self.builtins.extend(name.map(str::to_owned));
        }
        if changed {
            let mut new = Vec::new();
            if new_type {
                new.extend(section(CORE_TYPE_SECTION, &START_TYPE));
                self.core_types += 1;
            }
            new.extend(section(CANON_SECTION, &body));
            self.edits.push((whole, new));
        }
        Ok(())
    }

    /// Makes the changes, if all were found.
    fn finish(mut self, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.stubs.sort_unstable();
        if let Some(missing) = STUBS.iter().find(|stub| !self.stubs.contains(stub)) {
            bail!("nothing imports {missing}");
        }
        ensure!(
            self.stubs.len() == STUBS.len()
                && self.builtins.iter().eq(&BUILTINS)
                && self.run.is_some(),
            "it imports {} POSIX functions of {}, and the thread functions {:?}",
            self.stubs.len(),
            STUBS.len(),
            self.builtins,
        );
        let mut bytes = bytes.to_vec();
        for at in self.async_types {
            let place = bytes.get_mut(at).filter(|byte| **byte == SYNC_FUNCTION);
            *place.context("a type is no function")? = ASYNC_FUNCTION;
        }
        let mut new = Vec::with_capacity(bytes.len() + 1024);
        let mut at = 0;
        for (range, replacement) in self.edits {
            new.extend(&bytes[at..range.start]);
            new.extend(replacement);
            at = range.end;
        }
        new.extend(&bytes[at..]);
        // The modules were valid before.
        let features = WasmFeatures::all();
        Validator::new_with_features(features).validate_all(&new)?;
        Ok(new)
    }
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    leb128(body.len(), &mut section);
    section.extend(body);
    section
}

/// Appends an unsigned number in LEB128.
fn leb128(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
