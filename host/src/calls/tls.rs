//! WIT `tls`: sessions of TLS on descriptors. The host makes their I/O.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use sandsock_policy::{Denial, IdentityName, Request, TlsRequest, TlsTerms, Verb, normalise_name};
use sandsock_tls::{
    Algorithms, CertificateFault, ClientAuth, Demand, IdentityError, Info, Plain, Revocation,
    Roots, SetupError, Versions,
};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, Resource, WasmList};

use crate::authority::budgets::Held;
use crate::bindings::sandsock::socket::types::Wait;
use crate::calls::transfers::keep_interrupt;
use crate::ctx::tls::OwnRoots;
use crate::ctx::{SandsockCtxView, SandsockView, StoreView as _};
use crate::descriptor::buffers::Buffers;
use crate::descriptor::tls::{Asked, Place, Served, SharedTls, Step, Tls, Way};
use crate::descriptor::{Descriptor, Handle, Reservation};
use crate::error::{CallResult, Fault};
use crate::observe::{Identify, ToValue, Value, ValueBuilder, WatchedData, record_to_value};
use crate::sys;
use crate::wait::budget::WaitBudget;

/// RFC 1035: the longest host name.
const NAME_MAX: usize = 255;

/// RFC 7301: the longest name of a protocol.
const PROTOCOL_MAX: usize = 255;

/// WIT: the most bytes of certificates that a guest trusts, and of their lists.
const TRUST_MAX: usize = 4 << 20;

/// WIT: the most bytes of an identity of a guest.
const IDENTITY_MAX: usize = 64 << 10;

/// The most certificates of a list.
const LISTS_MAX: usize = 2048;

/// The most bytes that one call of a session without I/O takes or returns.
const WITHOUT_IO_MAX: usize = 1 << 20;

/// WIT `version`.
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Version {
    #[component(name = "tls12")]
    Tls12,
    #[component(name = "tls13")]
    Tls13,
}

/// WIT `revocation-check`.
#[expect(dead_code, reason = "Lift makes them of the guest's numbers")]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum RevocationCheck {
    #[component(name = "none")]
    None,
    #[component(name = "leaf")]
    Leaf,
    #[component(name = "chain")]
    Chain,
}

/// WIT `own-trust`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OwnTrust {
    roots: WasmList<WasmList<u8>>,
    #[component(name = "with-embedder")]
    with_embedder: bool,
    revoked: WasmList<WasmList<u8>>,
    #[component(name = "check-revoked")]
    check_revoked: RevocationCheck,
}

/// WIT `trust`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Trust {
    #[component(name = "embedder")]
    Embedder,
    #[component(name = "own")]
    Own(OwnTrust),
    #[component(name = "none")]
    None,
}

/// WIT `own-identity`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OwnIdentity {
    chain: WasmList<WasmList<u8>>,
    key: WasmList<u8>,
}

/// WIT `identity`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Identity {
    #[component(name = "lent")]
    Lent(String),
    #[component(name = "own")]
    Own(OwnIdentity),
}

/// WIT `client-options`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ClientOptions {
    #[component(name = "server-name")]
    server_name: Option<String>,
    #[component(name = "check-name")]
    check_name: bool,
    trust: Trust,
    alpn: WasmList<WasmList<u8>>,
    lowest: Version,
    highest: Version,
    ciphers: Vec<u16>,
    groups: Vec<u16>,
    identity: Option<Identity>,
    resume: bool,
}

/// WIT `server-options`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ServerOptions {
    identity: Identity,
    trust: Trust,
    #[component(name = "client-certificate")]
    client_certificate: ClientCertificate,
    alpn: WasmList<WasmList<u8>>,
    lowest: Version,
    highest: Version,
    ciphers: Vec<u16>,
    groups: Vec<u16>,
}

/// WIT `client-hello`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ClientHello {
    #[component(name = "server-name")]
    server_name: Option<String>,
    alpn: Vec<Vec<u8>>,
    ciphers: Vec<u16>,
    #[component(name = "signature-schemes")]
    signature_schemes: Vec<u16>,
}

/// WIT `state`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum State {
    #[component(name = "hello")]
    Hello,
    #[component(name = "handshake")]
    Handshake,
    #[component(name = "open")]
    Open,
    #[component(name = "closed")]
    Closed,
    #[component(name = "failed")]
    Failed,
}

/// WIT `client-certificate`.
#[expect(dead_code, reason = "Lift makes them of the guest's numbers")]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ClientCertificate {
    #[component(name = "none")]
    None,
    #[component(name = "optional")]
    Optional,
    #[component(name = "required")]
    Required,
}

/// WIT `session-info`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct SessionInfo {
    version: Version,
    cipher: String,
    #[component(name = "cipher-number")]
    cipher_number: u16,
    alpn: Option<Vec<u8>>,
    #[component(name = "server-name")]
    server_name: Option<String>,
    #[component(name = "peer-chain")]
    peer_chain: Vec<Vec<u8>>,
    #[component(name = "is-verified")]
    is_verified: bool,
    resumed: bool,
}

/// WIT `failure-kind`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum FailureKind {
    #[component(name = "expired")]
    Expired,
    #[component(name = "not-yet-valid")]
    NotYetValid,
    #[component(name = "wrong-name")]
    WrongName,
    #[component(name = "unknown-issuer")]
    UnknownIssuer,
    #[component(name = "self-signed")]
    SelfSigned,
    #[component(name = "self-signed-in-chain")]
    SelfSignedInChain,
    #[component(name = "revoked")]
    Revoked,
    #[component(name = "no-revocation-list")]
    NoRevocationList,
    #[component(name = "authority")]
    Authority,
    #[component(name = "wrong-purpose")]
    WrongPurpose,
    #[component(name = "name-constraint")]
    NameConstraint,
    #[component(name = "bad-signature")]
    BadSignature,
    #[component(name = "no-certificate")]
    NoCertificate,
    #[component(name = "bad-certificate")]
    BadCertificate,
    #[component(name = "alert")]
    Alert,
    #[component(name = "incompatible")]
    Incompatible,
    #[component(name = "protocol")]
    Protocol,
    #[component(name = "refused")]
    Refused,
    #[component(name = "truncated")]
    Truncated,
}

