//! Clients and servers: what all sessions of one setup have in common, and their tickets.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use crate::identity::Identity;
use crate::roots::Roots;
use crate::session::Session;
use crate::tickets::{SessionTickets, Tickets};
use crate::verify::{SessionVerifier, Wish};

/// The most protocols that ALPN offers.
pub const ALPN_MAX: usize = 32;

/// The sessions that a server remembers to resume them.
const TICKETS: usize = 32;

/// Returns the cryptography. It is ring's.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// The algorithms that a session may agree on, by IANA's numbers. Unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Algorithms {
    /// The cipher suites. None are all.
    pub ciphers: Vec<u16>,
    /// The groups of the key exchange. None are all.
    pub groups: Vec<u16>,
}

impl Algorithms {
    /// Returns the cryptography with these algorithms alone.
    fn provider(&self) -> Arc<CryptoProvider> {
        if *self == Self::default() {
            return provider();
        }
        let mut limited = (*provider()).clone();
        if !self.ciphers.is_empty() {
            limited.cipher_suites.retain(|suite| self.ciphers.contains(&suite.suite().into()));
        }
        if !self.groups.is_empty() {
            limited.kx_groups.retain(|group| self.groups.contains(&group.name().into()));
        }
        Arc::new(limited)
    }
}

/// A version of TLS. Older ones are never offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The versions that a session may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The lowest.
    pub lowest: Version,
    /// The highest.
    pub highest: Version,
}

impl Default for Versions {
    /// TLS 1.2 and 1.3.
    fn default() -> Self {
        Self { lowest: Version::Tls12, highest: Version::Tls13 }
    }
}

impl Versions {
    fn list(self) -> Result<&'static [&'static SupportedProtocolVersion], SetupError> {
        use rustls::version::{TLS12, TLS13};
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match (self.lowest, self.highest) {
            (Version::Tls12, Version::Tls13) => Ok(&BOTH),
            (Version::Tls12, Version::Tls12) => Ok(&BOTH[1..]),
            (Version::Tls13, Version::Tls13) => Ok(&BOTH[..1]),
            (Version::Tls13, Version::Tls12) => Err(SetupError::NoVersion),
        }
    }
}

/// Which certificates of servers a client takes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that these roots prove, for the name that the client asks for.
    Roots(Arc<Roots>),
    /// Those that these roots prove, for any name.
    AnyName(Arc<Roots>),
    /// Any certificate.
    Insecure,
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Roots(one), Self::Roots(other)) | (Self::AnyName(one), Self::AnyName(other)) => {
                Arc::ptr_eq(one, other)
            }
            (Self::Insecure, Self::Insecure) => true,
            (Self::Roots(_) | Self::AnyName(_) | Self::Insecure, _) => false,
        }
    }
}

/// What the sessions of a client have in common.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Which certificates it takes.
    pub trust: Trust,
    /// The versions.
    pub versions: Versions,
    /// The protocols that it offers by ALPN, the preferred one first. If there are any, a server
    /// that takes none of them is refused unless it knows no ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// The identity that it shows if the server asks for one.
    pub identity: Option<Arc<Identity>>,
}

impl PartialEq for ClientOptions {
    fn eq(&self, other: &Self) -> bool {
        self.trust == other.trust
            && self.versions == other.versions
            && self.alpn == other.alpn
            && same(&self.identity, &other.identity)
    }
}

fn same(one: &Option<Arc<Identity>>, other: &Option<Arc<Identity>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Makes client sessions. Its sessions resume each other as long as it lives.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    wish: Wish,
    tickets: Arc<Tickets>,
}

impl Client {
    /// Makes a client. It has no tickets yet.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or are out of bounds.
    pub fn new(options: &ClientOptions) -> Result<Self, SetupError> {
        Self::with_algorithms(options, &Algorithms::default())
    }

