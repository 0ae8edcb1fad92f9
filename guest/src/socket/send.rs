//! Sending, in all of its forms.

use std::io::IoSlice;
use std::ops::Range;

use sandsock_abi::constants::{ALG_SET_AEAD_ASSOCLEN, ALG_SET_IV, ALG_SET_OP, POLLOUT, SOL_ALG};
use sandsock_abi::errno;

use super::{BUFFERS, CHUNK, MESSAGE_LIMIT, Socket};
use crate::{
    Ancillary, Error, ErrorKind, Family, Flags, Result, SocketType, ToAddress, address::encode_for,
    ancillary::outgoing, interrupt, raw::descriptors::Descriptor, raw::transfers, raw::types,
    raw::types::Wait, timeout::Waiting, waits,
};

impl Socket {
    /// Sends bytes, and returns how many the kernel took: send(2).
    ///
    /// Without a timeout a stream takes all of them. A broken pipe is EPIPE, and never the signal
    /// SIGPIPE.
    ///
    /// # Errors
    /// The errors of send(2) (EPIPE, ECONNRESET, EMSGSIZE, ENOTCONN); `TimeoutError` and
    /// `BlockingIOError` by the timeout.
    pub fn send(&self, data: &[u8], flags: impl Into<Flags>) -> Result<usize> {
        self.transfer(data.len(), flags.into(), |d, part, flags, wait| {
            transfers::send(d, data.get(part).unwrap_or_default(), flags.0, wait)
        })
    }

    /// Sends all bytes. The timeout limits the whole call. For no bytes it makes one send too.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). The number of bytes that were sent before is not known,
    /// except for an interrupt ([`Error::progress`]).
    pub fn sendall(&self, data: &[u8], flags: impl Into<Flags>) -> Result<()> {
        let flags = flags.into();
        let mut waiting = Waiting::spanning(self.timeout());
        let mut rest = usize::try_from(waiting.done)
            .ok()
            .and_then(|done| data.get(done..))
            .unwrap_or_default();
        let mut first = true;
        loop {
            if !first {
                waiting.check()?;
            }
            first = false;
            let (part, flags) = self.part(0..rest.len(), flags)?;
            let chunk = rest.get(part).unwrap_or_default();
            let sent = self.attempt(&mut waiting, (POLLOUT, flags), |d, wait| {
                transfers::send(d, chunk, flags.0, self.opening(flags, wait))
            })?;
            waiting.done = waiting.done.saturating_add(sent);
            rest = usize::try_from(sent).ok().and_then(|sent| rest.get(sent..)).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends a message to an address, and returns how many bytes the kernel took: sendto(2).
    ///
    /// With [`Flags::FASTOPEN`] it connects too. Without a timeout it waits for the connection.
    /// Otherwise EINPROGRESS means that nothing was sent, and that the connection has begun.
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)) and of [`send`](Self::send); EISCONN if
    /// the socket takes no address; `PermissionError` if no grant names the address.
    pub fn sendto(
        &self,
        data: &[u8],
        flags: impl Into<Flags>,
        address: impl ToAddress,
    ) -> Result<usize> {
        let address = encode_for(self, "sendto", address.to_address())?;
        self.transfer(data.len(), flags.into(), |d, part, flags, wait| {
            transfers::send_to(d, data.get(part).unwrap_or_default(), flags.0, &address, wait)
        })
    }

