"""The module `_ctypes` in Python: the data types of `ctypes`, and no foreign functions.

Structures, unions, arrays, pointers and casts work on memory that Python objects own. Each piece of memory is a region. It gets an
address of its own when a program asks for one, so an address that a program makes up points to nothing. A library can't be loaded. The
program itself (`CDLL(None)`) has the functions of `_sandsock_libc`.
"""

import bisect
import struct
import weakref

__version__ = "1.1.0"

RTLD_LOCAL = 0
RTLD_GLOBAL = 0x100
FUNCFLAG_HRESULT = 2
FUNCFLAG_CDECL = 1
FUNCFLAG_PYTHONAPI = 4
FUNCFLAG_USE_ERRNO = 8
FUNCFLAG_USE_LASTERROR = 16
SIZEOF_TIME_T = 8

_POINTER_SIZE = struct.calcsize("P")


class ArgumentError(Exception):
    """An argument of a foreign function can't be converted."""


ArgumentError.__module__ = "ctypes"


# Memory


class _Region:
    """A piece of memory: a bytearray, or a view of another object's. `kept` has the objects that its pointers point to."""

    __slots__ = ("data", "address", "kept", "__weakref__")

    def __init__(self, data):
        self.data = data
        self.address = None
        self.kept = {}


_first_address = 0x10000
_next_address = _first_address
_addresses = []
_regions = weakref.WeakValueDictionary()


def _address_of(region, offset) -> int:
    global _next_address
    if region.address is None:
        region.address = _next_address
        # The addresses of two regions never meet, and end one behind the last byte of a region.
        _next_address += (len(region.data) + 31) & ~15
        _addresses.append(region.address)
        _regions[region.address] = region
        if len(_addresses) > 2 * len(_regions) + 1000:
            _addresses[:] = sorted(_regions)
    return region.address + offset


def _find(address, size=0):
    """Returns the region and the offset of an address."""
    at = bisect.bisect_right(_addresses, address) - 1
    region = _regions.get(_addresses[at]) if at >= 0 else None
    if region is None or address + size > region.address + len(region.data):
        raise ValueError(f"there is no memory of this program at address {address:#x}")
    return region, address - region.address


def _place(value, size=0):
    """Returns the region and the offset that an argument points to."""
    if isinstance(value, _Reference):
        return value.of._region, value.of._offset + value.offset
    if isinstance(value, _Pointer) or isinstance(value, _SimpleCData) and value._type_ in "PzZ":
        return _find(_load_address(value._region, value._offset), size)
    if isinstance(value, _CData):
        return value._region, value._offset
    if isinstance(value, bytes):
        return _Region(bytearray(value + b"\0")), 0
    if isinstance(value, str):
        return _Region(bytearray((value + "\0").encode("utf-32-le"))), 0
    if isinstance(value, int):
        return _find(value, size)
    raise ArgumentError(f"{type(value).__name__} is no pointer")


def _load_address(region, offset) -> int:
    return struct.unpack_from("P", region.data, offset)[0]


def _store_address(region, offset, address, kept=None) -> None:
    struct.pack_into("P", region.data, offset, address & 0xFFFFFFFF)
    region.kept[offset] = kept


def _text_at(region, offset, size=-1, unit=1) -> bytes:
    """Returns bytes, up to a zero if there is no size."""
    data = region.data
    if size >= 0:
        return bytes(data[offset : offset + size * unit])
    end = offset
    while end + unit <= len(data) and any(data[end : end + unit]):
        end += unit
    return bytes(data[offset:end])


# Types