/// WIT `session-failure`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Failure {
    kind: FailureKind,
    alert: Option<u8>,
    reason: String,
    #[component(name = "peer-chain")]
    peer_chain: Vec<Vec<u8>>,
}

record_to_value! { OwnTrust: roots = "roots", with_embedder = "with-embedder", revoked = "revoked", check_revoked = "check-revoked" }
record_to_value! { ClientOptions: server_name = "server-name", check_name = "check-name", trust = "trust", alpn = "alpn", lowest = "lowest", highest = "highest", ciphers = "ciphers", groups = "groups", identity = "identity", resume = "resume" }
record_to_value! { ServerOptions: identity = "identity", trust = "trust", client_certificate = "client-certificate", alpn = "alpn", lowest = "lowest", highest = "highest", ciphers = "ciphers", groups = "groups" }
record_to_value! { ClientHello: server_name = "server-name", alpn = "alpn", ciphers = "ciphers", signature_schemes = "signature-schemes" }
record_to_value! { SessionInfo: version = "version", cipher = "cipher", cipher_number = "cipher-number", alpn = "alpn", server_name = "server-name", peer_chain = "peer-chain", is_verified = "is-verified", resumed = "resumed" }
record_to_value! { Failure: kind = "kind", alert = "alert", reason = "reason", peer_chain = "peer-chain" }

impl ToValue for Trust {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        match self {
            Self::Embedder => Value::Text("embedder".to_owned()),
            Self::Own(own) => Value::Record(vec![("own", own.to_value(store, builder))]),
            Self::None => Value::Text("none".to_owned()),
        }
    }
}

/// It leaves a guest's key out.
impl ToValue for Identity {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        match self {
            Self::Lent(name) => Value::Record(vec![("lent", name.to_value(store, builder))]),
            Self::Own(own) => Value::Record(vec![("own", own.chain.to_value(store, builder))]),
        }
    }
}

/// Implements [`ToValue`] for an enum of the contract.
macro_rules! enum_to_value {
    ($type:ty: $($case:ident = $name:literal),*) => {
        impl ToValue for $type {
            fn to_value<T: WatchedData>(
                &self,
                _: &mut StoreContextMut<'_, T>,
                _: &mut ValueBuilder,
            ) -> Value {
                Value::Text(match self { $(Self::$case => $name),* }.to_owned())
            }
        }
    };
}

enum_to_value! { Version: Tls12 = "tls12", Tls13 = "tls13" }
enum_to_value! { RevocationCheck: None = "none", Leaf = "leaf", Chain = "chain" }
enum_to_value! {
    State: Hello = "hello", Handshake = "handshake", Open = "open", Closed = "closed",
    Failed = "failed"
}
enum_to_value! { ClientCertificate: None = "none", Optional = "optional", Required = "required" }
enum_to_value! {
    FailureKind: Expired = "expired", NotYetValid = "not-yet-valid", WrongName = "wrong-name",
    UnknownIssuer = "unknown-issuer", SelfSigned = "self-signed",
    SelfSignedInChain = "self-signed-in-chain", Revoked = "revoked",
    NoRevocationList = "no-revocation-list", Authority = "authority",
    WrongPurpose = "wrong-purpose", NameConstraint = "name-constraint",
    BadSignature = "bad-signature", Refused = "refused", NoCertificate = "no-certificate",
    BadCertificate = "bad-certificate", Alert = "alert", Incompatible = "incompatible",
    Protocol = "protocol", Truncated = "truncated"
}

impl From<Version> for sandsock_tls::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Tls12 => Self::Tls12,
            Version::Tls13 => Self::Tls13,
        }
    }
}

impl SessionInfo {
    fn new(info: Info, is_verified: bool) -> Self {
        let (cipher, cipher_number) = info.cipher;
        Self {
            version: match info.version {
                sandsock_tls::Version::Tls12 => Version::Tls12,
                sandsock_tls::Version::Tls13 => Version::Tls13,
            },
            cipher,
            cipher_number,
            alpn: info.alpn,
            server_name: info.server_name,
            peer_chain: info.peer_chain,
            is_verified,
            resumed: info.is_resumed,
        }
    }
}

impl Failure {
    fn new(failure: &sandsock_tls::Failure, peer_chain: Vec<Vec<u8>>) -> Self {
        use sandsock_tls::Failure as From;
        let (kind, alert) = match failure {
            From::Certificate(fault) => {
                let kind = match fault {
                    CertificateFault::Expired => FailureKind::Expired,
                    CertificateFault::NotValidYet => FailureKind::NotYetValid,
                    CertificateFault::WrongName => FailureKind::WrongName,
                    CertificateFault::UnknownIssuer => FailureKind::UnknownIssuer,
                    CertificateFault::SelfSigned => FailureKind::SelfSigned,
                    CertificateFault::SelfSignedInChain => FailureKind::SelfSignedInChain,
                    CertificateFault::Revoked => FailureKind::Revoked,
                    CertificateFault::NoRevocationList => FailureKind::NoRevocationList,
                    CertificateFault::Authority => FailureKind::Authority,
                    CertificateFault::WrongPurpose => FailureKind::WrongPurpose,
                    CertificateFault::NameConstraint => FailureKind::NameConstraint,
                    CertificateFault::BadSignature(_) => FailureKind::BadSignature,
                    CertificateFault::Missing => FailureKind::NoCertificate,
                    CertificateFault::Other(_) => FailureKind::BadCertificate,
                };
                (kind, None)
            }
            From::Alert(number, _) => (FailureKind::Alert, Some(*number)),
            From::Incompatible(_) => (FailureKind::Incompatible, None),
            From::Protocol(_) => (FailureKind::Protocol, None),
            From::Refused(_) => (FailureKind::Refused, None),
            From::Truncated => (FailureKind::Truncated, None),
        };
        Self { kind, alert, reason: failure.to_string(), peer_chain }
    }
}

