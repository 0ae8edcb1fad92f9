//! The methods that send and receive.

use std::io::{IoSlice, IoSliceMut};

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use sandsock::{Ancillary, Family, Received, ToAddress};

use crate::address::{argument, result};
use crate::error::{OrRaise, with_text};
use crate::ffi::{
    self, Answer, Arguments, Buffer, Format, Int, Keywords, MutableBuffer, Names, Object, Result,
    Size, This, Typed, none, object, parse, parse_one,
};

/// The most bytes for which `recv` makes its bytes object at once. A stream never gives more in one
/// call, and a larger object would take memory that is not used.
const AT_ONCE: usize = 1 << 20;

/// The names of the arguments of `recv_into` and `recvfrom_into`.
static INTO: Names<4> = Names::new([c"buffer", c"nbytes", c"flags", c""]);

/// Reads a size that must not be negative.
fn size(py: Python<'_>, Size(size): Size, text: &str) -> Result<usize> {
    let size = u64::try_from(size).map_err(|_| with_text::<PyValueError>(py, text))?;
    // A size beyond this memory is as good as the largest one.
    Ok(usize::try_from(size).unwrap_or(usize::MAX))
}

/// Returns the room for control messages. The guest crate refuses a number that is too large, as
/// CPython refuses a negative one.
fn room_for_control(Size(room): Size) -> usize {
    u32::try_from(room).map_or(usize::MAX, |room| room as usize)
}

pub(crate) fn recv<'py>(this: This<'_, 'py>, arguments: &Arguments<'_, 'py>) -> Answer<'py> {
    let py = arguments.py();
    let (length, flags) = match arguments.only().and_then(ffi::small_size) {
        Some(length) => (length, 0),
        None => {
            let mut values = (Size(0), 0);
            parse(&arguments.tuple()?, const { &Format::new(c"n|i:recv") }, &mut values)?;
            let (length, flags): (Size, i32) = values;
            (size(py, length, "negative buffersize in recv")?, flags)
        }
    };
    let socket = this.socket();
    if length > AT_ONCE {
        return Ok(PyBytes::new(py, &socket.recv(length, flags).or_raise(py)?).into_any());
    }
    ffi::new_bytes(py, length, |place| socket.recv_into(place, flags).or_raise(py))
}

pub(crate) fn recv_into<'py>(this: This<'_, 'py>, arguments: &Arguments<'_, 'py>) -> Answer<'py> {
    let py = arguments.py();
    if let Some(mut buffer) =
        arguments.only().and_then(|buffer| MutableBuffer::of_writable(&buffer))
    {
        return object(py, this.socket().recv_into(buffer.get_mut(), 0).or_raise(py)?);
    }
    let mut values = (MutableBuffer::default(), Size(0), 0);
    arguments.parse(const { &Format::new(c"w*|ni:recv_into") }, &INTO, &mut values)?;
    let (buffer, length, flags): (&mut MutableBuffer, Size, i32) =
        (&mut values.0, values.1, values.2);
    let length = size(py, length, "negative buffersize in recv_into")?;
    let place = buffer.get_mut();
    let length = if length == 0 { place.len() } else { length };
    let place = place
        .get_mut(..length)
        .ok_or_else(|| with_text::<PyValueError>(py, "buffer too small for requested bytes"))?;
    object(py, this.socket().recv_into(place, flags).or_raise(py)?)
}

pub(crate) fn recvfrom<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Size(0), 0);
    parse(arguments, const { &Format::new(c"n|i:recvfrom") }, &mut values)?;
    let (length, flags): (Size, i32) = values;
    let length = size(py, length, "negative buffersize in recvfrom")?;
    let (data, address) = this.socket().recvfrom(length, flags).or_raise(py)?;
    pair(py, PyBytes::new(py, &data).as_any(), &address)
}

pub(crate) fn recvfrom_into<'py>(
    this: This<'_, 'py>,
    arguments: &Keywords<'_, 'py>,
) -> Answer<'py> {
    let py = this.object().py();
    let mut values = (MutableBuffer::default(), Size(0), 0);
    arguments.parse(const { &Format::new(c"w*|ni:recvfrom_into") }, &INTO, &mut values)?;
    let (buffer, length, flags): (&mut MutableBuffer, Size, i32) =
        (&mut values.0, values.1, values.2);
    let length = size(py, length, "negative buffersize in recvfrom_into")?;
    let place = buffer.get_mut();
    let length = if length == 0 { place.len() } else { length };
    let place = place.get_mut(..length).ok_or_else(|| {
        with_text::<PyValueError>(py, "nbytes is greater than the length of the buffer")
    })?;
    let (count, address) = this.socket().recvfrom_into(place, flags).or_raise(py)?;
    pair(py, &object(py, count)?, &address)
}

