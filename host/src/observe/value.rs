//! The arguments and results of calls, in a form that observers can read.

use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceTable, WasmList};

use super::address::SocketAddress;
use super::numbers::{DescriptorNumbers, Identify, Identity, Place};
use super::watch::WatchedData;
use crate::bindings::sandsock::socket::types::{
    Address, AddressHints, AddressInfo, ControlMessage, DescriptorKind, Error, HostEntry,
    IoctlResult, NameError, NetworkInterface, OptionValue, ReadyEvent, SocketKind, Trigger, Wait,
    Warning,
};

/// A value that went into a call or came out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A result that has no value.
    Unit,
    /// An option without a value.
    None,
    /// true or false.
    Bool(bool),
    /// A number.
    Integer(i128),
    /// A text, or its first 4 KiB.
    Text(String),
    /// Bytes, or the first of them.
    Bytes(Bytes),
    /// A descriptor or another resource, by the number that traces show.
    Descriptor(i32),
    /// A socket address.
    Address(SocketAddress),
    /// How long the call may wait.
    Wait(WaitTime),
    /// A list, or the first of its elements.
    List(List),
    /// The fields of a record, with their names in WIT. A case of a variant is a record with one
    /// field.
    Record(Vec<(&'static str, Value)>),
    /// The call's error.
    Failed(CallError),
}

impl Value {
    /// Returns a field of a record.
    pub fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Record(fields) => {
                fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Returns the number, if the value is one and it fits.
    pub fn number<N: TryFrom<i128>>(&self) -> Option<N> {
        match self {
            Self::Integer(number) => N::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// Bytes, or the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    /// The bytes that the observers are interested in
    /// ([`Interest::bytes`](super::Interest::bytes)).
    pub head: Vec<u8>,
    /// The number of all bytes.
    pub length: usize,
}

/// A list, or the first of its elements. At most 4,096 elements are copied in one call, with those
/// of lists within lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The elements that were copied.
    pub head: Vec<Value>,
    /// The number of all elements.
    pub length: usize,
}

impl List {
    /// Returns whether elements are missing.
    pub fn is_cut(&self) -> bool {
        self.head.len() < self.length
    }

    /// Makes the value of each element for which there is room.
    pub(crate) fn of<T: WatchedData, F>(
        length: usize,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
        mut element: F,
    ) -> Value
    where
        F: FnMut(usize, &mut StoreContextMut<'_, T>, &mut ValueBuilder) -> Option<Value>,
    {
        let mut head = Vec::new();
        while head.len() < length && builder.take_element() {
            let Some(value) = element(head.len(), store, builder) else { break };
            head.push(value);
        }
        Value::List(Self { head, length })
    }
}

/// How long a call may wait, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitTime {
    /// The call does not wait.
    None,
    /// As long as Linux blocks.
    Forever,
    /// At most this time.
    Within(u64),
    /// Until an instant of CLOCK_MONOTONIC.
    Until(u64),
}

/// The error of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// An errno, of the kernel or of the host.
    Os(i32),
    /// A denial of the policy.
    Denied {
        /// The missing grant, `VERB=TARGET`, if one grant is enough.
        grant: Option<String>,
        /// The denial as a sentence.
        reason: String,
    },
    /// An EAI_* code.
    AddressInfo(i32),
    /// An h_errno.
    Host(i32),
    /// An error code of `wasi:sockets`, where no system call and no rule is the cause.
    Code(&'static str),
}

/// The most elements of lists that are copied in one call.
const ELEMENTS: usize = 4096;

/// Makes the values of one call, and limits how much of the guest's data they copy.
///
/// A guest's lists may share their memory, so the size of all of them together has no other limit.
pub(crate) struct ValueBuilder {
    /// The most bytes that are copied of one list.
    list_bytes: usize,
    /// How many more bytes and elements are copied in the call.
    bytes: usize,
    elements: usize,
    pub(super) numbers: DescriptorNumbers,
}

impl ValueBuilder {
    pub(super) fn new(list_bytes: usize, numbers: DescriptorNumbers) -> Self {
        Self { list_bytes, bytes: 0, elements: 0, numbers }
    }

    /// Returns the value of the descriptor at a place.
    pub(crate) fn descriptor(&mut self, place: Place) -> Value {
        Value::Descriptor(self.numbers.number(place))
    }

    /// Begins with the arguments or the result of a call.
    pub(super) fn reset(&mut self, bytes: usize) {
        (self.bytes, self.elements) = (bytes, ELEMENTS);
    }

    /// Returns how many bytes of a list with `length` bytes are copied.
    pub(super) fn take_bytes(&mut self, length: usize) -> usize {
        let count = length.min(self.list_bytes).min(self.bytes);
        self.bytes -= count;
        count
    }

    /// Returns whether one more element of a list is copied.
    fn take_element(&mut self) -> bool {
        let room = self.elements > 0;
        self.elements -= usize::from(room);
        room
    }
}

/// A type whose values observers can get. Every type of a parameter or a result implements it.
pub(crate) trait ToValue {
    /// Returns the value.
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value;

    /// Returns the value of a list of this type. The implementation of `u8` makes [`Value::Bytes`].
    fn list_to_value<T: WatchedData>(
        list: &[Self],
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value
    where
        Self: Sized,
    {
        List::of(list.len(), store, builder, |at, store, builder| {
            Some(list.get(at)?.to_value(store, builder))
        })
    }

    /// Returns the resource's place, if this is a resource with a number.
    fn place(&self, _table: &ResourceTable) -> Option<Place> {
        None
    }
}

/// The parameters of a function, or its one result.
pub(crate) trait ToValues {
    /// Returns the values.
    fn to_values<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Vec<Value>;

    /// Returns the place of the first resource that has one.
    fn first_place(&self, table: &ResourceTable) -> Option<Place>;
}

macro_rules! lists {
    ($(($($name:ident),*))*) => {$(
        impl<$($name: ToValue),*> ToValues for ($($name,)*) {
            #[allow(unused_variables, non_snake_case)]
            fn to_values<T: WatchedData>(
                &self,
                store: &mut StoreContextMut<'_, T>,
                builder: &mut ValueBuilder,
            ) -> Vec<Value> {
                let ($($name,)*) = self;
                vec![$($name.to_value(store, builder)),*]
            }

            #[allow(unused_variables, non_snake_case)]
            fn first_place(&self, table: &ResourceTable) -> Option<Place> {
                let ($($name,)*) = self;
                [None, $($name.place(table)),*].into_iter().flatten().next()
            }
        }
    )*};
}

lists! {
    () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F)
    (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H)
}

macro_rules! values {
    ($($type:ty: |$value:ident, $store:ident, $builder:ident| $shown:expr;)*) => {$(
        impl ToValue for $type {
            fn to_value<T: WatchedData>(
                &self,
                $store: &mut StoreContextMut<'_, T>,
                $builder: &mut ValueBuilder,
            ) -> Value {
                let $value = self;
                $shown
            }
        }
    )*};
}

macro_rules! integers {
    ($($type:ty)*) => {
        values! { $($type: |value, _store, _builder| Value::Integer(i128::from(*value));)* }
    };
}

integers! { u16 u32 u64 i8 i16 i32 i64 }

impl ToValue for u8 {
    fn to_value<T: WatchedData>(
        &self,
        _: &mut StoreContextMut<'_, T>,
        _: &mut ValueBuilder,
    ) -> Value {
        Value::Integer(i128::from(*self))
    }

    fn list_to_value<T: WatchedData>(
        list: &[Self],
        _store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        let most = builder.take_bytes(list.len());
        Value::Bytes(Bytes::cut(list, most))
    }
}

values! {
    (): |_value, _store, _builder| Value::Unit;
    bool: |value, _store, _builder| Value::Bool(*value);
    String: |value, _store, _builder| Value::Text(cut(value));
    SocketKind: |kind, _store, _builder| record([
        ("family", kind.family), ("type", kind.type_), ("protocol", kind.protocol),
    ]);
    DescriptorKind: |kind, store, builder| match kind {
        DescriptorKind::Socket(kind) => kind.to_value(store, builder),
        DescriptorKind::Pipe => word("pipe"),
        DescriptorKind::File => word("file"),
        DescriptorKind::Directory => word("directory"),
        DescriptorKind::CharacterDevice => word("character-device"),
        DescriptorKind::BlockDevice => word("block-device"),
        DescriptorKind::Other => word("other"),
    };
    Wait: |wait, _store, _builder| Value::Wait(match *wait {
        Wait::None => WaitTime::None,
        Wait::Forever => WaitTime::Forever,
        Wait::Within(nanoseconds) => WaitTime::Within(nanoseconds),
        Wait::Until(instant) => WaitTime::Until(instant),
    });
    Trigger: |trigger, _store, _builder| word(match trigger {
        Trigger::Level => "level",
        Trigger::Edge => "edge",
        Trigger::OneShot => "one-shot",
    });
    Warning: |warning, _store, _builder| word(match warning {
        Warning::MalformedControlData => "malformed-control-data",
        Warning::TruncatedControlData => "truncated-control-data",
    });
    Address: |address, _store, _builder| Value::Address(SocketAddress::from(address));
    OptionValue: |value, store, builder| match value {
        OptionValue::Integer(value) => value.to_value(store, builder),
        OptionValue::Bytes(bytes) => bytes.to_value(store, builder),
        OptionValue::Null(length) => record([("null", *length)]),
    };
    IoctlResult: |result, store, builder| Value::Record(vec![
        ("value", result.value.to_value(store, builder)),
        ("argument", result.argument.to_value(store, builder)),
    ]);
    ControlMessage: |message, _store, builder| {
        control_message(message.level, message.type_, &message.data, builder)
    };
    AddressHints: |hints, _store, _builder| record([
        ("flags", hints.flags),
        ("family", hints.family),
        ("type", hints.type_),
        ("protocol", hints.protocol),
    ]);
    AddressInfo: |info, store, builder| Value::Record(vec![
        ("family", info.family.to_value(store, builder)),
        ("type", info.type_.to_value(store, builder)),
        ("protocol", info.protocol.to_value(store, builder)),
        ("canonical-name", info.canonical_name.to_value(store, builder)),
        ("address", info.address.to_value(store, builder)),
    ]);
    HostEntry: |entry, store, builder| Value::Record(vec![
        ("name", entry.name.to_value(store, builder)),
        ("aliases", entry.aliases.to_value(store, builder)),
        ("addresses", entry.addresses.to_value(store, builder)),
    ]);
    NetworkInterface: |interface, store, builder| Value::Record(vec![
        ("index", interface.index.to_value(store, builder)),
        ("name", interface.name.to_value(store, builder)),
    ]);
    ReadyEvent: |event, store, builder| Value::Record(vec![
        ("key", event.key.to_value(store, builder)),
        ("ready", event.ready.to_value(store, builder)),
        ("expirations", event.expirations.to_value(store, builder)),
    ]);
    Error: |error, _store, _builder| Value::Failed(CallError::from(error));
    NameError: |error, _store, _builder| Value::Failed(match error {
        NameError::AddressInfo(code) => CallError::AddressInfo(*code),
        NameError::Host(code) => CallError::Host(*code),
        NameError::Other(error) => error.into(),
    });
}

/// The bytes of control data that are always copied. They show what the control message sets.
const CONTROL_MIN: usize = 64;

/// Returns the value of a control message.
pub(crate) fn control_message(
    level: i32,
    type_: i32,
    data: &[u8],
    builder: &mut ValueBuilder,
) -> Value {
    let most = builder.take_bytes(data.len()).max(CONTROL_MIN);
    Value::Record(vec![
        ("level", Value::Integer(level.into())),
        ("type", Value::Integer(type_.into())),
        ("data", Value::Bytes(Bytes::cut(data, most))),
    ])
}

/// The most bytes of a text that are copied.
const TEXT: usize = 4096;

/// Returns the first bytes of a text. It does not cut a character in two.
pub(super) fn cut(text: &str) -> String {
    let end = (0..=text.len().min(TEXT)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text[..end].to_owned()
}

impl From<&Error> for CallError {
    fn from(error: &Error) -> Self {
        match error {
            Error::Os(errno) => Self::Os(*errno),
            Error::Denied(denial) => Self::Denied {
                grant: denial.grant.as_deref().map(cut),
                reason: cut(&denial.reason),
            },
        }
    }
}

impl<R: Identify> ToValue for Resource<R> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        match R::identify(self, store.data_mut().table()) {
            Identity::Number(place) => Value::Descriptor(builder.numbers.number(place)),
            Identity::Type(name) => word(name),
        }
    }

    fn place(&self, table: &ResourceTable) -> Option<Place> {
        match R::identify(self, table) {
            Identity::Number(place) => Some(place),
            Identity::Type(_) => None,
        }
    }
}

impl<V: ToValue> ToValue for Option<V> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        self.as_ref().map_or(Value::None, |value| value.to_value(store, builder))
    }
}