class _Type(type):
    """What all types of `ctypes` have."""

    def __mul__(cls, length):
        if not isinstance(length, int):
            raise TypeError(f"can't multiply sequence by non-int of type '{type(length).__name__}'")
        if length < 0:
            raise ValueError("Array length must be >= 0, not " + str(length))
        made = cls.__dict__.get("_arrays_")
        if made is None:
            made = {}
            type.__setattr__(cls, "_arrays_", made)
        if length not in made:
            made[length] = PyCArrayType(f"{cls.__name__}_Array_{length}", (Array,), {"_type_": cls, "_length_": length})
        return made[length]

    __rmul__ = __mul__

    def _complete(cls):
        if getattr(cls, "_size_", None) is None:
            raise TypeError("abstract class")
        return cls

    def _at(cls, region, offset):
        """Returns an object on existing memory."""
        object = cls.__new__(cls, _place=(region, offset))
        return object

    def from_address(cls, address):
        """C.from_address(integer) -> C instance"""
        return cls._at(*_find(address, cls._complete()._size_))

    def from_buffer(cls, source, offset=0):
        """C.from_buffer(object, offset=0) -> C instance"""
        size = cls._complete()._size_
        if isinstance(source, _CData):
            view, kept = source._view(), source
        else:
            view, kept = memoryview(source).cast("B"), None
        if view.readonly:
            raise TypeError("underlying buffer is not writable")
        _check_room(len(view), offset, size)
        if kept is not None:
            return cls._at(kept._region, kept._offset + offset)
        return cls._at(_Region(view[offset : offset + size]), 0)

    def from_buffer_copy(cls, source, offset=0):
        """C.from_buffer_copy(object, offset=0) -> C instance"""
        size = cls._complete()._size_
        view = memoryview(source).cast("B")
        _check_room(len(view), offset, size)
        return cls._at(_Region(bytearray(view[offset : offset + size])), 0)

    def in_dll(cls, library, name):
        """C.in_dll(library, name) -> C instance"""
        raise ValueError(f"symbol {name!r} not found: a guest has no native libraries")

    def from_param(cls, value):
        """Convert a Python object into a function call parameter."""
        if isinstance(value, cls):
            return value
        as_parameter = getattr(value, "_as_parameter_", None)
        if as_parameter is not None:
            return cls.from_param(as_parameter)
        raise TypeError(f"expected {cls.__name__} instance instead of {type(value).__name__}")


def _check_room(length, offset, size):
    if offset < 0:
        raise ValueError("offset cannot be negative")
    if size > length - offset:
        raise ValueError(f"Buffer size too small ({length} instead of at least {size + offset} bytes)")


class _CData(metaclass=_Type):
    """An object of a C type: its region, and the offset in it."""

    _size_ = None
    _align_of_ = 1

    def __new__(cls, *arguments, _place=None, **keywords):
        cls._complete()
        self = object.__new__(cls)
        self._region, self._offset = _place or (_Region(bytearray(cls._size_)), 0)
        return self

    def __init__(self, *arguments, **keywords):
        pass

    def _view(self):
        return memoryview(self._region.data)[self._offset : self._offset + type(self)._size_]

    def __buffer__(self, flags):
        return self._view()

    @property
    def _b_base_(self):
        return None

    @property
    def _b_needsfree_(self):
        return True

    @property
    def _objects(self):
        return self._region.kept or None

    @classmethod
    def _load(cls, region, offset):
        """Returns the value of a field or an element."""
        return cls._at(region, offset)

    @classmethod
    def _store(cls, region, offset, value):
        """Sets a field or an element."""
        if not isinstance(value, cls):
            # A structure can be set from the tuple of its initial values.
            value = cls(*value) if isinstance(value, tuple) else cls(value)
        size = cls._size_
        region.data[offset : offset + size] = value._view()
        for at, kept in value._region.kept.items():
            if value._offset <= at < value._offset + size:
                region.kept[offset + at - value._offset] = kept

    def __reduce__(self):
        raise ValueError("ctypes objects containing pointers cannot be pickled")


# Simple types


_FORMATS = dict.fromkeys("bBhHiIlLqQfd", "").keys()


