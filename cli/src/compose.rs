//! `sandsock compose`: joins an app that imports Python's socket API with a component that provides
//! it. `run` does the same by itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use wac_graph::{CompositionGraph, EncodeOptions, PlugError, types::Package};

use crate::component::{binary, needs, read};
use crate::exit::Exit;
use crate::parts::PROVIDER;

/// What `compose` takes.
#[derive(Args)]
pub(crate) struct ComposeArgs {
    /// The app, a .wasm or .wat file. Exactly one, because each app has a provider of its own.
    #[arg(required = true)]
    app: Vec<PathBuf>,

    /// Where to write the composed component.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,

    /// Use this provider in place of the command's own.
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
}

/// Writes the composed component.
pub(crate) fn compose(args: &ComposeArgs) -> Result<ExitCode, Exit> {
    let [app] = args.app.as_slice() else {
        // One provider would serve both under one policy, and each could name the other's
        // descriptors.
        return Err(anyhow!(
            "{} apps: one provider serves one app; compose each app by itself, and run each under its own policy",
            args.app.len()
        )
        .into());
    };
    let bytes = read(app)?;
    if needs(app, &bytes)?.provider.is_empty() {
        return Err(Exit::load(anyhow!(
            "{}: it does not import sandsock:socket/sockets, so there is nothing to compose",
            app.display()
        )));
    }
    let provider = match &args.provider {
        Some(provider) => provider.clone(),
        None => PROVIDER.find()?,
    };
    let composed = plug(app, bytes, &provider)?;
    std::fs::write(&args.output, composed)
        .with_context(|| format!("{}: can't write", args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Joins the app and the provider to one component. It imports what neither of them provides.
pub(crate) fn plug(path: &Path, app: Vec<u8>, provider: &Path) -> Result<Vec<u8>, Exit> {
    let socket = std::fs::read(provider)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| binary(provider, bytes))
        .with_context(|| format!("{}: can't read the provider", provider.display()))?;
    let about = || format!("{}: can't compose it with {}", path.display(), provider.display());
    let composed = plugged(app, socket).with_context(about).map_err(Exit::load)?;
    // wac silently leaves an import open if its type differs from the export's.
    let open = needs(path, &composed)?.provider;
    if !open.is_empty() {
        let open = open.join(", ");
        return Err(Exit::load(
            anyhow!("the provider exports no {open} of the type that the component imports")
                .context(about()),
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
        // The caller reports each import that stays open.
        Ok(()) | Err(PlugError::NoPlugHappened) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(graph.encode(EncodeOptions::default())?)
}