/// Returns a tuple of a value and an address.
fn pair<'py>(
    py: Python<'py>,
    value: &Bound<'py, PyAny>,
    address: &sandsock::Address,
) -> Answer<'py> {
    Ok((value, result(py, address)?).into_pyobject(py)?.into_any())
}

pub(crate) fn recvmsg<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Size(0), Size(0), 0);
    parse(arguments, const { &Format::new(c"n|ni:recvmsg") }, &mut values)?;
    let (length, room, flags): (Size, Size, i32) = values;
    let length = size(py, length, "negative buffer size in recvmsg()")?;
    let room = room_for_control(room);
    let received = this.socket().recvmsg(length, room, flags).or_raise(py)?;
    message(py, received, |data| Ok(PyBytes::new(py, &data).into_any()))
}

pub(crate) fn recvmsg_into<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Object::default(), Size(0), 0);
    parse(arguments, const { &Format::new(c"O|ni:recvmsg_into") }, &mut values)?;
    let (buffers, room, flags): (_, Size, i32) = values;
    let buffers = ffi::items(
        &buffers.get(py).unwrap_or_else(|| py.None().into_bound(py)),
        c"recvmsg_into() argument 1 must be an iterable",
    )?;
    let mut views = buffers
        .iter()
        .map(|buffer| {
            let mut values = (MutableBuffer::default(),);
            let format = const {
                &Format::new(
                    c"w*;recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers",
                )
            };
            parse_one(&buffer, format, &mut values).map(|()| values.0)
        })
        .collect::<Result<Vec<_>>>()?;
    let room = room_for_control(room);
    let mut slices: Vec<_> = views.iter_mut().map(|view| IoSliceMut::new(view.get_mut())).collect();
    let received = this.socket().recvmsg_into(&mut slices, room, flags).or_raise(py)?;
    message(py, received, |count| object(py, count))
}

/// Returns the result of `recvmsg`. If it can't be made, the received descriptors are closed.
fn message<'py, T>(
    py: Python<'py>,
    received: Received<T>,
    data: impl FnOnce(T) -> Answer<'py>,
) -> Answer<'py> {
    let fds = received.fds();
    let made = || {
        let ancillary = PyList::empty(py);
        for Ancillary { level, kind, data } in received.ancillary {
            ancillary.append((level, kind, PyBytes::new(py, &data)))?;
        }
        let address = result(py, &received.address)?;
        let tuple = (data(received.data)?, ancillary, received.flags.0, address);
        Ok(tuple.into_pyobject(py)?.into_any())
    };
    made().inspect_err(|_| {
        for fd in fds {
            // The first error is raised.
            let _ = sandsock::close(fd);
        }
    })
}

pub(crate) fn send<'py>(this: This<'_, 'py>, arguments: &Arguments<'_, 'py>) -> Answer<'py> {
    let py = arguments.py();
    if let Some(data) = only_bytes(arguments) {
        return object(py, this.socket().send(data.as_bytes(), 0).or_raise(py)?);
    }
    let mut values = (Buffer::<false>::default(), 0);
    parse(&arguments.tuple()?, const { &Format::new(c"y*|i:send") }, &mut values)?;
    let (data, flags): (_, i32) = values;
    object(py, this.socket().send(data.get(), flags).or_raise(py)?)
}

pub(crate) fn sendall<'py>(this: This<'_, 'py>, arguments: &Arguments<'_, 'py>) -> Answer<'py> {
    let py = arguments.py();
    if let Some(data) = only_bytes(arguments) {
        this.socket().sendall(data.as_bytes(), 0).or_raise(py)?;
        return none(py);
    }
    let mut values = (Buffer::<false>::default(), 0);
    parse(&arguments.tuple()?, const { &Format::new(c"y*|i:sendall") }, &mut values)?;
    let (data, flags): (_, i32) = values;
    this.socket().sendall(data.get(), flags).or_raise(py)?;
    none(py)
}

/// Returns the only argument, if it is a bytes object.
fn only_bytes<'a, 'py>(arguments: &'a Arguments<'_, 'py>) -> Option<Borrowed<'a, 'py, PyBytes>> {
    arguments.only()?.cast_exact::<PyBytes>().ok()
}

pub(crate) fn sendto<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Buffer::<false>::default(), 0, Object::default());
    match arguments.len()? {
        2 => {
            let mut two = (Buffer::<false>::default(), Object::default());
            parse(arguments, const { &Format::new(c"y*O:sendto") }, &mut two)?;
            (values.0, values.2) = two;
        }
        3 => parse(arguments, const { &Format::new(c"y*iO:sendto") }, &mut values)?,
        count => {
            let text = format!("sendto() takes 2 or 3 arguments ({count} given)");
            return Err(with_text::<PyTypeError>(py, &text));
        }
    }
    let (data, flags, address): (_, i32, _) = values;
    let address = address.get(py).unwrap_or_else(|| py.None().into_bound(py));
    let socket = this.socket();
    let converted = argument(&socket, "sendto", &address)?;
    ffi::audit_pair(c"socket.sendto", this.object(), &address)?;
    object(py, socket.sendto(data.get(), flags, converted).or_raise(py)?)
}