    /// Makes a client that offers these algorithms alone.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or are out of bounds.
    pub fn with_algorithms(
        options: &ClientOptions,
        algorithms: &Algorithms,
    ) -> Result<Self, SetupError> {
        check_alpn(&options.alpn)?;
        let wish = Wish::new(&options.trust)?;
        let builder = ClientConfig::builder_with_provider(algorithms.provider())
            .with_protocol_versions(options.versions.list()?)
            .map_err(|_| SetupError::NoCipher)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(SessionVerifier::new(wish.clone())));
        let mut config = match &options.identity {
            Some(identity) => builder.with_client_cert_resolver(identity.resolver.clone()),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&options.alpn);
        Ok(Self { config: Arc::new(config), wish, tickets: Arc::default() })
    }

    /// Begins a session with the server of this name: a host name, or an IP address. The server's
    /// certificate has to have the name, unless the client takes any name. A host name is sent by
    /// SNI. The session resumes an earlier one if it can.
    ///
    /// # Errors
    ///
    /// It is no name of a host.
    pub fn session(&self, name: &str) -> Result<Session, SetupError> {
        self.begin(Some(name), true)
    }

    /// Begins a session, of a server without a name if there is none. `resume` is whether it may
    /// resume an earlier session.
    ///
    /// # Errors
    ///
    /// It is no name of a host, or there is none, and the server has to prove its name.
    pub fn begin(&self, name: Option<&str>, resume: bool) -> Result<Session, SetupError> {
        let server = match name {
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| SetupError::Name(name.chars().take(256).collect()))?,
            None if self.wish.checks_name() => return Err(SetupError::Name(String::new())),
            // rustls sends no SNI for an address.
            None => Ipv4Addr::UNSPECIFIED.into(),
        };
        let resume = resume && name.is_some();
        let known = if resume { self.tickets.verifier(&server) } else { None };
        let verifier = known.unwrap_or_else(|| Arc::new(SessionVerifier::new(self.wish.clone())));
        let tickets = Arc::new(SessionTickets::new(&self.tickets, Arc::clone(&verifier), resume));
        let mut config = (*self.config).clone();
        config.dangerous().set_certificate_verifier(verifier.clone());
        config.resumption = Resumption::store(tickets.clone());
        let connection = ClientConnection::new(Arc::new(config), server)
            .map_err(|error| SetupError::Other(error.to_string()))?;
        Ok(Session::client(connection, verifier, tickets))
    }
}

/// Whether a server asks clients for certificates.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// It does not ask.
    #[default]
    None,
    /// It asks. A certificate that a client sends has to be good by these roots.
    Optional(Arc<Roots>),
    /// It asks, and refuses clients without a certificate that is good by these roots.
    Required(Arc<Roots>),
}

impl PartialEq for ClientAuth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Optional(one), Self::Optional(other))
            | (Self::Required(one), Self::Required(other)) => Arc::ptr_eq(one, other),
            (Self::None | Self::Optional(_) | Self::Required(_), _) => false,
        }
    }
}

/// What the sessions of a server have in common.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The identity that it shows.
    pub identity: Arc<Identity>,
    /// Whether it asks clients for certificates.
    pub client_auth: ClientAuth,
    /// The versions.
    pub versions: Versions,
    /// The protocols that it takes by ALPN, the preferred one first. If there are any, a client
    /// that offers none of them is refused unless it knows no ALPN.
    pub alpn: Vec<Vec<u8>>,
}

impl PartialEq for ServerOptions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
            && self.client_auth == other.client_auth
            && self.versions == other.versions
            && self.alpn == other.alpn
    }
}

/// Makes server sessions. Its sessions resume each other.
#[derive(Clone, Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    /// Makes a server. It has given no tickets yet.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or are out of bounds.
    pub fn new(options: &ServerOptions) -> Result<Self, SetupError> {
        Self::with_algorithms(options, &Algorithms::default())
    }

    /// Makes a server that takes these algorithms alone.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or are out of bounds.
    pub fn with_algorithms(
        options: &ServerOptions,
        algorithms: &Algorithms,
    ) -> Result<Self, SetupError> {
        check_alpn(&options.alpn)?;
        let verifier = match &options.client_auth {
            ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
            ClientAuth::Optional(roots) => roots.clients(true)?,
            ClientAuth::Required(roots) => roots.clients(false)?,
        };
        let mut config = ServerConfig::builder_with_provider(algorithms.provider())
            .with_protocol_versions(options.versions.list()?)
            .map_err(|_| SetupError::NoCipher)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(options.identity.resolver.clone());
        config.alpn_protocols.clone_from(&options.alpn);
        config.session_storage = ServerSessionMemoryCache::new(TICKETS);
        Ok(Self { config: Arc::new(config) })
    }

    /// Begins a session with a client.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn session(&self) -> Result<Session, SetupError> {
        let connection = ServerConnection::new(Arc::clone(&self.config))
            .map_err(|error| SetupError::Other(error.to_string()))?;
        Ok(Session::server(connection))
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// RFC 7301: a protocol's name has 1 to 255 bytes.
fn check_alpn(protocols: &[Vec<u8>]) -> Result<(), SetupError> {
    let fits =
        protocols.len() <= ALPN_MAX && protocols.iter().all(|name| (1..=255).contains(&name.len()));
    if fits { Ok(()) } else { Err(SetupError::Alpn) }
}

/// Why there is no client, no server or no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The lowest version is above the highest.
    #[error("the lowest version is above the highest")]
    NoVersion,
    /// No cipher suite is left for the versions, or no group.
    #[error("no cipher suite is left for the versions, or no group")]
    NoCipher,
    /// The protocols of ALPN are too many, or a name is empty or too long.
    #[error("ALPN takes at most 32 protocols, each of 1 to 255 bytes")]
    Alpn,
    /// It is no name of a host.
    #[error("{0:?} is not a host name or an IP address")]
    Name(String),
    /// The roots can't be used.
    #[error("the roots can't be used: {0}")]
    Roots(String),
    /// Any other reason.
    #[error("{0}")]
    Other(String),
}