/// Copies lists of bytes of the guest: at most `count`, and together at most `most` bytes. None if
/// there are more.
fn copied<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    lists: &WasmList<WasmList<u8>>,
    count: usize,
    most: &mut usize,
) -> CallResult<Option<Vec<Vec<u8>>>> {
    if lists.len() > count {
        return Ok(None);
    }
    let mut copies = Vec::with_capacity(lists.len());
    for at in 0..lists.len() {
        let Some(list) = lists.get(&mut *store, at).transpose().map_err(Fault::Trap)? else {
            return Ok(None);
        };
        // Many lists may share their bytes in the guest's memory.
        let Some(rest) = most.checked_sub(list.len()) else { return Ok(None) };
        *most = rest;
        copies.push(list.as_le_slice(&*store).to_vec());
    }
    Ok(Some(copies))
}

/// Reads the protocols of ALPN. EINVAL if they are too many or too long.
fn protocols<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    list: &WasmList<WasmList<u8>>,
) -> CallResult<Vec<Vec<u8>>> {
    let mut most = sandsock_tls::ALPN_MAX * PROTOCOL_MAX;
    Ok(copied(store, list, sandsock_tls::ALPN_MAX, &mut most)?.ok_or(Errno::INVAL)?)
}

fn versions(lowest: Version, highest: Version) -> Versions {
    Versions { lowest: lowest.into(), highest: highest.into() }
}

/// Returns the errno for a setup that there can't be.
fn setup_errno(error: &SetupError) -> Errno {
    match error {
        SetupError::NoVersion | SetupError::NoCipher | SetupError::Alpn | SetupError::Name(_) => {
            Errno::INVAL
        }
        SetupError::Roots(_) => Errno::BADMSG,
        SetupError::Other(_) => Errno::IO,
    }
}

/// Returns the name that a server has to prove, as the policy compares it. EINVAL if it is none.
fn server_name(name: &str) -> Result<Cow<'_, str>, Errno> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Errno::INVAL);
    }
    match name.parse::<IpAddr>() {
        Ok(_) => Ok(name.into()),
        Err(_) => normalise_name(name).map_err(|_| Errno::INVAL),
    }
}

/// An identity that a rule about TLS lends, and the protocols of which a session has to agree on one.
type LentIdentity = (Arc<crate::tls::Identity>, Vec<Vec<u8>>);

/// WIT `tls.session`.
pub(crate) struct Session(Arc<SharedTls>);

impl Identify for Session {}

impl SandsockCtxView<'_> {
    /// Returns an identity that the policy lends to every session. ENOENT if the embedder has none
    /// of this name.
    fn identity(&self, name: &str) -> CallResult<Arc<crate::tls::Identity>> {
        self.ctx.gate.decide(&Request::TlsIdentity(name))?;
        Ok(self.ctx.tls.settings.find_identity(name).ok_or(Errno::NOENT)?)
    }

    /// Returns the identity that a rule about TLS lends to a server's session on a connection that
    /// was accepted here. None if the session shows another one, which is refused where only TLS may
    /// move bytes.
    fn served_identity(
        &self,
        served: Served,
        shown: &Identity,
    ) -> CallResult<Option<LentIdentity>> {
        let (gate, request) = (&self.ctx.gate, Request::TlsListen(served.at));
        // A grant that came later frees the bytes of what was accepted before.
        let is_for_tls = served.is_for_tls && !gate.would_allow(&Request::TcpListen(served.at));
        if is_for_tls {
            gate.decide(&request)?;
        }
        let terms = gate.lent_at(served.at);
        let lent =
            terms.as_ref().and_then(|terms| terms.identity.as_ref()).map(IdentityName::as_str);
        let shows = matches!(shown, Identity::Lent(name) if Some(&**name) == lent);
        match (lent, shows) {
            (Some(name), true) => {
                gate.not_denied(&Request::TlsIdentity(name))?;
                if !is_for_tls {
                    gate.decide(&request)?;
                }
                let identity = self.ctx.tls.settings.find_identity(name).ok_or(Errno::NOENT)?;
                let alpn = if is_for_tls { alpn(terms.as_ref()) } else { Vec::new() };
                Ok(Some((identity, alpn)))
            }
            (Some(name), false) if is_for_tls => {
                let reason = format!(
                    "a TLS session that shows another identity than {name} is denied: this socket \
                     was accepted at {} for TLS alone",
                    served.at
                );
                Err(gate.denied(Verb::TlsListen, served.at.to_string(), Denial::new(reason)))
            }
            _ => Ok(None),
        }
    }

    fn trusted(&self) -> CallResult<Arc<crate::tls::Roots>> {
        self.ctx.tls.settings.trusted().map_err(|error| {
            tracing::warn!("{error}");
            Errno::NOKEY.into()
        })
    }

    /// Checks the name that a session has to prove, where only TLS may move bytes.
    fn judge_name(&self, handle: &Handle, name: &str) -> CallResult<()> {
        let gate = &self.ctx.gate;
        let Some(to) = handle.open.tls.only_to() else {
            // The guest may send any bytes. A rule that denies the name holds all the same.
            return match sys::peer_address(handle.fd()).ok().and_then(|peer| peer.to_ip()) {
                Some(peer) => {
                    gate.not_denied(&Request::TlsConnect(TlsRequest::Name(name, peer.port())))
                }
                None => Ok(()),
            };
        };
        match name.parse::<IpAddr>() {
            Ok(address) if address.to_canonical() == to.ip().to_canonical() => {
                gate.decide(&Request::TlsConnect(TlsRequest::Address(to)))
            }
            Ok(_) => {
                let reason = format!(
                    "a TLS session with {name} is denied: this socket was connected to {to}"
                );
                Err(gate.denied(Verb::TlsConnect, name, Denial::new(reason)))
            }
            Err(_) => gate.decide(&Request::TlsConnect(TlsRequest::Name(name, to.port()))),
        }
    }
}