pub(crate) fn sendmsg<'py>(this: This<'_, 'py>, arguments: &Bound<'py, PyAny>) -> Answer<'py> {
    let py = arguments.py();
    let mut values = (Object::default(), Object::default(), 0, Object::default());
    parse(arguments, const { &Format::new(c"O|OiO:sendmsg") }, &mut values)?;
    let (buffers, messages, flags, address): (_, _, i32, _) = values;
    let socket = this.socket();
    let none = py.None().into_bound(py);
    let address = address.get(py).unwrap_or_else(|| none.clone());
    let converted =
        if address.is_none() { None } else { Some(argument(&socket, "sendmsg", &address)?) };
    ffi::audit_pair(c"socket.sendmsg", this.object(), &address)?;
    let views = views(&buffers.get(py).unwrap_or(none))?;
    let slices = slices(&views);
    let control = match messages.get(py) {
        Some(messages) => control(&messages)?,
        None => Vec::new(),
    };
    let converted = converted.as_ref().map(|address| address as &dyn ToAddress);
    object(py, socket.sendmsg(&slices, &control, flags, converted).or_raise(py)?)
}

/// Returns the bytes of the buffers of a message.
fn views(buffers: &Bound<'_, PyAny>) -> Result<Vec<Buffer>> {
    let buffers = ffi::items(buffers, c"sendmsg() argument 1 must be an iterable")?;
    buffers.iter().map(|buffer| Buffer::of(&buffer)).collect()
}

fn slices(views: &[Buffer]) -> Vec<IoSlice<'_>> {
    views.iter().map(|view| IoSlice::new(view.get())).collect()
}

/// Reads control messages.
fn control(messages: &Bound<'_, PyAny>) -> Result<Vec<Ancillary>> {
    let py = messages.py();
    let messages: Bound<'_, PyTuple> =
        ffi::items(messages, c"sendmsg() argument 2 must be an iterable")?;
    let (mut total, mut control) = (0, Vec::with_capacity(messages.len()));
    for message in &messages {
        let mut values = (0, 0, Buffer::<false>::default());
        let format = const { &Format::new(c"(iiy*):[sendmsg() ancillary data items]") };
        parse_one(&message, format, &mut values)?;
        let (level, kind, data): (i32, i32, _) = values;
        let Ok(space) = sandsock::cmsg_space(data.get().len()) else {
            return Err(with_text::<PyOSError>(py, "ancillary data item too large"));
        };
        total += space;
        if i32::try_from(total).is_err() {
            return Err(with_text::<PyOSError>(py, "too much ancillary data"));
        }
        control.push(Ancillary { level, kind, data: data.get().to_vec() });
    }
    Ok(control)
}

pub(crate) fn sendmsg_afalg<'py>(
    this: This<'_, 'py>,
    arguments: &Keywords<'_, 'py>,
) -> Answer<'py> {
    static NAMES: Names<6> = Names::new([c"msg", c"op", c"iv", c"assoclen", c"flags", c""]);
    let py = this.object().py();
    let socket = this.socket();
    if socket.family() != Family::ALG {
        return Err(with_text::<PyOSError>(py, "algset is only supported for AF_ALG"));
    }
    let mut values = (
        Object::default(),
        Typed::<Int>::default(),
        Buffer::<false>::default(),
        Typed::<Int>::default(),
        0,
    );
    let format = const { &Format::new(c"|O$O!y*O!i:sendmsg_afalg") };
    arguments.parse(format, &NAMES, &mut values)?;
    let (buffers, op, iv, assoclen, flags): (_, _, _, _, i32) = values;
    let op = match op.get(py).map(|op| ffi::int(&op)) {
        Some(Ok(op)) => op,
        // The guest crate refuses a negative number with CPython's text for all of these cases.
        Some(Err(raised)) => {
            ffi::clear(raised);
            -1
        }
        None => -1,
    };
    if op < 0 {
        return Err(with_text::<PyTypeError>(py, "Invalid or missing argument 'op'"));
    }
    let assoclen = assoclen.get(py).map(|length| ffi::int(&length)).transpose()?;
    if assoclen.is_some_and(|length| length < 0) {
        return Err(with_text::<PyTypeError>(py, "assoclen must be positive"));
    }
    let views = match buffers.get(py) {
        Some(buffers) => views(&buffers)?,
        None => Vec::new(),
    };
    let iv = iv.is_given().then(|| iv.get());
    object(py, socket.sendmsg_afalg(&slices(&views), op, iv, assoclen, flags).or_raise(py)?)
}
