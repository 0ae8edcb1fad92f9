//! Receiving, in all of its forms.

use std::io::IoSliceMut;

use sandsock_abi::{constants::POLLIN, errno};

use super::{BUFFERS, CHUNK, Socket, fill};
#[cfg(all(target_family = "wasm", not(test)))]
use crate::raw::receive_into::receive_into;
use crate::{
    Address, Error, Flags, Received, Result, SocketType, address::decode, ancillary::cmsg_len,
    ancillary::control_room, ancillary::incoming, fds, interrupt, raw::transfers, raw::types,
    raw::types::Wait, timeout::Waiting, waits, warning,
};

impl Socket {
    /// Receives at most `bufsize` bytes: recv(2). An empty result is the end of a stream, or an
    /// empty message.
    ///
    /// Receiving 0 bytes returns at once, without a system call, on a closed socket too.
    ///
    /// # Errors
    /// The errors of recv(2); `TimeoutError` and `BlockingIOError` by the timeout.
    pub fn recv(&self, bufsize: usize, flags: impl Into<Flags>) -> Result<Vec<u8>> {
        let mut waiting = Waiting::new(self.timeout());
        if bufsize == 0 {
            return Ok(Vec::new());
        }
        let flags = flags.into();
        let data = self.attempt(&mut waiting, (POLLIN, flags), |d, wait| {
            transfers::receive(d, bufsize as u64, flags.0, wait)
        })?;
        self.gather(data, bufsize, flags)
    }