/// Returns what a guest trusts. None is any certificate.
fn trusted<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    trust: &Trust,
) -> CallResult<Option<Arc<Roots>>> {
    let own = match trust {
        Trust::Embedder => return Ok(Some(store.view().trusted()?)),
        Trust::None => return Ok(None),
        Trust::Own(own) => own,
    };
    let mut most = TRUST_MAX;
    let roots = copied(store, &own.roots, LISTS_MAX, &mut most)?.ok_or(Errno::MSGSIZE)?;
    let revoked = copied(store, &own.revoked, LISTS_MAX, &mut most)?.ok_or(Errno::MSGSIZE)?;
    let check = match own.check_revoked {
        RevocationCheck::None => Revocation::None,
        RevocationCheck::Leaf => Revocation::Leaf,
        RevocationCheck::Chain => Revocation::Chain,
    };
    let view = store.view();
    let with = if own.with_embedder { Some(view.trusted()?) } else { None };
    let key = OwnRoots { roots, with_embedder: own.with_embedder, revoked, check };
    let roots = view.ctx.tls.own_roots(key, with.as_deref())?;
    Ok(Some(roots))
}

/// Returns an identity of the embedder or of the guest.
fn identity<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    identity: &Identity,
) -> CallResult<Arc<crate::tls::Identity>> {
    let own = match identity {
        Identity::Lent(name) => return store.view().identity(name),
        Identity::Own(own) => own,
    };
    let mut most = IDENTITY_MAX;
    let chain = copied(store, &own.chain, LISTS_MAX, &mut most)?.ok_or(Errno::MSGSIZE)?;
    if own.key.len() > most {
        return Err(Errno::MSGSIZE.into());
    }
    let key = own.key.as_le_slice(&*store).to_vec();
    let identity =
        store.view().ctx.tls.own_identity((chain, key)).map_err(|error| match error {
            IdentityError::Mismatch => Errno::KEYREJECTED,
            _ => Errno::BADMSG,
        })?;
    Ok(identity)
}

/// Puts a new session into the table.
fn pushed(
    view: &mut SandsockCtxView<'_>,
    session: sandsock_tls::Session,
    asked: Asked,
    place: Reservation,
) -> CallResult<Resource<Session>> {
    let tls = SharedTls::new(Tls::new(session, asked, Some(place)));
    view.ctx.tls.remember(&tls);
    Ok(view.table.push(Session(tls))?)
}

/// WIT `session.client`.
pub(crate) fn client<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (options,): (ClientOptions,),
) -> CallResult<Resource<Session>> {
    let alpn = protocols(store, &options.alpn)?;
    let name = options.server_name.as_deref().map(server_name).transpose()?;
    let roots = trusted(store, &options.trust)?;
    let used = roots.clone();
    let by_embedder = matches!(options.trust, Trust::Embedder) && options.check_name;
    let trust = match roots {
        Some(roots) if options.check_name => sandsock_tls::Trust::Roots(roots),
        Some(roots) => sandsock_tls::Trust::AnyName(roots),
        None => sandsock_tls::Trust::Insecure,
    };
    let identity = options.identity.as_ref().map(|one| identity(store, one)).transpose()?;
    let mut view = store.view();
    let place = view.ctx.begin_session()?;
    let versions = versions(options.lowest, options.highest);
    let client = sandsock_tls::ClientOptions { trust, versions, alpn, identity };
    let algorithms = Algorithms { ciphers: options.ciphers, groups: options.groups };
    let session = view
        .ctx
        .tls
        .client(client, algorithms)
        .and_then(|client| client.begin(name.as_deref(), options.resume))
        .map_err(|error| setup_errno(&error))?;
    let asked = Asked { name: name.map(Cow::into_owned), by_embedder, roots: used };
    pushed(&mut view, session, asked, place)
}

/// WIT `session.server`.
pub(crate) fn server(view: &mut SandsockCtxView<'_>) -> CallResult<Resource<Session>> {
    let place = view.ctx.begin_session()?;
    pushed(view, sandsock_tls::Session::accept(), Asked::default(), place)
}

