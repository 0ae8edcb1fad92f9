//! The address that `serve` listens on.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use sandsock_host::Inherited;
use sandsock_host::policy::DescriptorNumber;
use socket2::{Domain, SockAddr, Socket, Type};

/// man 7 unix: `sun_path` less its NUL; an abstract name begins with one.
const UNIX_MAX: usize = 107;

/// The kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A listening socket and its name.
pub(crate) struct Listener {
    pub(crate) socket: Inherited,
    pub(crate) name: String,
    /// The file that the bind made, removed at the end.
    pub(crate) file: Option<SocketFile>,
}

impl Listener {
    /// Returns the path, if the address is one.
    pub(crate) fn file_of(address: &str) -> Option<&Path> {
        let path =
            !address.starts_with('@') && !address.starts_with("fd:") && address.contains('/');
        path.then(|| Path::new(address))
    }

    /// Listens on `HOST:PORT`, a path, `@NAME`, or takes the socket `fd:N` that this process
    /// inherited.
    pub(crate) fn new(address: &str) -> anyhow::Result<Self> {
        let listener = match address.strip_prefix('@') {
            Some("") => Err(anyhow::anyhow!("the name is missing; write @NAME")),
            Some(name) => Self::unix(format!("\0{name}").as_ref(), address, None),
            None if address.starts_with("fd:") => Self::inherited(address),
            None => Self::file_of(address).map_or_else(|| Self::inet(address), Self::path),
        };
        listener.with_context(|| format!("--listen {address}"))
    }

    fn inherited(word: &str) -> anyhow::Result<Self> {
        let number: DescriptorNumber = word.parse()?;
        let socket = Inherited::of_process(number.0).context("this command did not inherit it")?;
        if !socket.is_listener() {
            bail!("it is {socket}, but must be a listening socket");
        }
        Ok(Self { name: format!("{number}, {socket}"), socket, file: None })
    }

    fn inet(text: &str) -> anyhow::Result<Self> {
        const HINT: &str = "write HOST:PORT as in 127.0.0.1:8000 or [::1]:8000, a path with a slash, @NAME, or fd:N";
        let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'))
        else {
            bail!("the port is missing; {HINT}");
        };
        let Ok(port) = port.parse::<u16>() else {
            bail!("`{port}` is not a port, which is a number from 0 to 65535; {HINT}");
        };
        let host = match host {
            "" => bail!("the host is missing; {HINT}; *:{port} is every address"),
            // The wildcard of both families.
            "*" => "::",
            _ => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(host) => host,
                None if host.contains(':') => {
                    bail!("an IPv6 address is written in brackets; {HINT}")
                }
                None => host,
            },
        };
        let addresses =
            (host, port).to_socket_addrs().with_context(|| format!("`{host}` has no address"))?;
        let mut last = None;
        for address in addresses {
            match Self::at(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| anyhow::anyhow!("`{host}` has no address"), anyhow::Error::from))
    }

    fn at(address: SocketAddr) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A port whose last connections are in TIME_WAIT is free, as for other servers.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let name = socket
            .local_addr()?
            .as_socket()
            .map_or_else(|| address.to_string(), |own| own.to_string());
        Ok(Self { socket: Inherited::new(socket.into())?, name, file: None })
    }

    fn path(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
            bail!("there is a file of this name, and it is not a socket");
        }
        let absolute = std::path::absolute(path)?;
        let listener = Self::unix(path.as_os_str(), &path.display().to_string(), Some(absolute));
        listener.map_err(|error| {
            match error.downcast_ref::<std::io::Error>().and_then(Errno::from_io_error) {
                Some(Errno::ADDRINUSE) => {
                    error.context("the file exists already; remove it if no process listens on it")
                }
                _ => error,
            }
        })
    }

    fn unix(name: &OsStr, shown: &str, file: Option<PathBuf>) -> anyhow::Result<Self> {
        if name.len() > UNIX_MAX {
            bail!("it has {} bytes, and the kernel allows {UNIX_MAX}", name.len());
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(name)?)?;
        let file = file.map(SocketFile::new).transpose()?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: Inherited::new(socket.into())?, name: shown.to_owned(), file })
    }
}

/// The file of a UNIX socket. It is removed on drop, unless it was replaced.
pub(crate) struct SocketFile {
    path: PathBuf,
    made: Metadata,
}

impl SocketFile {
    fn new(path: PathBuf) -> std::io::Result<Self> {
        let made = path.symlink_metadata()?;
        Ok(Self { path, made })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            |there: Metadata| (there.dev(), there.ino()) == (self.made.dev(), self.made.ino());
        if self.path.symlink_metadata().is_ok_and(is_ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
