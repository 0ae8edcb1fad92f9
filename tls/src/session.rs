//! A session without I/O.

use std::fmt;
use std::io::{self, BufRead as _, Write};
use std::sync::Arc;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{ClientConnection, Connection, ServerConnection};

use crate::failure::{CertificateFault, Failure, unknown_issuer};
use crate::setup::{Server, Version};
use crate::tickets::SessionTickets;
use crate::verify::{Demand, SessionVerifier};

/// The most plain bytes, and the most bytes to send, that a session keeps.
const BUFFER_MAX: usize = 64 << 10;

/// The most keying material that is exported at once. RFC 8446, section 7.5: HKDF-Expand gives at
/// most 255 times the length of its hash, which has at least 32 bytes.
pub const KEYING_MATERIAL_MAX: usize = 255 * 32;

/// One TLS connection. The caller moves the bytes between it and the transport.
///
/// It keeps at most some 100 KiB, whatever the peer sends: [`feed`](Self::feed) takes no more bytes
/// until the plain ones that came before are read, and [`write`](Self::write) takes no more until
/// the bytes to send are drained.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    /// What the verification of a client's session knows.
    client: Option<(Arc<SessionVerifier>, Arc<SessionTickets>)>,
    /// An alert of a server that has failed or refused before the handshake.
    alert: Vec<u8>,
    failure: Option<Failure>,
    /// The protocols of which one has to be agreed on. None are any.
    required: Vec<Vec<u8>>,
    /// The peer has sent close_notify.
    peer_closed: bool,
    /// This side has sent close_notify.
    closed: bool,
    /// The transport has ended.
    ended: bool,
    /// The session was fed bytes.
    is_fed: bool,
}

/// How far a session is.
enum Stage {
    /// A server waits for the client's hello.
    Hello(Box<Acceptor>),
    /// The hello has come.
    Choice(Box<Accepted>),
    Connected(Box<Connection>),
    /// A server has failed or refused before the handshake.
    Ended,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello(_) => "Hello",
            Self::Choice(_) => "Choice",
            Self::Connected(_) => "Connected",
            Self::Ended => "Ended",
        })
    }
}

/// What a client asks for, as far as a server chooses by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The name that the client sent by SNI.
    pub server_name: Option<String>,
    /// The protocols that the client offers by ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// The cipher suites that the client offers, by IANA's numbers.
    pub ciphers: Vec<u16>,
    /// The signature schemes that the client takes, by IANA's numbers.
    pub signature_schemes: Vec<u16>,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// These bytes, at least one.
    Bytes(Vec<u8>),
    /// None yet. The session needs more of the peer's bytes.
    NotYet,
    /// The peer ended the session with close_notify.
    End,
}

/// What both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The version.
    pub version: Version,
    /// The cipher suite: IANA's name and number.
    pub cipher: (String, u16),
    /// The protocol that ALPN has chosen.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client sent by SNI. None on a client's side.
    pub server_name: Option<String>,
    /// The certificates of the peer in DER, its own first. None if it sent none.
    pub peer_chain: Vec<Vec<u8>>,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
}

impl Session {
    fn new(stage: Stage) -> Self {
        Self {
            stage,
            client: None,
            alert: Vec::new(),
            failure: None,
            required: Vec::new(),
            peer_closed: false,
            closed: false,
            ended: false,
            is_fed: false,
        }
    }