impl SandsockCtxView<'_> {
    fn session(&self, session: &Resource<Session>) -> CallResult<Arc<SharedTls>> {
        Ok(Arc::clone(&self.table.get(session)?.0))
    }

    /// Returns a session whose bytes the guest moves. EISCONN if the host does.
    fn without_io(&self, session: &Resource<Session>) -> CallResult<Arc<SharedTls>> {
        let tls = self.session(session)?;
        match tls.lock().place() {
            Place::Free | Place::Bound | Place::Detached => {}
            Place::Attached => return Err(Errno::ISCONN.into()),
        }
        Ok(tls)
    }

    /// Returns whether the server of this connection need not prove anything.
    fn is_insecure(&self, to: SocketAddr) -> bool {
        self.ctx.gate.grants(&Request::TlsInsecure(TlsRequest::Connect(to)))
    }

    /// Returns what a session with this server has to meet on a socket for TLS alone, and the
    /// protocols of which it has to agree on one. No demand is for a server that need not prove
    /// anything.
    fn demanded(&self, handle: &Handle, name: &str) -> CallResult<(Option<Demand>, Vec<Vec<u8>>)> {
        let gate = &self.ctx.gate;
        let Some(to) = handle.open.tls.only_to() else { return Ok((None, Vec::new())) };
        let asked = match name.parse::<IpAddr>() {
            Ok(address) if address.to_canonical() == to.ip().to_canonical() => {
                TlsRequest::Address(to)
            }
            _ => TlsRequest::Name(name, to.port()),
        };
        // A rule that denies the name holds on every socket. The verbs below are decided by it too if
        // they are granted.
        for denied in [Request::TlsConnect(asked), Request::TlsInsecure(asked)] {
            if !gate.grants(&denied) {
                gate.not_denied(&denied)?;
            }
        }
        // Only a grant counts, and not that a policy observes alone.
        let verified = [Request::TlsConnect(asked), Request::TlsUpgrade(asked)]
            .into_iter()
            .find(|request| gate.grants(request));
        let named = Request::TlsInsecure(asked);
        let insecure = match &verified {
            _ if gate.grants(&named) => Some(named),
            Some(_) => None,
            None => Some(Request::TlsInsecure(TlsRequest::Connect(to))),
        };
        let policy = gate.policy();
        let terms = |request| gate.ask(&policy, request).ok().and_then(|allowed| allowed.tls);
        if let Some(insecure) = insecure.filter(|request| gate.grants(request)) {
            // The audit has each session whose server need not prove anything.
            gate.decide(&insecure)?;
            return Ok((None, alpn(terms(&insecure))));
        }
        let terms = match verified {
            Some(request) => {
                gate.decide(&request)?;
                terms(&request)
            }
            None => {
                self.judge_name(handle, name)?;
                None
            }
        };
        let roots = match terms.and_then(|terms| terms.roots.as_deref()) {
            Some(path) => self.ctx.tls.settings.of_rule(path).ok_or(Errno::NOKEY)?,
            None => self.trusted()?,
        };
        let demand = Demand::new(&roots).map_err(|error| setup_errno(&error))?;
        Ok((Some(demand), alpn(terms)))
    }

    /// Gives a session to a description: the one place where what a grant for TLS alone asks of a
    /// session is checked.
    fn bind(&self, handle: &Handle, tls: &Arc<SharedTls>, place: Place) -> CallResult<()> {
        let name = tls.lock().asked.name.clone();
        let is_client = tls.lock().session.is_client();
        let gate = &self.ctx.gate;
        let served = handle.open.tls.accepted();
        if let Some(to) = handle.open.tls.only_to() {
            let refused = |reason: String| {
                Err(gate.denied(Verb::TlsConnect, to.to_string(), Denial::new(reason)))
            };
            if !is_client {
                // The peer of a server's session proves no name.
                return refused(format!(
                    "a TLS server's session is denied: this socket was connected to {to} for a \
                     client's session"
                ));
            }
            let Some(name) = name.as_deref().or_else(|| self.is_insecure(to).then_some("")) else {
                return refused(format!(
                    "a TLS session without a server's name is denied: this socket was connected \
                     to {to} for a server that proves its name"
                ));
            };
            let demanded = self.demanded(handle, name)?;
            let mut tls = tls.lock();
            // WIT: `embedder` is the roots of the rule, if it has some.
            let by_rule = |demand: Demand| match tls.asked.by_embedder {
                true => demand.alone(),
                false => demand,
            };
            let demanded = (demanded.0.map(by_rule), demanded.1);
            let is_bound = match &demanded {
                (Some(demand), alpn) => tls.session.demand(demand, alpn),
                (None, alpn) => tls.session.require(alpn),
            };
            if !is_bound {
                return refused(format!(
                    "a TLS session with {name} is denied: it has moved bytes elsewhere, or it \
                     resumes a session that was not verified for a socket like this"
                ));
            }
        } else if let (Some(Served { at, is_for_tls: true }), true) = (served, is_client)
            && !gate.would_allow(&Request::TcpListen(at))
        {
            let reason = format!(
                "a TLS client's session is denied: this socket was accepted at {at} for a server's \
                 session"
            );
            return Err(gate.denied(Verb::TlsListen, at.to_string(), Denial::new(reason)));
        } else if let Some(name) = &name {
            self.judge_name(handle, name)?;
        }
        handle.open.tls.set(tls, place)?;
        if !is_client {
            tls.lock().served = served;
        }
        Ok(())
    }
}

/// Returns the protocols of a rule's terms.
fn alpn(terms: Option<&TlsTerms>) -> Vec<Vec<u8>> {
    terms.map_or_else(Vec::new, |terms| {
        terms.alpn.iter().map(|name| name.as_bytes().to_vec()).collect()
    })
}

