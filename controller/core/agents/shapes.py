"""Typed decoding of foreign JSON that keeps what can be kept: a wrong field costs itself, not its line.

Never raises, and never decides what a field means.
"""

import re
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

T = TypeVar("T", bound=Struct)

# ValueError covers MsgspecError and UnicodeDecodeError; RecursionError is what deep nesting gives.
BAD: Final = (ValueError, RecursionError)

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ARRAY: Final = msgspec.json.Decoder(list[Raw])
_NOTHING: Final = object()

# What looks like the escape of a pair of surrogates, or of one.
_SURROGATE: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[89a-fA-F][0-9a-fA-F]{2})"
)


class Reader(Generic[T]):
    """Decodes objects of one shape. Every field of the shape needs a default."""

    def __init__(self, shape: type[T]) -> None:
        self._shape = shape
        self._decoder = msgspec.json.Decoder(shape)

    def read(self, line: bytes | Raw) -> tuple[T | None, bool]:
        """The object and whether anything about it is odd. None: it is no JSON object."""
        try:
            return self._decoder.decode(line), False
        except BAD:
            return self._repair(bytes(line))

    def quick(self, line: bytes) -> T | None:
        """The object, if nothing about it is odd. None: it is none, or has to be looked at with more care."""
        try:
            return self._decoder.decode(line)
        except BAD:
            return None

    def _repair(self, line: bytes) -> tuple[T | None, bool]:
        if line.lstrip()[:1] != b"{":
            return None, True
        text, odd = mended(line)
        try:
            return self._decoder.decode(text), odd
        except BAD:
            return _salvaged(self._shape, text), True


def mended(line: bytes) -> tuple[bytes, bool]:
    """`line` with invalid UTF-8 and lone surrogates replaced, and whether its UTF-8 was invalid.

    A lone surrogate is not odd: JavaScript writes one whenever it cuts a text inside an emoji.
    """
    text = line.decode("utf-8", "replace").encode()
    return _SURROGATE.sub(_paired, text), text != line


def _paired(found: re.Match[bytes]) -> bytes:
    """What stands for a find of _SURROGATE: a pair as it is, a lone one as U+FFFD."""
    text, at = found.string, found.start()
    while at and text[at - 1] == ord("\\"):
        at -= 1
    literal = (found.start() - at) % 2 == 1
    pair = len(found[0]) == 12
    if literal:
        # The first backslash is itself escaped: no escape begins there, so a second one stands alone.
        return found[0][:6] + (rb"\ufffd" if pair else b"")
    return found[0] if pair else rb"\ufffd"


def _salvaged(shape: type[T], raw: bytes | Raw) -> T | None:
    try:
        present = _OBJECT.decode(raw)
    except BAD:
        return None
    kept = {}
    for field in msgspec.structs.fields(shape):
        part = present.get(field.encode_name)
        if part is not None and (value := _best(field.type, part)) is not _NOTHING:
            kept[field.name] = value
    return shape(**kept)


def _best(wanted: Any, raw: Raw) -> Any:
    """`raw` as a value of type `wanted`, or of what of it can be had, or _NOTHING."""
    try:
        return msgspec.json.decode(raw, type=wanted)
    except BAD:
        choices = get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)
        options = (_part(choice, raw) for choice in choices)
        return next((value for value in options if value is not _NOTHING), _NOTHING)


def _part(wanted: Any, raw: Raw) -> Any:
    try:
        if isinstance(wanted, type) and issubclass(wanted, Struct):
            found = _salvaged(wanted, raw)
            return _NOTHING if found is None else found
        if get_origin(wanted) is list:
            values = [_best(get_args(wanted)[0], item) for item in _ARRAY.decode(raw)]
            return [value for value in values if value is not _NOTHING]
        if get_origin(wanted) is dict:
            pairs = {key: _best(get_args(wanted)[1], item) for key, item in _OBJECT.decode(raw).items()}
            return {key: value for key, value in pairs.items() if value is not _NOTHING}
    except BAD:
        pass
    return _NOTHING