class PyCSimpleType(_Type):
    """The type of the simple types."""

    def __new__(meta, name, bases, namespace, **keywords):
        cls = super().__new__(meta, name, bases, namespace, **keywords)
        code = getattr(cls, "_type_", None)
        if code is None:
            return cls
        if not isinstance(code, str) or len(code) != 1 or code not in "cbBhHiIlLqQfdg?PzZuO":
            raise AttributeError("class must define a '_type_' attribute which must be a single character string")
        if "_type_" in namespace:
            order = "=" if code in "qQ" else ""
            format = {"z": "P", "Z": "P", "O": "P", "u": "I", "g": "d", "c": "c"}.get(code, code)
            cls._format_ = order + format
            cls._size_ = struct.calcsize(format)
            cls._align_of_ = cls._size_
            if code == "g":
                # wasm32: long double has 16 bytes, of which Python uses 8.
                cls._size_ = cls._align_of_ = 16
            if code in _FORMATS and not keywords.get("swapped"):
                swapped = super().__new__(meta, name, bases, {**namespace})
                swapped._format_, swapped._size_, swapped._align_of_ = ">" + format, struct.calcsize(">" + format), cls._align_of_
                if swapped._size_ != cls._size_:
                    # The standard sizes of l and L are 4 bytes, as are wasm32's.
                    raise SystemError(f"the size of {name} depends on its order of bytes")
                cls.__ctype_be__, cls.__ctype_le__ = swapped, cls
                swapped.__ctype_be__, swapped.__ctype_le__ = swapped, cls
        return cls

    def from_param(cls, value):
        """Convert a Python object into a function call parameter."""
        if isinstance(value, cls):
            return value
        code = cls._type_
        if code in "zZP" and (value is None or isinstance(value, (int, bytes, str, _Reference, _CData))):
            return value
        if code in "zZP":
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as a pointer")
        return cls(value)


class _SimpleCData(_CData, metaclass=PyCSimpleType):
    """A simple value: a number, a character, or an address."""

    def __init__(self, value=None):
        if value is not None:
            self.value = value

    @property
    def value(self):
        """current value"""
        return type(self)._get(self._region, self._offset)

    @value.setter
    def value(self, value):
        type(self)._set(self._region, self._offset, value)

    @classmethod
    def _get(cls, region, offset):
        code = cls._type_
        if code == "O":
            if offset not in region.kept:
                raise ValueError("PyObject is NULL")
            return region.kept[offset]
        (value,) = struct.unpack_from(cls._format_, region.data, offset)
        if code in "PzZ":
            if not value:
                return None
            if code == "P":
                return value
            place = _find(value)
            return _text_at(*place) if code == "z" else _text_at(*place, unit=4).decode("utf-32-le")
        return chr(value) if code == "u" else value

    @classmethod
    def _set(cls, region, offset, value):
        code = cls._type_
        if isinstance(value, _SimpleCData) and type(value)._type_ == code:
            value = value.value
        if code == "O":
            region.kept[offset] = value
        elif code in "PzZ":
            kept = None
            if isinstance(value, (bytes, str)) and isinstance(value, bytes if code == "z" else str):
                kept, place = _place(value)
                value = _address_of(kept, place)
            elif not (value is None or isinstance(value, int)):
                if code == "P":
                    raise TypeError("cannot be converted to pointer")
                kind = "bytes" if code == "z" else "unicode string"
                raise TypeError(f"{kind} or integer address expected instead of {type(value).__name__} instance")
            _store_address(region, offset, value or 0, kept)
        elif code == "c":
            if isinstance(value, int) and 0 <= value < 256:
                value = bytes([value])
            if not isinstance(value, (bytes, bytearray)) or len(value) != 1:
                raise TypeError("one character bytes, bytearray, or an integer in range(256) expected")
            region.data[offset] = value[0]
        elif code == "u":
            if not isinstance(value, str) or len(value) != 1:
                raise TypeError(f"a unicode character expected, not instance of {type(value).__name__}")
            struct.pack_into("I", region.data, offset, ord(value))
        elif code == "?":
            region.data[offset] = bool(value)
        elif code in "fdg":
            if not isinstance(value, (int, float)):
                raise TypeError(f"must be real number, not {type(value).__name__}")
            struct.pack_into(cls._format_, region.data, offset, value)
        else:
            if not isinstance(value, int):
                raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
            size = cls._size_
            # C takes the low bytes of a number.
            low = (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "big" if cls._format_[0] == ">" else "little")
            region.data[offset : offset + size] = low

    @classmethod
    def _is_native(cls):
        # A program's own subclass is returned as an object.
        return _SimpleCData in cls.__bases__

    @classmethod
    def _load(cls, region, offset):
        return cls._get(region, offset) if cls._is_native() else cls._at(region, offset)

    @classmethod
    def _store(cls, region, offset, value):
        cls._set(region, offset, value.value if isinstance(value, cls) else value)

    def __bool__(self):
        value = self.value
        return bool(value) if not isinstance(value, bytes) or self._type_ == "z" else value != b"\0"

    def __repr__(self):
        if not type(self)._is_native():
            return object.__repr__(self)
        return f"{type(self).__name__}({self.value!r})"

    def __reduce__(self):
        if self._type_ in "PzZO":
            return super().__reduce__()
        return type(self), (self.value,)