/// WIT `session.hello`.
pub(crate) fn hello(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> CallResult<Option<ClientHello>> {
    let hello = view.session(&session)?.lock().session.hello();
    Ok(hello.map(|hello| ClientHello {
        server_name: hello.server_name,
        alpn: hello.alpn,
        ciphers: hello.ciphers,
        signature_schemes: hello.signature_schemes,
    }))
}

/// WIT `session.choose`.
pub(crate) fn choose<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (session, options): (Resource<Session>, ServerOptions),
) -> CallResult<()> {
    let tls = store.view().session(&session)?;
    let alpn = protocols(store, &options.alpn)?;
    let asks = !matches!(options.client_certificate, ClientCertificate::None);
    let roots =
        if asks { Some(trusted(store, &options.trust)?.ok_or(Errno::INVAL)?) } else { None };
    let used = roots.clone();
    let by_embedder = asks && matches!(options.trust, Trust::Embedder);
    let client_auth = match (options.client_certificate, roots) {
        (ClientCertificate::None, _) | (_, None) => ClientAuth::None,
        (ClientCertificate::Optional, Some(roots)) => ClientAuth::Optional(roots),
        (ClientCertificate::Required, Some(roots)) => ClientAuth::Required(roots),
    };
    let served = tls.lock().served;
    let view = store.view();
    let lent = served.map(|served| view.served_identity(served, &options.identity)).transpose()?;
    let (identity, required) = match lent.flatten() {
        Some(lent) => lent,
        None => (identity(store, &options.identity)?, Vec::new()),
    };
    let versions = versions(options.lowest, options.highest);
    let server = sandsock_tls::ServerOptions { identity, client_auth, versions, alpn };
    let algorithms = Algorithms { ciphers: options.ciphers, groups: options.groups };
    let view = store.view();
    let server = view.ctx.tls.server(server, algorithms).map_err(|error| setup_errno(&error))?;
    let mut tls = tls.lock();
    (tls.asked.by_embedder, tls.asked.roots) = (by_embedder, used);
    Ok(tls.choose(server, &required)?)
}

/// WIT `session.refuse`.
pub(crate) fn refuse(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
    alert: u8,
) -> CallResult<()> {
    let is_refused = view.session(&session)?.lock().session.refuse(alert);
    if is_refused { Ok(()) } else { Err(Errno::INVAL.into()) }
}

/// WIT `session.attach`.
pub(crate) fn attach(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
    d: Resource<Descriptor>,
) -> CallResult<()> {
    let (handle, kind) = view.socket_of(&d)?;
    if kind.type_ != libc::SOCK_STREAM {
        return Err(Errno::OPNOTSUPP.into());
    }
    view.ctx.judge().change(&handle, "TLS")?;
    let tls = view.session(&session)?;
    if tls.lock().place() != Place::Free || handle.open.tls.has_session() {
        return Err(Errno::ISCONN.into());
    }
    if !tls.lock().is_new() {
        return Err(Errno::INVAL.into());
    }
    view.bind(&handle, &tls, Place::Attached)
}

/// WIT `session.detach`.
pub(crate) fn detach(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
    d: Resource<Descriptor>,
) -> CallResult<()> {
    let (handle, _) = view.socket_of(&d)?;
    let tls = view.session(&session)?;
    if !handle.open.tls.is_attached() || !handle.open.tls.has(&tls) {
        return Err(Errno::NOTCONN.into());
    }
    tls.lock().check_ended()?;
    view.ctx.judge().grant_of_plain_bytes(&handle, handle.open.tls.accepted())?;
    handle.open.tls.detach();
    Ok(())
}

/// WIT `session.state`.
pub(crate) fn state(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> wasmtime::Result<State> {
    let tls = view.table.get(&session)?.0.lock();
    let session = &tls.session;
    Ok(if session.failure().is_some() {
        State::Failed
    } else if session.is_before_choice() {
        State::Hello
    } else if session.is_handshaking() {
        State::Handshake
    } else if session.has_peer_closed() {
        State::Closed
    } else {
        State::Open
    })
}

/// WIT `session.feed`.
pub(crate) fn feed<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (session, bytes): (Resource<Session>, WasmList<u8>),
) -> CallResult<u32> {
    let tls = store.view().without_io(&session)?;
    let bytes = bytes.as_le_slice(&*store);
    // One call does not work for longer than a transfer.
    let bytes = &bytes[..bytes.len().min(WITHOUT_IO_MAX)];
    let (taken, has_head) = tls.lock().feed_from_guest(bytes);
    if has_head {
        store.view().ctx.gate.open.any(|handle| handle.open.tls.recognise(&tls));
    }
    Ok(taken as u32)
}

/// WIT `session.feed-end`.
pub(crate) fn feed_end(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> CallResult<()> {
    view.without_io(&session)?.lock().session.feed_end();
    Ok(())
}

/// WIT `session.drain`.
pub(crate) fn drain(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
    most: u32,
) -> CallResult<Vec<u8>> {
    let most = (most as usize).min(WITHOUT_IO_MAX);
    Ok(view.without_io(&session)?.lock().drain(most)?)
}

/// Returns the errno for a session's failure.
fn failure_errno(failure: &sandsock_tls::Failure) -> Errno {
    match failure {
        sandsock_tls::Failure::Truncated => Errno::CONNABORTED,
        _ => Errno::PROTO,
    }
}

/// WIT `session.read`.
pub(crate) fn read(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
    most: u32,
) -> CallResult<Vec<u8>> {
    let most = (most as usize).min(WITHOUT_IO_MAX);
    let tls = view.without_io(&session)?;
    if most == 0 {
        return Ok(Vec::new());
    }
    let read = tls.lock().session.read(most);
    match read {
        Ok(Plain::Bytes(bytes)) => Ok(bytes),
        Ok(Plain::End) => Ok(Vec::new()),
        Ok(Plain::NotYet) => Err(Errno::AGAIN.into()),
        Err(failure) => Err(failure_errno(&failure).into()),
    }
}

/// WIT `session.write`.
pub(crate) fn write<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (session, bytes): (Resource<Session>, WasmList<u8>),
) -> CallResult<u32> {
    let tls = store.view().without_io(&session)?;
    let mut tls = tls.lock();
    if tls.session.has_closed() {
        return Err(Errno::PIPE.into());
    }
    let bytes = bytes.as_le_slice(&*store);
    let bytes = &bytes[..bytes.len().min(WITHOUT_IO_MAX)];
    match tls.session.write(bytes) {
        Ok(0) if !bytes.is_empty() => Err(Errno::AGAIN.into()),
        Ok(taken) => Ok(taken as u32),
        Err(failure) => Err(failure_errno(&failure).into()),
    }
}