    /// Sends several buffers as one, with control messages, and returns how many bytes the kernel
    /// took: sendmsg(2).
    ///
    /// Descriptors are passed by their numbers ([`Ancillary::rights`]). Without an address, the
    /// message goes to the peer.
    ///
    /// ```no_run
    /// use std::io::IoSlice;
    ///
    /// use sandsock::{Ancillary, Flags, constants::*, socketpair};
    ///
    /// let (a, b) = socketpair(AF_UNIX, SOCK_STREAM, 0)?;
    /// a.sendmsg(&[IoSlice::new(b"take "), IoSlice::new(b"this")], &[Ancillary::rights(&[0])], Flags::NONE, None)?;
    /// # Ok::<(), sandsock::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of an address (see [`connect`](Self::connect)) and of [`send`](Self::send); EMSGSIZE
    /// for more than 1,024 buffers, EBADF for a number without a descriptor; `PermissionError` if
    /// the address or a message needs a grant.
    pub fn sendmsg(
        &self,
        buffers: &[IoSlice<'_>],
        ancillary: &[Ancillary],
        flags: impl Into<Flags>,
        address: Option<&dyn ToAddress>,
    ) -> Result<usize> {
        let address =
            address.map(|address| encode_for(self, "sendmsg", address.to_address())).transpose()?;
        self.descriptor()?;
        if buffers.len() > BUFFERS {
            return Err(Error::from_errno(errno::EMSGSIZE));
        }
        let length = buffers.iter().map(|buffer| buffer.len()).fold(0, usize::saturating_add);
        outgoing(ancillary, |control| {
            self.transfer(length, flags.into(), |d, part, flags, wait| {
                // Control messages belong to the first byte.
                let control = if part.start == 0 { control } else { &[] };
                let buffers = cut(buffers, part);
                transfers::send_message(d, &buffers, control, flags.0, address.as_ref(), wait)
            })
        })
    }

    /// Sends buffers to an AF_ALG socket, and returns how many bytes the kernel took. The operation
    /// (`ALG_OP_*`), the initial vector and the length of the associated data are sent as control
    /// messages.
    ///
    /// Python: `socket.sendmsg_afalg(buffers, op=..., iv=..., assoclen=..., flags=...)`.
    ///
    /// # Errors
    /// `OSError` without an errno on a socket of another family, `TypeError` for an operation or a
    /// length below 0, and those of [`sendmsg`](Self::sendmsg).
    pub fn sendmsg_afalg(
        &self,
        buffers: &[IoSlice<'_>],
        op: i32,
        iv: Option<&[u8]>,
        assoclen: Option<i32>,
        flags: impl Into<Flags>,
    ) -> Result<usize> {
        if self.family() != Family::ALG {
            return Err(Error::text(ErrorKind::Os, "algset is only supported for AF_ALG"));
        }
        if op < 0 {
            return Err(Error::text(ErrorKind::Type, "Invalid or missing argument 'op'"));
        }
        if assoclen.is_some_and(|length| length < 0) {
            return Err(Error::text(ErrorKind::Type, "assoclen must be positive"));
        }
        let message = |kind: i32, data: Vec<u8>| Ancillary { level: SOL_ALG, kind, data };
        let mut control = vec![message(ALG_SET_OP, op.to_ne_bytes().into())];
        if let Some(iv) = iv {
            // `struct af_alg_iv`: the length, then the vector.
            let length = u32::try_from(iv.len()).map_err(|_| Error::from_errno(errno::EINVAL))?;
            control.push(message(ALG_SET_IV, [&length.to_ne_bytes(), iv].concat()));
        }
        if let Some(length) = assoclen {
            control.push(message(ALG_SET_AEAD_ASSOCLEN, length.to_ne_bytes().into()));
        }
        self.sendmsg(buffers, &control, flags, None)
    }

    /// Sends buffers and descriptors on an AF_UNIX socket, and returns how many bytes the kernel
    /// took.
    ///
    /// Python: `socket.send_fds(sock, buffers, fds)`. Python does not use its flags and address
    /// arguments either.
    ///
    /// # Errors
    /// Those of [`sendmsg`](Self::sendmsg).
    pub fn send_fds(&self, buffers: &[IoSlice<'_>], fds: &[i32]) -> Result<usize> {
        self.sendmsg(buffers, &[Ancillary::rights(fds)], Flags::NONE, None)
    }

    /// Returns which of the remaining bytes one call sends, and with which flags.
    #[inline]
    fn part(&self, rest: Range<usize>, flags: Flags) -> Result<(Range<usize>, Flags)> {
        if self.shared.kind != SocketType::STREAM {
            return if rest.len() > MESSAGE_LIMIT {
                Err(Error::from_errno(errno::EMSGSIZE))
            } else {
                Ok((rest, flags))
            };
        }
        if rest.len() <= CHUNK {
            return Ok((rest, flags));
        }
        // Only the last part has the urgent byte.
        Ok((rest.start..rest.start.saturating_add(CHUNK), flags & !Flags::OOB))
    }

    /// Returns the wait of a send that may open the connection itself. With a timeout, CPython
    /// first waits for room, which a new socket has, and then sends once. That is EINPROGRESS if
    /// the kernel has no cookie of the server. Without a timeout the host waits for the connection,
    /// because only the host knows whether the bytes were sent.
    #[inline]
    fn opening(&self, flags: Flags, wait: Wait) -> Wait {
        let opens = flags.contains(Flags::FASTOPEN)
            && matches!(self.shared.family, Family::INET | Family::INET6)
            && self.shared.kind == SocketType::STREAM;
        match (opens, self.timeout().is_none()) {
            (true, true) => Wait::Forever,
            (true, false) => Wait::None,
            (false, _) => wait,
        }
    }

    /// Makes one send of any form, of `length` bytes. If it is longer than the host's limit, it is
    /// sent in parts, as the kernel queues it. The first part waits, and the others only if the
    /// socket blocks. An error after the first part is not reported.
    fn transfer(
        &self,
        length: usize,
        flags: Flags,
        mut call: impl FnMut(&Descriptor, Range<usize>, Flags, Wait) -> Result<u64, types::Error>,
    ) -> Result<usize> {
        let mut waiting = Waiting::new(self.timeout());
        let (blocks, hooked) = (self.timeout().is_none(), waits::is_hooked());
        let mut sent = 0;
        loop {
            // Only the first part can open the connection. On an open connection MSG_FASTOPEN is
            // EISCONN.
            let flags = if sent == 0 { flags } else { flags & !Flags::FASTOPEN };
            let (part, part_flags) = self.part(sent..length, flags)?;
            let size = part.len();
            let result = if sent == 0 {
                self.attempt(&mut waiting, (POLLOUT, flags), |d, wait| {
                    call(d, part.clone(), part_flags, self.opening(part_flags, wait))
                })
            } else {
                let wait = if blocks && !hooked { Wait::Forever } else { Wait::None };
                let Ok(descriptor) = self.descriptor() else { return Ok(sent) };
                match call(&descriptor, part, part_flags, wait) {
                    Ok(taken) => Ok(taken),
                    Err(types::Error::Os(errno::EAGAIN)) if !blocks => return Ok(sent),
                    Err(error) => match waiting.again(error, (&descriptor, POLLOUT, flags)) {
                        Ok(()) => continue,
                        Err(types::Error::Os(errno::EINTR)) => {
                            interrupt::set_pending();
                            return Ok(sent);
                        }
                        Err(_) => return Ok(sent),
                    },
                }
            };
            let taken = usize::try_from(result?).unwrap_or(usize::MAX).min(size);
            sent = sent.saturating_add(taken);
            // With a hook, a send takes what there is room for, and the rest of a blocking one follows.
            let goes_on = hooked && blocks && self.shared.kind == SocketType::STREAM && taken > 0;
            if taken < size && !goes_on || sent >= length {
                return Ok(sent);
            }
        }
    }
}

/// Returns the parts of buffers that belong to a range of their bytes.
fn cut<'a>(buffers: &'a [IoSlice<'_>], range: Range<usize>) -> Vec<&'a [u8]> {
    let mut skip = range.start;
    let mut left = range.len();
    let mut parts = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let start = skip.min(buffer.len());
        let length = left.min(buffer.len() - start);
        skip -= start;
        left -= length;
        // An empty buffer counts among the 1,024, but a buffer outside of the range does not.
        if length > 0 || buffer.is_empty() {
            parts.push(buffer.get(start..start + length).unwrap_or_default());
        }
    }
    parts
}
