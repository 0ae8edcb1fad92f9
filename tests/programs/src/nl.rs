//! Netlink messages, as the guests of that suite make and read them (man 7 netlink).

use sandsock::{Error, Socket};

/// NLM_F_DUMP.
pub(crate) const DUMP: u16 = 0x300;

/// A message with a header, NLM_F_REQUEST and these flags set.
pub(crate) fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | 1).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The messages of a datagram: type and body.
pub(crate) fn messages(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes(rest[..4].try_into().expect("four")) as usize;
        all.push((u16::from_ne_bytes(rest[4..6].try_into().expect("two")), &rest[16..length]));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    all
}

/// The value of an attribute.
pub(crate) fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes(rest[..2].try_into().expect("two")));
        if u16::from_ne_bytes(rest[2..4].try_into().expect("two")) & 0x3fff == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    None
}

/// A dump up to its end.
pub(crate) fn dump(socket: &Socket, kind: u16) -> Result<Vec<(u16, Vec<u8>)>, Error> {
    dump_of(socket, &request(kind, DUMP, &[0; 16]))
}

/// The answers to a request up to NLMSG_DONE.
pub(crate) fn dump_of(socket: &Socket, request: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Error> {
    socket.send(request, 0)?;
    let mut all = Vec::new();
    loop {
        let part = socket.recv(1 << 20, 0)?;
        for (kind, body) in messages(&part) {
            match kind {
                3 => return Ok(all),
                // NLMSG_ERROR with an errno.
                2 => panic!("error {:?}", &body[..4]),
                kind => all.push((kind, body.to_vec())),
            }
        }
    }
}