/// WIT `session.close`.
pub(crate) fn close(view: &mut SandsockCtxView<'_>, session: Resource<Session>) -> CallResult<()> {
    view.without_io(&session)?.lock().session.close();
    Ok(())
}

/// WIT `session.pending`.
pub(crate) fn pending(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> wasmtime::Result<u32> {
    let pending = view.table.get(&session)?.0.lock().session.pending();
    Ok(u32::try_from(pending).unwrap_or(u32::MAX))
}

/// Makes one step, and waits for the kernel as long as the call may.
async fn step<T: SandsockView, R>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    budget: &mut WaitBudget,
    mut make: impl FnMut(&mut StoreContextMut<'_, T>, &Handle, &Buffers) -> Result<Step<R>, Errno>,
) -> CallResult<R> {
    loop {
        let buffers = Arc::clone(&store.view().ctx.gate.buffers);
        let events = match make(store, handle, &buffers) {
            Ok(Step::Done(value)) => return Ok(value),
            Ok(Step::NeedsInput) => PollFlags::IN,
            Ok(Step::NeedsOutput) => PollFlags::OUT,
            // If the description was closed during the call, the denial says why.
            Err(errno) => return Err(handle.check().err().unwrap_or(errno.into())),
        };
        let tls = handle.open.tls.attached()?;
        let (held, has_moved) = {
            let mut tls = tls.lock();
            (tls.take_held(), tls.take_moved())
        };
        if has_moved {
            // A part of a record came, so the wait before was not for nothing. A peer that sends
            // without end must neither keep the thread nor outlast the deadline.
            budget.restart();
            budget.go_round(store, handle, events).await?;
        }
        match held {
            Some((account, shortage)) => {
                let held = Held::new(&store.view().ctx.gate, &account, shortage);
                held.wait(store, handle, budget, events).await?;
            }
            None => budget.again(store, handle, events).await?,
        }
    }
}

/// As [`step`], for a step that needs the session alone.
async fn session_step<T: SandsockView, R>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    budget: &mut WaitBudget,
    mut make: impl FnMut(&mut Tls, &Handle, &Buffers) -> Result<Step<R>, Errno>,
) -> CallResult<R> {
    step(store, handle, budget, |_, handle, buffers| {
        make(&mut handle.open.tls.attached()?.lock(), handle, buffers)
    })
    .await
}

/// WIT `tls.handshake`.
pub(crate) async fn handshake<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, wait): (Resource<Descriptor>, Wait),
) -> CallResult<()> {
    let (handle, _) = store.view().socket_of(&d)?;
    let mut budget = WaitBudget::new(wait, 0);
    let result = session_step(store, &handle, &mut budget, Tls::handshake).await;
    // The peer's first plain bytes can come with the end of the handshake.
    handle.note_leftover();
    result
}

/// WIT `tls.close-notify`.
pub(crate) async fn close_notify<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (d, wait): (Resource<Descriptor>, Wait),
) -> CallResult<()> {
    let (handle, _) = store.view().socket_of(&d)?;
    let mut budget = WaitBudget::new(wait, 0);
    session_step(store, &handle, &mut budget, Tls::close).await
}

/// WIT `session.info`.
pub(crate) fn info(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> CallResult<SessionInfo> {
    let tls = view.session(&session)?;
    let tls = tls.lock();
    let info = tls.session.info().ok_or(Errno::NOTCONN)?;
    let has_proved = tls.session.is_client() || !info.peer_chain.is_empty();
    let is_verified = tls.session.is_demanded() || tls.asked.by_embedder && has_proved;
    Ok(SessionInfo::new(info, is_verified))
}

/// WIT `session.failure`.
pub(crate) fn failure(
    view: &mut SandsockCtxView<'_>,
    session: Resource<Session>,
) -> wasmtime::Result<Option<Failure>> {
    let tls = view.table.get(&session)?.0.lock();
    Ok(tls.session.failure().map(|failure| Failure::new(failure, tls.session.refused_chain())))
}

/// WIT `session.keying-material`.
pub(crate) fn keying_material<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    (session, label, context, length): (Resource<Session>, WasmList<u8>, Option<WasmList<u8>>, u32),
) -> CallResult<Vec<u8>> {
    let tls = store.view().session(&session)?;
    let long = |list: &WasmList<u8>| list.len() > PROTOCOL_MAX;
    if length as usize > sandsock_tls::KEYING_MATERIAL_MAX
        || length == 0
        || long(&label)
        || context.as_ref().is_some_and(long)
    {
        return Err(Errno::INVAL.into());
    }
    let tls = tls.lock();
    let context = context.as_ref().map(|list| list.as_le_slice(&*store));
    let material =
        tls.session.keying_material(length as usize, label.as_le_slice(&*store), context);
    Ok(material.ok_or(Errno::NOTCONN)?)
}

/// Returns the session if the guest moves the session's bytes through the handle. A socket on which
/// only TLS may move bytes gets bound here to the session whose first bytes these are.
pub(crate) fn bound<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    first: Option<&WasmList<u8>>,
) -> CallResult<Option<Arc<SharedTls>>> {
    if !handle.open.tls.is_for_tls() {
        return Ok(None);
    }
    if let (false, Some(first)) = (handle.open.tls.has_session(), first) {
        let sessions = store.view().ctx.tls.unbound();
        let first = first.as_le_slice(&*store);
        let begun = sessions.into_iter().find(|tls| tls.lock().begins_with(first));
        if let Some(tls) = begun {
            store.view().bind(handle, &tls, Place::Bound)?;
        }
    }
    Ok(handle.open.tls.bound())
}

