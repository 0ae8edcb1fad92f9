//! TLS natively, by rustls: the loops that guests are measured against, and the peer of both.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use super::Work;

/// The name that the peer proves.
pub const NAME: &str = "peer.test";

/// A server's connection.
type Accepted = StreamOwned<ServerConnection, TcpStream>;

/// A client's connection.
type Connected = StreamOwned<ClientConnection, TcpStream>;

fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> io::Error {
    io::Error::other(error)
}

/// A client and a server of one certificate, which is its own root. Sessions are not resumed unless
/// that is asked for.
#[derive(Debug, Clone)]
pub struct Sides {
    chain: Vec<CertificateDer<'static>>,
    server: Arc<ServerConfig>,
}

impl Sides {
    /// Reads `chain.pem` and `key.pem` of a folder.
    ///
    /// # Errors
    /// They can't be read.
    pub fn read(folder: &Path, resumes: bool) -> io::Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(folder.join("chain.pem"))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).map_err(failed)?;
        let mut server =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(failed)?
                .with_no_client_auth()
                .with_single_cert(chain.clone(), key)
                .map_err(failed)?;
        if !resumes {
            server.send_tls13_tickets = 0;
            server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        }
        Ok(Self { chain, server: Arc::new(server) })
    }

    /// Makes a client. Its sessions resume each other.
    ///
    /// # Errors
    /// The certificate is none.
    pub fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain[self.chain.len() - 1].clone()).map_err(failed)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn accepted(&self, stream: TcpStream) -> io::Result<Accepted> {
        stream.set_nodelay(true)?;
        let session = ServerConnection::new(Arc::clone(&self.server)).map_err(failed)?;
        Ok(StreamOwned::new(session, stream))
    }

    /// Serves connections of [`native`] and of the guest program `bench_tls_ok`, each on a thread,
    /// until the process ends.
    ///
    /// # Errors
    /// The listener failed.
    pub fn serve(&self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            let sides = self.clone();
            // A client that gives up ends its own connection alone.
            std::thread::spawn(move || sides.serve_one(stream));
        }
    }

    fn serve_one(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = self.accepted(stream)?;
        let mut request = [0; 9];
        stream.read_exact(&mut request)?;
        let mut left = request[1..].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        stream.write_all(&[1])?;
        let mut buffer = vec![7; if matches!(request[0], b's' | b'r') { 1 << 16 } else { 16 }];
        match request[0] {
            b's' => {
                while left > 0 {
                    left = left.saturating_sub(stream.read(&mut buffer)? as u64);
                }
                stream.write_all(&[1])?;
            }
            b'r' => {
                while left > 0 {
                    let now = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    stream.write_all(&buffer[..now])?;
                    left -= now as u64;
                }
            }
            b'a' => {
                let config = self.client(rustls::ALL_VERSIONS)?;
                for _ in 0..left >> 16 {
                    let mut stream = connected(&config, (left & 0xffff) as u16)?;
                    stream.write_all(b"x")?;
                    stream.read_exact(&mut [0])?;
                }
            }
            _ => {}
        }
        // The client is done when it closes this one.
        let _ = stream.read(&mut buffer);
        Ok(())
    }
}

fn connected(config: &Arc<ClientConfig>, port: u16) -> io::Result<Connected> {
    let name = ServerName::try_from(NAME).map_err(failed)?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(failed)?;
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    // A client's last message and its first bytes are two small pieces.
    socket.set_nodelay(true)?;
    let mut stream = StreamOwned::new(session, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Opens a connection on which the peer does this.
///
/// # Errors
/// The peer is not there.
pub fn asked(
    config: &Arc<ClientConfig>,
    port: u16,
    operation: u8,
    total: u64,
) -> io::Result<Connected> {
    let mut stream = connected(config, port)?;
    stream.write_all(&[&[operation][..], &total.to_le_bytes()].concat())?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// Does the work natively, and returns its time.
///
/// # Errors
/// A connection failed.
pub fn native(sides: &Sides, port: u16, work: Work) -> io::Result<Duration> {
    let Work { operation, size, count } = work;
    let versions: &[_] = match operation {
        "handshake-1.2" => &[&rustls::version::TLS12],
        _ => rustls::ALL_VERSIONS,
    };
    let config = sides.client(versions)?;
    let total = count * size as u64;
    match operation {
        "accept" => {
            let listener = TcpListener::bind(("127.0.0.1", size as u16))?;
            let control = asked(&config, port, b'a', count << 16 | size as u64)?;
            let start = Instant::now();
            for _ in 0..count {
                let session = ServerConnection::new(Arc::clone(&sides.server)).map_err(failed)?;
                let mut stream = StreamOwned::new(session, listener.accept()?.0);
                stream.read_exact(&mut [0])?;
                stream.write_all(&[1])?;
            }
            let elapsed = start.elapsed();
            drop(control);
            Ok(elapsed)
        }
        "send" => {
            let mut stream = asked(&config, port, b's', total)?;
            let buffer = vec![7; size];
            let start = Instant::now();
            for _ in 0..count {
                stream.write_all(&buffer)?;
            }
            stream.read_exact(&mut [0])?;
            Ok(start.elapsed())
        }
        "receive" => {
            let (mut stream, mut left) = (asked(&config, port, b'r', total)?, total);
            let mut buffer = vec![0; size];
            let start = Instant::now();
            while left > 0 {
                let got = stream.read(&mut buffer)?;
                if got == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                left -= got as u64;
            }
            Ok(start.elapsed())
        }
        _ => {
            let start = Instant::now();
            for _ in 0..count {
                asked(&config, port, b'h', 0)?;
            }
            Ok(start.elapsed())
        }
    }
}