impl<V: ToValue, E: ToValue> ToValue for Result<V, E> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        match self {
            Ok(value) => value.to_value(store, builder),
            Err(error) => error.to_value(store, builder),
        }
    }
}

impl<A: ToValue, B: ToValue> ToValue for (A, B) {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        let head = self.to_values(store, builder);
        Value::List(List { length: head.len(), head })
    }
}

impl<A: ToValue, B: ToValue, C: ToValue> ToValue for (A, B, C) {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        let head = self.to_values(store, builder);
        Value::List(List { length: head.len(), head })
    }
}

/// Implements [`ToValue`] for a record of the contract that is defined in Rust, field by field.
macro_rules! record_to_value {
    ($type:ty: $($field:ident),*) => {
        crate::observe::record_to_value! { $type: $($field = stringify!($field)),* }
    };
    ($type:ty: $($field:ident = $name:expr),*) => {
        impl crate::observe::ToValue for $type {
            fn to_value<T: crate::observe::WatchedData>(
                &self,
                store: &mut wasmtime::StoreContextMut<'_, T>,
                builder: &mut crate::observe::ValueBuilder,
            ) -> crate::observe::Value {
                crate::observe::Value::Record(vec![
                    $(($name, self.$field.to_value(store, builder))),*
                ])
            }
        }
    };
}

