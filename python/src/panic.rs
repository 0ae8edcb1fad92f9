//! How a panic of this package ends the guest: with one sentence and a status.

use std::panic::PanicHookInfo;

#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package sandsock:end;
            world end {
                import wasi:cli/exit@0.2.12;
            }
            package wasi:cli@0.2.12 {
                interface exit {
                    exit: func(status: result);
                    exit-with-code: func(status-code: u8);
                }
            }
        ",
        world: "sandsock:end/end",
        generate_all,
    });
}

/// The status that shells use for an abort.
const ABORTED: u8 = 134;

/// Makes a panic end the guest. No exception of Python could tell that the extension's state may be
/// broken.
pub(crate) fn end_on_panic() {
    std::panic::set_hook(Box::new(end));
}

fn end(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no reason is known");
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    let place = place.unwrap_or_default();
    eprintln!("sandsock: the sockets of this Python failed: {text}{place}; please report it");
    bindings::wasi::cli::exit::exit_with_code(ABORTED);
}