/// Returns how many plain bytes may move on a handle until it has a session. None if none may.
pub(crate) fn before_session<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    way: Way,
) -> Option<usize> {
    let upgrade = Request::TlsUpgrade(TlsRequest::Connect(handle.open.tls.only_to()?));
    if handle.open.tls.has_session() || !store.view().ctx.gate.grants(&upgrade) {
        return None;
    }
    Some(handle.open.tls.preamble_room(way)).filter(|room| *room > 0)
}

/// Returns whether a receive may be that of a client's hello, where only a server's session may move
/// bytes and there is none yet.
pub(crate) fn is_before_hello<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    flags: i32,
) -> bool {
    let tls = &handle.open.tls;
    let Some(Served { at, is_for_tls: true }) = tls.accepted() else { return false };
    let is_free = !tls.has_session() && check_flags(flags).is_ok();
    is_free && !store.view().ctx.gate.would_allow(&Request::TcpListen(at))
}

/// Returns how many bytes of a client's hello a socket may receive. They are denied as plain ones if
/// it received too many without a session.
pub(crate) fn hello_room<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
) -> CallResult<u64> {
    match handle.open.tls.hello_room() {
        0 => Err(store.view().ctx.judge().no_plain_bytes(handle)),
        room => Ok(room as u64),
    }
}

/// Refuses flags with which the bytes of a bound session do not move.
pub(crate) fn check_flags(flags: i32) -> Result<(), Errno> {
    let allowed = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    if flags & !allowed == 0 { Ok(()) } else { Err(Errno::OPNOTSUPP) }
}

/// Sends bytes that a bound session has drained. Other bytes are denied as plain ones.
pub(crate) fn send_drained<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    tls: &SharedTls,
    bytes: &WasmList<u8>,
    (part, flags): (Range<usize>, i32),
) -> CallResult<usize> {
    let bytes = &bytes.as_le_slice(&*store)[part];
    let sent = tls.lock().send_drained(bytes, |bytes| sys::send(handle.fd(), bytes, flags));
    match sent {
        Some(result) => Ok(result?),
        None => Err(store.view().ctx.judge().no_plain_bytes(handle)),
    }
}

/// Returns how many bytes a bound session's socket may receive. They are denied as plain ones if it
/// received too many before the handshake was verified, or if the session failed.
pub(crate) fn receivable<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Handle,
    tls: &SharedTls,
) -> CallResult<u64> {
    match tls.lock().receivable() {
        0 => Err(store.view().ctx.judge().no_plain_bytes(handle)),
        most => Ok(most as u64),
    }
}

/// Sends the guest's bytes by the session. `flags` are the call's.
pub(crate) async fn send<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    data: &WasmList<u8>,
    flags: i32,
    wait: Wait,
) -> CallResult<u64> {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        return Err(Errno::OPNOTSUPP.into());
    }
    let total = data.len() as u64;
    send_bytes(store, handle, WaitBudget::new(wait, flags), total, |store, sent| {
        Ok(data.as_le_slice(store)[sent as usize..].into())
    })
    .await
}

/// Sends `total` bytes by the session. `bytes` returns those behind a number of them, as far as they
/// are at hand. If it returns none, the bytes have ended.
pub(crate) async fn send_bytes<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    mut budget: WaitBudget,
    total: u64,
    mut bytes: impl for<'s> FnMut(&'s StoreContextMut<'_, T>, u64) -> Result<Cow<'s, [u8]>, Errno>,
) -> CallResult<u64> {
    // WIT: as Linux blocks, a stream send goes on until all is queued.
    let whole = budget.is_forever();
    let mut sent = 0;
    loop {
        let result = step(store, handle, &mut budget, |store, handle, buffers| {
            let rest = bytes(store, sent)?;
            handle.open.tls.attached()?.lock().send(&rest, handle, buffers)
        })
        .await;
        match result {
            Ok(0) => return Ok(sent),
            Ok(count) => sent += count as u64,
            Err(fault @ Fault::Error(_)) if sent > 0 => {
                keep_interrupt(store, &fault);
                return Ok(sent);
            }
            Err(fault) => return Err(fault),
        }
        if sent == total || !whole {
            return Ok(sent);
        }
        budget.progress(store).await;
    }
}

/// Receives bytes of the session. `flags` are the call's.
pub(crate) async fn receive<T: SandsockView>(
    store: &mut StoreContextMut<'_, T>,
    handle: &Arc<Handle>,
    length: u64,
    flags: i32,
    wait: Wait,
) -> CallResult<Vec<u8>> {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_WAITALL) != 0 {
        return Err(Errno::OPNOTSUPP.into());
    }
    let limit = store.view().ctx.gate.transfer_bytes();
    let most = usize::try_from(length).map_or(limit, |length| length.min(limit));
    if most == 0 {
        return Ok(Vec::new());
    }
    let mut budget = WaitBudget::new(wait, flags);
    let gather = budget.is_forever() && flags & libc::MSG_WAITALL != 0;
    let mut received = Vec::new();
    loop {
        let room = most - received.len();
        let result = session_step(store, handle, &mut budget, |tls, handle, buffers| {
            tls.receive(room, handle, buffers)
        })
        .await;
        handle.note_leftover();
        match result {
            Ok(bytes) if gather && !bytes.is_empty() && bytes.len() < room => {
                received.extend(bytes);
                budget.progress(store).await;
            }
            Ok(bytes) if received.is_empty() => return Ok(bytes),
            Ok(bytes) => {
                received.extend(bytes);
                return Ok(received);
            }
            Err(fault @ Fault::Error(_)) if !received.is_empty() => {
                keep_interrupt(store, &fault);
                return Ok(received);
            }
            Err(fault) => return Err(fault),
        }
    }
}