    /// Receives into a buffer. Returns the number of bytes, which with [`Flags::TRUNC`] can be more
    /// than the buffer holds.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recv_into(&self, buffer: &mut [u8], flags: impl Into<Flags>) -> Result<usize> {
        let flags = flags.into();
        if flags.contains(Flags::TRUNC) && !buffer.is_empty() {
            return Ok(self.recvmsg_into(&mut [IoSliceMut::new(buffer)], 0, flags)?.data);
        }
        #[cfg(all(target_family = "wasm", not(test)))]
        // With MSG_WAITALL the bytes can come in parts.
        if !buffer.is_empty() && !flags.contains(Flags::WAITALL) {
            let mut waiting = Waiting::new(self.timeout());
            return self.attempt(&mut waiting, (POLLIN, flags), |d, wait| {
                receive_into(d, buffer, flags.0, wait)
            });
        }
        Ok(fill(buffer, &self.recv(buffer.len(), flags)?))
    }

    /// Receives bytes and the sender's address: recvfrom(2). The address is [`Address::None`] on a
    /// connected stream.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recvfrom(&self, bufsize: usize, flags: impl Into<Flags>) -> Result<(Vec<u8>, Address)> {
        let mut waiting = Waiting::new(self.timeout());
        let flags = flags.into();
        self.check_named()?;
        let datagram = self.attempt(&mut waiting, (POLLIN, flags), |d, wait| {
            transfers::receive_from(d, bufsize as u64, flags.0, wait)
        })?;
        let data = self.gather(datagram.data, bufsize, flags)?;
        Ok((data, decode(&*self.descriptor()?, datagram.address)))
    }

    /// Receives into a buffer, and returns the sender's address too. The number is that of
    /// [`recv_into`](Self::recv_into).
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    pub fn recvfrom_into(
        &self,
        buffer: &mut [u8],
        flags: impl Into<Flags>,
    ) -> Result<(usize, Address)> {
        let flags = flags.into();
        if flags.contains(Flags::TRUNC) {
            let received = self.recvmsg_into(&mut [IoSliceMut::new(buffer)], 0, flags)?;
            return Ok((received.data, received.address));
        }
        let (data, address) = self.recvfrom(buffer.len(), flags)?;
        Ok((fill(buffer, &data), address))
    }

    /// Receives bytes, control messages and the sender's address: recvmsg(2).
    ///
    /// `ancbufsize` is the room for control messages, a sum of [`cmsg_space`](crate::cmsg_space),
    /// or 0 for none.
    ///
    /// # Errors
    /// `ValueError` for an `ancbufsize` of 2 GiB or more, and those of [`recv`](Self::recv).
    pub fn recvmsg(
        &self,
        bufsize: usize,
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<Vec<u8>>> {
        let (received, _) = self.receive_message(bufsize, ancbufsize, flags.into())?;
        Ok(received)
    }

    /// Receives as [`recvmsg`](Self::recvmsg) does, into buffers, which are filled in turn. `data`
    /// is the number of bytes, which with [`Flags::TRUNC`] can be more than the buffers hold.
    ///
    /// # Errors
    /// EMSGSIZE for more than 1,024 buffers, and those of [`recvmsg`](Self::recvmsg).
    pub fn recvmsg_into(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        ancbufsize: usize,
        flags: impl Into<Flags>,
    ) -> Result<Received<usize>> {
        let flags = flags.into();
        if buffers.len() > BUFFERS {
            self.descriptor()?;
            return Err(Error::from_errno(errno::EMSGSIZE));
        }
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        let (received, length) = self.receive_message(room, ancbufsize, flags)?;
        let mut data = received.data.as_slice();
        for buffer in buffers {
            let length = fill(buffer, data);
            data = data.get(length..).unwrap_or_default();
        }
        Ok(Received {
            data: if flags.contains(Flags::TRUNC) { length } else { received.data.len() },
            ancillary: received.ancillary,
            flags: received.flags,
            address: received.address,
            warnings: received.warnings,
        })
    }

    /// Receives a message. Returns it with the length that it had before it was cut.
    fn receive_message(
        &self,
        size: usize,
        room: usize,
        flags: Flags,
    ) -> Result<(Received<Vec<u8>>, usize)> {
        let mut waiting = Waiting::new(self.timeout());
        self.check_named()?;
        let room = control_room(room)?;
        let got = self.attempt(&mut waiting, (POLLIN, flags), |d, wait| {
            transfers::receive_message(d, size as u64, room, flags.0, wait)
        })?;
        let cut = got.data.len();
        let data = self.gather(got.data, size, flags)?;
        let more = data.len().saturating_sub(cut);
        let received = Received {
            data,
            ancillary: incoming(got.control, flags),
            flags: Flags(got.flags),
            address: decode(&*self.descriptor()?, got.address),
            warnings: got.warnings,
        };
        // If the warning handler returns an error, the received descriptors are closed.
        if let Err(error) = received.warnings.iter().copied().try_for_each(warning::ancillary) {
            received.fds().into_iter().for_each(|fd| drop(fds::close(fd)));
            return Err(error);
        }
        let length = usize::try_from(got.length).unwrap_or(usize::MAX);
        Ok((received, length.saturating_add(more)))
    }

    /// Receives the rest of a receive with MSG_WAITALL that the host's limit has cut, if the socket
    /// blocks, because the kernel would have gone on. An error after the first part is not
    /// reported.
    fn gather(&self, mut data: Vec<u8>, size: usize, flags: Flags) -> Result<Vec<u8>> {
        let whole = flags.contains(Flags::WAITALL) && !flags.contains(Flags::PEEK);
        if !whole || self.shared.kind != SocketType::STREAM || !self.timeout().is_none() {
            return Ok(data);
        }
        let mut last = data.len();
        let mut waiting = Waiting::new(self.timeout());
        // With a hook, each part is what is there, and the wait is a call of its own.
        let hooked = waits::is_hooked();
        while (last >= CHUNK || hooked && last > 0) && data.len() < size {
            let rest = size.saturating_sub(data.len()) as u64;
            let Ok(descriptor) = self.descriptor() else {
                break;
            };
            let wait = if hooked { Wait::None } else { Wait::Forever };
            let error = match transfers::receive(&descriptor, rest, flags.0, wait) {
                Ok(part) => {
                    last = part.len();
                    data.extend(part);
                    continue;
                }
                Err(error) => error,
            };
            match waiting.again(error, (&descriptor, POLLIN, flags)) {
                Ok(()) => {}
                Err(types::Error::Os(errno::EINTR)) => {
                    interrupt::set_pending();
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(data)
    }

    /// Receives bytes, and at most `maxfds` descriptors ([`Received::fds`]), on an AF_UNIX socket.
    /// The caller must close the descriptors.
    ///
    /// Python: `socket.recv_fds(sock, bufsize, maxfds)`. Python does not use its flags argument
    /// either.
    ///
    /// # Errors
    /// `OverflowError` for more descriptors than a control message can hold, and those of
    /// [`recvmsg`](Self::recvmsg).
    pub fn recv_fds(&self, bufsize: usize, maxfds: usize) -> Result<Received<Vec<u8>>> {
        let room = cmsg_len(maxfds.saturating_mul(size_of::<i32>()))?;
        self.recvmsg(bufsize, room, Flags::NONE)
    }
}