# Arrays


class PyCArrayType(_Type):
    """The type of the array types."""

    def __new__(meta, name, bases, namespace, **keywords):
        cls = super().__new__(meta, name, bases, namespace, **keywords)
        item, length = getattr(cls, "_type_", None), getattr(cls, "_length_", None)
        if item is None and length is None:
            return cls
        if not isinstance(length, int):
            raise AttributeError("class must define a '_length_' attribute, which must be a positive integer")
        if item is None:
            raise AttributeError("class must define a '_type_' attribute")
        cls._size_ = item._complete()._size_ * length
        cls._align_of_ = item._align_of_
        code = item.__dict__.get("_type_") if isinstance(item, PyCSimpleType) else None
        if code in ("c", "u"):
            unit = item._size_
            cls.value = property(
                lambda self: _array_text(self, code, unit), lambda self, value: _set_array_text(self, code, unit, value)
            )
        if code == "c":
            cls.raw = property(lambda self: bytes(self._view()), _set_raw)
        return cls


def _array_text(self, code, unit):
    data = bytes(self._view())
    at = next((at for at in range(0, len(data), unit) if not any(data[at : at + unit])), len(data))
    return data[:at] if code == "c" else data[:at].decode("utf-32-le")


def _set_array_text(self, code, unit, value):
    kind = bytes if code == "c" else str
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} expected instead of {type(value).__name__} instance")
    data = value if code == "c" else value.encode("utf-32-le")
    if len(data) > self._size_:
        raise ValueError("byte string too long" if code == "c" else "string too long")
    self._view()[: len(data)] = data
    if len(data) < self._size_:
        self._view()[len(data) : len(data) + unit] = bytes(unit)


def _set_raw(self, value):
    data = memoryview(value).cast("B")
    if len(data) > self._size_:
        raise ValueError("byte string too long")
    self._view()[: len(data)] = data


class Array(_CData, metaclass=PyCArrayType):
    """Abstract base class for arrays."""

    def __init__(self, *values):
        if len(values) > self._length_:
            raise IndexError("invalid index")
        for at, value in enumerate(values):
            self[at] = value

    def __len__(self):
        return self._length_

    def _element(self, index):
        if not -self._length_ <= index < self._length_:
            raise IndexError("invalid index")
        return self._region, self._offset + index % self._length_ * self._type_._size_

    def __getitem__(self, index):
        if isinstance(index, slice):
            items = [self[at] for at in range(*index.indices(self._length_))]
            code = getattr(self._type_, "_type_", None)
            return b"".join(items) if code == "c" else "".join(items) if code == "u" else items
        return self._type_._load(*self._element(index))

    def __setitem__(self, index, value):
        if isinstance(index, slice):
            places = range(*index.indices(self._length_))
            if len(places) != len(value):
                raise ValueError("Can only assign sequence of same size")
            for at, item in zip(places, value):
                self[at] = item
            return
        self._type_._store(*self._element(index), value)

    def __iter__(self):
        return (self[at] for at in range(self._length_))

    @classmethod
    def _load(cls, region, offset):
        array = cls._at(region, offset)
        # C's strings are returned as such.
        return array.value if "value" in cls.__dict__ else array

    @classmethod
    def _store(cls, region, offset, value):
        if "value" in cls.__dict__ and isinstance(value, (bytes, str)):
            cls._at(region, offset).value = value
        else:
            super()._store(region, offset, value)

    def __reduce__(self):
        return type(self).from_buffer_copy, (bytes(self._view()),)


# Structures and unions