/// Implements [`ToValue`] for a variant of the contract that is defined in Rust. The value is a
/// record with the one case.
macro_rules! case_to_value {
    ($type:ty: $($case:ident = $name:literal),*) => {
        impl crate::observe::ToValue for $type {
            fn to_value<T: crate::observe::WatchedData>(
                &self,
                store: &mut wasmtime::StoreContextMut<'_, T>,
                builder: &mut crate::observe::ValueBuilder,
            ) -> crate::observe::Value {
                match self {
                    $(Self::$case(value) => {
                        let value = value.to_value(store, builder);
                        crate::observe::Value::Record(vec![($name, value)])
                    })*
                }
            }
        }
    };
}

pub(crate) use {case_to_value, record_to_value};

impl<V: ToValue> ToValue for Vec<V> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        V::list_to_value(self, store, builder)
    }
}

impl ToValue for WasmList<u8> {
    fn to_value<T: WatchedData>(
        &self,
        store: &mut StoreContextMut<'_, T>,
        builder: &mut ValueBuilder,
    ) -> Value {
        let most = builder.take_bytes(self.len());
        Value::Bytes(Bytes::cut(self.as_le_slice(&*store), most))
    }
}

impl Bytes {
    pub(crate) fn cut(bytes: &[u8], most: usize) -> Self {
        Self { head: bytes[..bytes.len().min(most)].to_vec(), length: bytes.len() }
    }
}

fn word(word: &str) -> Value {
    Value::Text(word.to_owned())
}

fn record<N: Into<i128>, const LENGTH: usize>(fields: [(&'static str, N); LENGTH]) -> Value {
    Value::Record(
        fields.into_iter().map(|(name, number)| (name, Value::Integer(number.into()))).collect(),
    )
}
