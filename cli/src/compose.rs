//! `sandsock compose`: an app that imports Python's API, made whole by a provider of it. `run` does
//! the same by itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use wac_graph::{CompositionGraph, EncodeOptions, PlugError, types::Package};

use crate::component::{binary, needs, read};
use crate::exit::Exit;

/// The provider's file, and the variable that names another one.
const FILE: &str = "provider.wasm";
const VARIABLE: &str = "SANDSOCK_PROVIDER";

/// What `compose` takes.
#[derive(Args)]
pub(crate) struct ComposeArgs {
    /// The app, a .wasm or .wat file. One alone: each app has a provider of its own.
    #[arg(required = true)]
    app: Vec<PathBuf>,

    /// Where to write the composed component.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,

    /// Another provider than the one that belongs to this command.
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
}

/// Writes the composed component.
pub(crate) fn compose(args: &ComposeArgs) -> Result<ExitCode, Exit> {
    let [app] = args.app.as_slice() else {
        // One provider would serve both under one policy, and each could name the other's
        // descriptors.
        return Err(anyhow!(
            "{} apps: one provider serves one app; compose each by itself, and run each under its own policy",
            args.app.len()
        )
        .into());
    };
    let bytes = read(app)?;
    if needs(app, &bytes)?.provider.is_empty() {
        return Err(Exit::load(anyhow!(
            "{}: it imports no sandsock:socket/sockets, so that there is nothing to compose",
            app.display()
        )));
    }
    let provider = match &args.provider {
        Some(provider) => provider.clone(),
        None => find()?,
    };
    let composed = plug(app, bytes, &provider)?;
    std::fs::write(&args.output, composed)
        .with_context(|| format!("{}: can't write", args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the paths where the provider of this command is looked for, up to the first that exists:
/// the variable's, or else those beside the command as it is installed (`../lib/sandsock/`) or
/// built (`../guests/`).
pub(crate) fn places() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return vec![PathBuf::from(path)];
    }
    let command = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    let folder = command.parent().unwrap_or(Path::new("/"));
    let mut places =
        vec![folder.join("../lib/sandsock"), folder.join("../guests"), folder.to_owned()];
    places.iter_mut().for_each(|place| place.push(FILE));
    let there = places.iter().position(|place| place.is_file());
    places.truncate(there.map_or(places.len(), |at| at + 1));
    places
}

/// Finds the provider of this command.
pub(crate) fn find() -> Result<PathBuf, Exit> {
    let places = places();
    let found = places.last().filter(|path| path.is_file() || std::env::var_os(VARIABLE).is_some());
    found.cloned().ok_or_else(|| {
        anyhow!(
            "the component wants a provider of sandsock:socket/sockets, and there is no {}; `make guests` builds it, `make install` \
             puts it there, and {VARIABLE} may name another one",
            places[0].display()
        )
        .into()
    })
}

/// The app and the provider as one component, whose imports are what is left of both.
pub(crate) fn plug(path: &Path, app: Vec<u8>, provider: &Path) -> Result<Vec<u8>, Exit> {
    let socket = std::fs::read(provider)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| binary(provider, bytes))
        .with_context(|| format!("{}: can't read the provider", provider.display()))?;
    let about = || format!("{}: can't compose it with {}", path.display(), provider.display());
    let composed = plugged(app, socket).with_context(about).map_err(Exit::load)?;
    // wac leaves an import open, without a word, that is of another type than the export.
    let open = needs(path, &composed)?.provider;
    if !open.is_empty() {
        let open = open.join(", ");
        return Err(Exit::load(
            anyhow!("the provider has no {open} of the type that is asked for").context(about()),
        ));
    }
    Ok(composed)
}

fn plugged(app: Vec<u8>, provider: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let provider = Package::from_bytes("sandsock:provider", None, provider, graph.types_mut())?;
    let provider = graph.register_package(provider)?;
    let app = Package::from_bytes("sandsock:app", None, app, graph.types_mut())?;
    let app = graph.register_package(app)?;
    match wac_graph::plug(&mut graph, vec![provider], app) {
        // What stays open is told by its name.
        Ok(()) | Err(PlugError::NoPlugHappened) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(graph.encode(EncodeOptions::default())?)
}