class CField:
    """A field of a structure or a union."""

    def __init__(self, *, name, type, byte_size, byte_offset, index, _internal_use, bit_size=None, bit_offset=None):
        self.name, self.type, self.byte_size, self.byte_offset = name, type, byte_size, byte_offset
        self.is_bitfield = bit_size is not None
        self.bit_size = byte_size * 8 if bit_size is None else bit_size
        self.bit_offset = bit_offset or 0
        self.is_anonymous = False
        self.offset = byte_offset
        self.size = bit_size << 16 | self.bit_offset if self.is_bitfield else byte_size

    def __get__(self, object, owner=None):
        if object is None:
            return self
        value = self.type._load(object._region, object._offset + self.byte_offset)
        if not self.is_bitfield:
            return value
        low = int(value) >> self.bit_offset & (1 << self.bit_size) - 1
        if self.type._type_ in "bhilq" and low >> self.bit_size - 1:
            low -= 1 << self.bit_size
        return bool(low) if self.type._type_ == "?" else low

    def __set__(self, object, value):
        place = object._region, object._offset + self.byte_offset
        if self.is_bitfield:
            mask = (1 << self.bit_size) - 1
            old = int(self.type._load(*place)) & ~(mask << self.bit_offset)
            value = old | (int(value) & mask) << self.bit_offset
        self.type._store(*place, value)

    def __repr__(self):
        return f"<Field type={self.type.__name__}, ofs={self.byte_offset}, size={self.byte_size}>"


class _Inner:
    """A field of an anonymous field."""

    def __init__(self, outer, inner):
        self.outer, self.inner = outer, inner

    def __get__(self, object, owner=None):
        return self if object is None else getattr(getattr(object, self.outer), self.inner)

    def __set__(self, object, value):
        setattr(getattr(object, self.outer), self.inner, value)


class _Fields(_Type):
    """The type of the types with fields."""

    _is_structure = True

    def __new__(meta, name, bases, namespace, **keywords):
        fields = namespace.pop("_fields_", None)
        cls = super().__new__(meta, name, bases, namespace, **keywords)
        base = next((base for base in bases if isinstance(base, _Fields) and base.__dict__.get("_size_") is not None), None)
        if base is not None:
            cls._size_, cls._align_of_ = base._size_, base._align_of_
        elif name not in ("Structure", "Union"):
            cls._size_ = 0
        type.__setattr__(cls, "_final_", False)
        if fields is not None:
            cls._fields_ = fields
        return cls

    def __setattr__(cls, name, value):
        if name != "_fields_":
            super().__setattr__(name, value)
            return
        if "_fields_" in cls.__dict__:
            raise AttributeError("_fields_ is final")
        from ctypes._layout import get_layout

        value = list(value)
        for field in value:
            if not isinstance(field[0], str):
                raise TypeError("_fields_ must be a sequence of pairs")
        base = next((base for base in cls.__bases__ if isinstance(base, _Fields) and base.__dict__.get("_size_") and base._size_), None)
        layout = get_layout(cls, value, type(cls)._is_structure, base)
        cls._size_, cls._align_of_ = layout.size, layout.align
        for field in layout.fields:
            type.__setattr__(cls, field.name, field)
        for outer in getattr(cls, "_anonymous_", ()):
            cls.__dict__[outer].is_anonymous = True
            for inner in cls.__dict__[outer].type._names():
                if inner not in cls.__dict__:
                    type.__setattr__(cls, inner, _Inner(outer, inner))
        type.__setattr__(cls, "_fields_", value)

    def _names(cls):
        """Returns the names of all fields, those of base classes first."""
        return [field[0] for base in reversed(cls.__mro__) for field in base.__dict__.get("_fields_", ())]


class PyCStructType(_Fields):
    """The type of the structure types."""


class UnionType(_Fields):
    """The type of the union types."""

    _is_structure = False


class _WithFields(_CData):
    def __init__(self, *values, **named):
        names = type(self)._names()
        if len(values) > len(names):
            raise TypeError("too many initializers")
        for name, value in zip(names, values):
            if name in named:
                raise TypeError(f"duplicate values for field {name!r}")
            setattr(self, name, value)
        for name, value in named.items():
            setattr(self, name, value)

    def __reduce__(self):
        return type(self).from_buffer_copy, (bytes(self._view()),)


class Structure(_WithFields, metaclass=PyCStructType):
    """Structure base class"""


class Union(_WithFields, metaclass=UnionType):
    """Union base class"""


# Pointers


