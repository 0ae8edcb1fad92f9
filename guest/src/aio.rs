//! Asynchronous guests: many tasks that wait together on the guest's one thread.
//!
//! [`run`] drives a future and the tasks that it [`spawn`]s. An [`AsyncSocket`] is a
//! [`Socket`](crate::Socket) whose methods are futures; it is an [`AsyncRead`](futures_io::AsyncRead)
//! and an [`AsyncWrite`](futures_io::AsyncWrite) too, so that what is written for these traits
//! works on it. [`sleep`] and [`timeout`] measure time by the host's clock. All of it waits in one
//! [`Epoll`](crate::Epoll)-like set, whose cost follows the sockets that are ready.
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
//! * **A future that is dropped is cancelled.** A receive that was dropped has taken nothing, a
//!   send that was dropped has sent what it had already sent. A [`Task`] that is dropped is
//!   cancelled too; [`Task::detach`] lets it go on, and awaiting it gives its result.
//! * **Look-ups of names wait** with the whole guest. Where that matters, look up first
//!   ([`getaddrinfo`](crate::getaddrinfo)).
//! * A task that always finds its sockets ready gives the others their turn after some calls.
//! * An interrupt (Ctrl-C) runs the handler
//!   ([`set_interrupt_handler`](crate::set_interrupt_handler)); without one, and where the handler
//!   gives an error, it ends [`run`].

mod reactor;
mod runtime;
mod socket;
mod time;

pub use async_executor::Task;
pub use runtime::{run, spawn};
pub use socket::AsyncSocket;
pub use time::{Sleep, sleep, timeout};
