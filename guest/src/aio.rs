//! Asynchronous guests: many tasks that wait together on the guest's one thread.
//!
//! [`run`] runs a future and the tasks that it [`spawn`]s. An [`AsyncSocket`] is a
//! [`Socket`](crate::Socket) whose methods are futures. It implements
//! [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite), so code that is
//! written for these traits works on it. An [`AsyncTlsStream`] is such a socket with TLS. [`sleep`]
//! and [`timeout`] measure time by the host's clock. All tasks wait in one poller, whose cost
//! depends on the number of ready sockets only.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use sandsock::{Error, Flags, ServerOptions, aio, create_server};
//!
//! async fn serve(client: aio::AsyncSocket) -> Result<(), Error> {
//!     loop {
//!         let data = aio::timeout(Duration::from_secs(60), client.recv(4096, Flags::NONE)).await??;
//!         if data.is_empty() {
//!             return Ok(());
//!         }
//!         client.sendall(&data, Flags::NONE).await?;
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     let server = aio::AsyncSocket::new(create_server(("127.0.0.1", 7777), ServerOptions::default())?)?;
//!     aio::run(async {
//!         loop {
//!             let (client, _) = server.accept().await?;
//!             aio::spawn(serve(client)).detach();
//!         }
//!     })?
//! }
//! ```
//!
//! # Rules
//!
//! * **A future that is dropped is cancelled.** A receive that is dropped has taken no data. A send
//!   that is dropped has sent only what it sent before. A [`Task`] that is dropped is cancelled
//!   too. [`Task::detach`] lets it run on, and awaiting it returns its result.
//! * **Look-ups of names stop the whole guest** until they end. If that matters, look names up
//!   first ([`getaddrinfo`](crate::getaddrinfo)).
//! * A task whose sockets are always ready lets the other tasks run after some calls.
//! * An interrupt (Ctrl-C) runs the handler
//!   ([`set_interrupt_handler`](crate::set_interrupt_handler)). If there is no handler, or it
//!   returns an error, [`run`] ends.

mod reactor;
mod runtime;
mod socket;
mod time;
mod tls;

pub use async_executor::Task;
pub use runtime::{run, spawn};
pub use socket::AsyncSocket;
pub use time::{Sleep, sleep, timeout};
pub use tls::AsyncTlsStream;