class PyCPointerType(_Type):
    """The type of the pointer types."""

    def __new__(meta, name, bases, namespace, **keywords):
        cls = super().__new__(meta, name, bases, namespace, **keywords)
        cls._size_ = cls._align_of_ = _POINTER_SIZE
        target = namespace.get("_type_")
        if target is not None:
            cls.set_type(target)
        return cls

    def set_type(cls, target, /):
        """Set the type that the pointer points to."""
        type.__setattr__(cls, "_type_", target)
        if "__pointer_type__" not in target.__dict__:
            type.__setattr__(target, "__pointer_type__", cls)

    def from_param(cls, value):
        """Convert a Python object into a function call parameter."""
        if value is None or isinstance(value, (cls, _Reference)):
            return value
        if isinstance(value, Array) and issubclass(value._type_, cls._type_):
            return value
        return super().from_param(value)


class _Pointer(_CData, metaclass=PyCPointerType):
    """The base class for pointers."""

    def __init__(self, target=None):
        if target is not None:
            self.contents = target

    @property
    def contents(self):
        """the object this pointer points to (read-write)"""
        address = _load_address(self._region, self._offset)
        if not address:
            raise ValueError("NULL pointer access")
        return self._type_._at(*_find(address, self._type_._size_))

    @contents.setter
    def contents(self, target):
        if not isinstance(target, self._type_):
            raise TypeError(f"expected {self._type_.__name__} instead of {type(target).__name__}")
        _store_address(self._region, self._offset, addressof(target), target._region)

    def _element(self, index):
        address = _load_address(self._region, self._offset)
        if not address:
            raise ValueError("NULL pointer access")
        return _find(address + index * self._type_._size_, self._type_._size_)

    def __getitem__(self, index):
        if isinstance(index, slice):
            if index.stop is None or index.start is None and (index.step or 1) < 0:
                raise ValueError("slice stop is required")
            items = [self[at] for at in range(index.start or 0, index.stop, index.step or 1)]
            code = getattr(self._type_, "_type_", None)
            return b"".join(items) if code == "c" else "".join(items) if code == "u" else items
        return self._type_._load(*self._element(index))

    def __setitem__(self, index, value):
        self._type_._store(*self._element(index), value)

    def __bool__(self):
        return _load_address(self._region, self._offset) != 0

    @classmethod
    def _store(cls, region, offset, value):
        if value is None:
            _store_address(region, offset, 0)
        elif isinstance(value, Array) and issubclass(value._type_, cls._type_):
            _store_address(region, offset, addressof(value), value._region)
        elif isinstance(value, cls):
            kept = value._region.kept.get(value._offset)
            _store_address(region, offset, _load_address(value._region, value._offset), kept)
        else:
            raise TypeError(f"incompatible types, {type(value).__name__} instance instead of {cls.__name__} instance")


class _Reference:
    """The result of byref()."""

    def __init__(self, of, offset):
        self.of, self.offset = of, offset
        self._obj = of

    def __repr__(self):
        return f"<cparam 'P' ({_address_of(self.of._region, self.of._offset + self.offset):#x})>"


# Functions


class PyCFuncPtrType(_Type):
    """The type of the function types."""


class CFuncPtr(_CData, metaclass=PyCFuncPtrType):
    """A function: one of Python, or one of `_sandsock_libc`."""

    _size_ = _align_of_ = _POINTER_SIZE

    def __init__(self, target=None, *flags):
        self._target = None
        self.argtypes = getattr(type(self), "_argtypes_", None)
        self.restype = getattr(type(self), "_restype_", None)
        self.errcheck = None
        if isinstance(target, tuple):
            name, library = target
            self._target = _library_function(name, library)
        elif callable(target):
            self._target = target
        elif target is not None and not isinstance(target, int):
            raise TypeError("argument must be callable or integer function address")

    def __bool__(self):
        return self._target is not None

    def __call__(self, *arguments, **keywords):
        if self._target is None:
            raise ValueError("there is no native function at this address: a guest has no native code")
        result = self._target(*arguments)
        return self.errcheck(result, self, arguments) if self.errcheck else result


def _library_function(name, library):
    from _sandsock_libc import FUNCTIONS

    function = FUNCTIONS.get(name)
    if function is None:
        raise AttributeError(f"function {name!r} not found: a guest has no native libraries")
    return function


