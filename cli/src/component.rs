//! A component's file before it is compiled: its binary form, and what it needs of this command.

use std::path::Path;

use anyhow::{Context as _, bail};
use wasmparser::{CanonicalFunction, Encoding, Parser, Payload};

use crate::exit::Exit;

/// What a component needs of this command, by its outermost imports and exports.
#[derive(Default)]
pub(crate) struct Needs {
    /// The component uses WASI 0.3.
    pub(crate) concurrent: bool,
    /// The component starts threads.
    pub(crate) threads: bool,
    /// The imports that a provider fulfils.
    pub(crate) provider: Vec<String>,
}

/// Reads a component's binary form.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Exit> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("{}: can't read the component", path.display()))
        .map_err(Exit::load)?;
    binary(path, bytes).map_err(Exit::load)
}

/// Returns a component's binary form, converted from its text if it is text.
pub(crate) fn binary(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    // Text begins with a parenthesis or a comment. For anything else a parser's error would not
    // help.
    if !matches!(bytes.trim_ascii_start().first(), Some(b'(' | b';')) {
        bail!("{}: not a WebAssembly component", path.display());
    }
    match wat::Parser::new().parse_bytes(Some(path), &bytes) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => {
            // The message and the place, without the excerpt below it.
            let text = error.to_string();
            let message: Vec<&str> =
                text.lines().map(str::trim).take_while(|line| *line != "|").collect();
            bail!("not the text of a WebAssembly component: {}", message.join(" "))
        }
    }
}

/// Reads the outermost imports and exports, before anything is compiled.
pub(crate) fn needs(path: &Path, bytes: &[u8]) -> Result<Needs, Exit> {
    let mut needs = Needs::default();
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload
            .with_context(|| format!("{}: not a valid WebAssembly component", path.display()))
            .map_err(Exit::load)?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Exit::load(anyhow::anyhow!(
                    "{}: a core module, not a component; build it for wasm32-wasip2, or wrap it with `wasm-tools component new`",
                    path.display()
                )));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    let import = import.map_err(Exit::load)?;
                    needs.concurrent |= is_wasi_0_3(import.name.name);
                    if wants_provider(import.name.name) {
                        needs.provider.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) if depth == 1 => {
                for function in functions {
                    needs.threads |= starts_threads(&function.map_err(Exit::load)?);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    let export = export.map_err(Exit::load)?;
                    needs.concurrent |= is_wasi_0_3(export.name.name);
                }
            }
            _ => {}
        }
    }
    Ok(needs)
}

/// Returns whether a component with this canonical function starts threads.
fn starts_threads(function: &CanonicalFunction) -> bool {
    matches!(function, CanonicalFunction::ThreadNewIndirect { .. })
}

fn is_wasi_0_3(name: &str) -> bool {
    name.starts_with("wasi:")
        && name.split_once('@').is_some_and(|(_, version)| version.starts_with("0.3."))
}

/// Returns whether a provider fulfils an import.
pub(crate) fn wants_provider(import: &str) -> bool {
    ["sandsock:socket/sockets@", "sandsock:socket/data-plane@"]
        .iter()
        .any(|name| import.starts_with(name))
}