    fn connected(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(BUFFER_MAX));
        Self::new(Stage::Connected(Box::new(connection)))
    }

    pub(crate) fn client(
        connection: ClientConnection,
        verifier: Arc<SessionVerifier>,
        tickets: Arc<SessionTickets>,
    ) -> Self {
        let mut session = Self::connected(connection.into());
        session.client = Some((verifier, tickets));
        session
    }

    pub(crate) fn server(connection: ServerConnection) -> Self {
        Self::connected(connection.into())
    }

    /// Begins a session as a server that chooses what it offers by the client's hello.
    pub fn accept() -> Self {
        Self::new(Stage::Hello(Box::default()))
    }

    /// Returns whether it is a client's session.
    pub fn is_client(&self) -> bool {
        self.client.is_some()
    }

    /// Returns whether it was fed bytes.
    pub fn is_fed(&self) -> bool {
        self.is_fed
    }

    /// Returns the client's hello if the session waits for [`choose`](Self::choose).
    pub fn hello(&self) -> Option<ClientHello> {
        let Stage::Choice(accepted) = &self.stage else { return None };
        let hello = accepted.client_hello();
        Some(ClientHello {
            server_name: hello.server_name().map(str::to_owned),
            alpn: hello.alpn().map_or_else(Vec::new, |list| list.map(<[u8]>::to_vec).collect()),
            ciphers: hello.cipher_suites().iter().map(|&suite| suite.into()).collect(),
            signature_schemes: hello.signature_schemes().iter().map(|&one| one.into()).collect(),
        })
    }

    /// Returns whether the session waits for a client's hello, or for the choice after it.
    pub fn is_before_choice(&self) -> bool {
        matches!(self.stage, Stage::Hello(_) | Stage::Choice(_))
    }

    /// Goes on with the handshake after the client's hello. Returns false if the session does not
    /// wait for it.
    pub fn choose(&mut self, server: &Server) -> bool {
        if !matches!(self.stage, Stage::Choice(_)) {
            return false;
        }
        let Stage::Choice(accepted) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return false;
        };
        match accepted.into_connection(server.config()) {
            Ok(mut connection) => {
                connection.set_buffer_limit(Some(BUFFER_MAX));
                self.stage = Stage::Connected(Box::new(connection.into()));
                // `failure` has what goes wrong.
                let _ = self.process();
            }
            Err((error, alert)) => self.fail(error, alert),
        }
        true
    }

    /// Refuses the client after its hello, with this alert. Returns false if the session does not
    /// wait for a choice.
    pub fn refuse(&mut self, alert: u8) -> bool {
        if !matches!(self.stage, Stage::Choice(_)) {
            return false;
        }
        self.stage = Stage::Ended;
        // RFC 8446, section 6: a record of the type alert with a fatal one, not encrypted yet.
        self.alert = vec![21, 3, 3, 0, 2, 2, alert];
        self.failure = Some(Failure::Refused(alert));
        true
    }

    fn fail(&mut self, error: rustls::Error, mut alert: AcceptedAlert) {
        self.stage = Stage::Ended;
        // Writing to memory has no errors.
        let _ = alert.write_all(&mut self.alert);
        self.failure = Some(error.into());
    }

    /// Asks for more of a client's session than its options do: these roots have to prove the
    /// server's name, and one of these protocols has to be agreed on, if there are any. Returns
    /// false if the session was fed bytes, or if it offers to resume one without this demand.
    #[must_use]
    pub fn demand(&mut self, demand: &Demand, alpn: &[Vec<u8>]) -> bool {
        let Some((verifier, tickets)) = &self.client else { return false };
        if self.is_fed || !verifier.demand(demand.clone(), !tickets.has_offered()) {
            return false;
        }
        self.required = alpn.to_vec();
        true
    }

    /// Lets a session go on only if one of these protocols is agreed on, if there are any. Returns
    /// false if it is too late: a client's session was fed bytes, or a server's has chosen.
    #[must_use]
    pub fn require(&mut self, alpn: &[Vec<u8>]) -> bool {
        let is_new = if self.is_client() { !self.is_fed } else { self.is_before_choice() };
        if is_new {
            self.required = alpn.to_vec();
        }
        is_new
    }

    /// Returns whether a demand was set.
    pub fn is_demanded(&self) -> bool {
        self.client.as_ref().is_some_and(|(verifier, _)| verifier.is_demanded())
    }

    /// Returns the chain for which the session failed, in DER. Empty if it did not.
    pub fn refused_chain(&self) -> Vec<Vec<u8>> {
        match (&self.failure, &self.client) {
            (Some(Failure::Certificate(_)), Some((verifier, _))) => verifier.refused(),
            _ => Vec::new(),
        }
    }

    fn connection(&self) -> Option<&Connection> {
        match &self.stage {
            Stage::Connected(connection) => Some(connection),
            Stage::Hello(_) | Stage::Choice(_) | Stage::Ended => None,
        }
    }

    fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.stage {
            Stage::Connected(connection) => Some(connection),
            Stage::Hello(_) | Stage::Choice(_) | Stage::Ended => None,
        }
    }

    /// Takes bytes that the transport received, and returns how many. It takes fewer while there
    /// are plain bytes to read, or bytes of a handshake to send. After the end it takes none.
    ///
    /// # Errors
    ///
    /// The session fails, or has failed before. There may be an alert to send.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        self.check()?;
        let mut rest = bytes;
        while !rest.is_empty() && self.wants_bytes() {
            self.is_fed = true;
            let read = match &mut self.stage {
                Stage::Hello(acceptor) => acceptor.read_tls(&mut rest),
                Stage::Connected(connection) => connection.read_tls(&mut rest),
                Stage::Choice(_) | Stage::Ended => Ok(0),
            };
            match read {
                Ok(0) => break,
                Ok(_) => self.process()?,
                // The plain bytes have to be read first.
                Err(_) if self.pending() > 0 => break,
                // No message of a handshake is that long.
                Err(error) => {
                    self.failure = Some(Failure::Protocol(error.to_string()));
                    self.check()?;
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Notes that the transport has ended: no bytes come any more.
    pub fn feed_end(&mut self) {
        if !self.ended {
            self.ended = true;
            if let Some(connection) = self.connection_mut() {
                // Nothing is read, which is the end. What is left to process fails by itself.
                let _ = connection.read_tls(&mut io::empty());
            }
        }
        if self.is_handshaking() && self.failure.is_none() && !self.peer_closed {
            self.failure = Some(Failure::Truncated);
        }
    }

    fn process(&mut self) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Hello(acceptor) => match acceptor.accept() {
                Ok(Some(accepted)) => self.stage = Stage::Choice(Box::new(accepted)),
                Ok(None) => {}
                Err((error, alert)) => self.fail(error, alert),
            },
            Stage::Connected(connection) => match connection.process_new_packets() {
                Ok(state) => {
                    self.peer_closed |= state.peer_has_closed();
                    let is_over = !connection.is_handshaking();
                    let alpn = connection.alpn_protocol();
                    let fits = self.required.is_empty()
                        || alpn.is_some_and(|name| self.required.iter().any(|one| one == name));
                    if self.peer_closed && !is_over {
                        self.failure = Some(Failure::Truncated);
                    } else if is_over && !fits {
                        let reason = "no protocol that is granted was agreed on";
                        self.failure = Some(Failure::Incompatible(reason.to_owned()));
                    }
                }
                Err(error) => {
                    let mut failure = Failure::from(error);
                    if failure == Failure::Certificate(CertificateFault::UnknownIssuer)
                        && let Some((verifier, _)) = &self.client
                    {
                        failure = Failure::Certificate(unknown_issuer(&verifier.refused()));
                    }
                    self.failure = Some(failure);
                }
            },
            Stage::Choice(_) | Stage::Ended => {}
        }
        self.check()
    }

    fn check(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Returns why the session failed.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Returns whether the session takes bytes of the transport now.
    pub fn wants_bytes(&self) -> bool {
        let wants = match &self.stage {
            Stage::Hello(_) => true,
            Stage::Connected(connection) => connection.wants_read(),
            Stage::Choice(_) | Stage::Ended => false,
        };
        self.failure.is_none() && !self.ended && wants
    }

    /// Returns whether there are bytes to send.
    pub fn has_bytes(&self) -> bool {
        !self.alert.is_empty() || self.connection().is_some_and(|one| one.wants_write())
    }

    /// Takes at most `most` bytes to send. A failed session may have an alert.
    pub fn drain(&mut self, most: usize) -> Vec<u8> {
        let mut drained = Limited { bytes: Vec::new(), most };
        while self.has_bytes() && drained.bytes.len() < most {
            // Writing to memory has no errors.
            if self.drain_to(&mut drained).is_err() {
                break;
            }
        }
        drained.bytes
    }

    /// Gives bytes to send to a writer, in one write, and returns how many it took. The others stay.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn drain_to(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        if !self.alert.is_empty() {
            let count = to.write(&self.alert)?;
            self.alert.drain(..count);
            return Ok(count);
        }
        self.connection_mut().map_or(Ok(0), |connection| connection.write_tls(to))
    }

    /// Returns whether the handshake is not over. Until then no plain bytes move.
    pub fn is_handshaking(&self) -> bool {
        self.connection().is_none_or(|one| one.is_handshaking())
    }

    /// Returns whether the peer has sent close_notify. Plain bytes from before may be left.
    pub fn has_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Reads at most `most` plain bytes. `most` is at least 1.
    ///
    /// # Errors
    ///
    /// The session has failed, and all plain bytes from before are read.
    pub fn read(&mut self, most: usize) -> Result<Plain, Failure> {
        let mut bytes = Vec::new();
        Ok(match self.read_to(&mut bytes, most)? {
            Some(0) => Plain::End,
            Some(_) => Plain::Bytes(bytes),
            None => Plain::NotYet,
        })
    }

    /// As [`read`](Self::read), but adds the bytes to others, and returns how many. 0 is the end, and
    /// None is not yet.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn read_to(&mut self, to: &mut Vec<u8>, most: usize) -> Result<Option<usize>, Failure> {
        // Plain bytes that came with a refused handshake are not given out.
        if self.is_handshaking() || self.is_misfit() {
            self.check()?;
            return Ok(None);
        }
        let Some(connection) = self.connection_mut() else { return Ok(None) };
        let mut reader = connection.reader();
        match reader.fill_buf() {
            Ok(bytes) => {
                let count = bytes.len().min(most);
                to.extend_from_slice(&bytes[..count]);
                reader.consume(count);
                // The rest of what the transport gave may hold the next record.
                if count > 0 && self.failure.is_none() {
                    let _ = self.process();
                }
                Ok(Some(count))
            }
            Err(error) => {
                self.check()?;
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    self.failure = Some(Failure::Truncated);
                }
                self.check()?;
                Ok(None)
            }
        }
    }

    /// Returns whether the session failed because its protocol is not one of those demanded.
    fn is_misfit(&self) -> bool {
        matches!(self.failure, Some(Failure::Incompatible(_)))
    }

    /// Returns whether a read returns bytes, the end or an error at once.
    pub fn is_readable(&mut self) -> bool {
        self.failure.is_some()
            || self.connection_mut().is_some_and(|one| {
                let mut reader = one.reader();
                let buffered = reader.fill_buf();
                buffered.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |_| true)
            })
    }

    /// Returns how many plain bytes can be read without more bytes of the peer.
    pub fn pending(&mut self) -> usize {
        if self.is_handshaking() || self.is_misfit() {
            return 0;
        }
        self.connection_mut().map_or(0, |one| {
            one.process_new_packets().map_or(0, |state| state.plaintext_bytes_to_read())
        })
    }

    /// Takes plain bytes to send, and returns how many. It takes none during the handshake, and
    /// while too many bytes wait to be drained.
    ///
    /// # Errors
    ///
    /// The session has failed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        self.check()?;
        match self.connection_mut() {
            // Writing to memory has no errors.
            Some(connection) if !connection.is_handshaking() => {
                Ok(connection.writer().write(bytes).unwrap_or(0))
            }
            _ => Ok(0),
        }
    }

    /// Ends this side with close_notify, which has to be drained. The peer may send more.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true)
            && let Some(connection) = self.connection_mut()
        {
            connection.send_close_notify();
        }
    }

    /// Returns whether this side has sent close_notify.
    pub fn has_closed(&self) -> bool {
        self.closed
    }

    /// Returns what both sides have agreed on. None until the handshake is over.
    pub fn info(&self) -> Option<Info> {
        let connection = self.connection().filter(|one| !one.is_handshaking())?;
        let suite = connection.negotiated_cipher_suite()?.suite();
        let name = suite.as_str().unwrap_or_default();
        Some(Info {
            version: match connection.protocol_version()? {
                rustls::ProtocolVersion::TLSv1_3 => Version::Tls13,
                _ => Version::Tls12,
            },
            // rustls marks the suites of TLS 1.3.
            cipher: (name.replace("TLS13_", "TLS_"), suite.into()),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: match connection {
                Connection::Server(server) => server.server_name().map(str::to_owned),
                Connection::Client(_) => None,
            },
            peer_chain: connection
                .peer_certificates()
                .map_or_else(Vec::new, |chain| chain.iter().map(|der| der.to_vec()).collect()),
            is_resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        })
    }

    /// Exports keying material (RFC 5705; RFC 8446, section 7.5). None until the handshake is over,
    /// and if `length` is 0 or above [`KEYING_MATERIAL_MAX`].
    pub fn keying_material(
        &self,
        length: usize,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        if !(1..=KEYING_MATERIAL_MAX).contains(&length) {
            return None;
        }
        self.connection()?.export_keying_material(vec![0; length], label, context).ok()
    }
}

/// Takes at most `most` bytes.
struct Limited {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.most - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