def dlopen(name, flag=RTLD_LOCAL, /):
    """Open a library. There is none but the program itself."""
    if name is None:
        return 0
    raise OSError(f"{name}: a guest can't load native libraries")


def dlsym(handle, name, /):
    """Find a symbol in a library."""
    raise OSError(f"{name}: a guest has no native libraries")


def dlclose(handle, /):
    """Close a library."""


_errno = 0


def get_errno():
    """Return ctypes' copy of errno."""
    return _errno


def set_errno(value, /):
    """Set ctypes' copy of errno, and return the former value."""
    global _errno
    old, _errno = _errno, int(value)
    return old


def _type_of(object_or_type):
    cls = object_or_type if isinstance(object_or_type, type) else type(object_or_type)
    if not isinstance(cls, _Type):
        raise TypeError("this type has no size")
    return cls._complete()


def sizeof(object_or_type, /):
    """Return the size in bytes of a C instance or a type."""
    if isinstance(object_or_type, _CData) and object_or_type._offset == 0 and "_resized" in object_or_type.__dict__:
        return object_or_type._resized
    return _type_of(object_or_type)._size_


def alignment(object_or_type, /):
    """Return the alignment requirements of a C instance or a type."""
    return _type_of(object_or_type)._align_of_


def addressof(object, /):
    """Return the address of the C instance internal buffer."""
    if not isinstance(object, _CData):
        raise TypeError("invalid type")
    return _address_of(object._region, object._offset)


def byref(object, offset=0, /):
    """Return a pointer lookalike to a C instance, only usable as function argument."""
    if not isinstance(object, _CData):
        raise TypeError(f"byref() argument must be a ctypes instance, not '{type(object).__name__}'")
    return _Reference(object, offset)


def resize(object, size, /):
    """Resize the memory of a C instance."""
    if size < type(object)._size_:
        raise ValueError(f"minimum size is {type(object)._size_}")
    data = object._region.data
    if object._offset or not isinstance(data, bytearray) or object._region.address is not None:
        raise ValueError("Memory cannot be resized because this object doesn't own it")
    data.extend(bytes(max(0, size - len(data))))
    object._resized = size


def buffer_info(object_or_type, /):
    """Return the format, the number of dimensions and the shape of the buffer of a type."""
    cls = _type_of(object_or_type)
    shape = []
    while isinstance(cls, PyCArrayType):
        shape.append(cls._length_)
        cls = cls._type_
    if isinstance(cls, PyCSimpleType):
        order = ">" if cls._format_[0] == ">" else "<"
        return order + cls._type_, len(shape), tuple(shape)
    return ("&B" if isinstance(cls, PyCPointerType) else "B"), len(shape), tuple(shape)


# What `ctypes` makes functions of


def _memmove_addr(destination, source, count):
    region, offset = _place(destination, count)
    other, start = _place(source, count)
    region.data[offset : offset + count] = bytes(other.data[start : start + count])
    return destination


def _memset_addr(destination, byte, count):
    region, offset = _place(destination, count)
    region.data[offset : offset + count] = bytes([byte & 255]) * count
    return destination


def _string_at_addr(pointer, size):
    return _text_at(*_place(pointer, max(size, 0)), size)


def _wstring_at_addr(pointer, size):
    return _text_at(*_place(pointer, max(size, 0) * 4), size, 4).decode("utf-32-le")


def _memoryview_at_addr(pointer, size, readonly):
    region, offset = _place(pointer, size)
    view = memoryview(region.data)[offset : offset + size]
    return view.toreadonly() if readonly else view


def _cast_addr(object, _, cls):
    if not (isinstance(cls, (PyCPointerType, PyCFuncPtrType)) or isinstance(cls, PyCSimpleType) and cls._type_ in "PzZ"):
        raise TypeError("cast() argument 2 must be a pointer, not " + getattr(cls, "__name__", str(cls)))
    result = cls()
    if object is None:
        return result
    if isinstance(object, int):
        kept, address = None, object
    else:
        if isinstance(object, (_Pointer, _SimpleCData)) and getattr(object, "_type_", None) not in (None, "O"):
            address = _load_address(object._region, object._offset)
            kept = object._region.kept.get(object._offset)
        else:
            kept, offset = _place(object)
            address = _address_of(kept, offset)
    _store_address(result._region, result._offset, address, kept)
    return result
