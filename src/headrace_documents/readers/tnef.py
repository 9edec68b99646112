"""winmail.dat, in which Outlook wraps what it sends to others ([MS-OXTNEF]): what is attached, and the body."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace_documents.readers.encodings import decoded

KINDS = {"application/ms-tnef", "application/vnd.ms-tnef"}
_SIGNATURE = b"\x78\x9f\x3e\x22"
_HEAD, _LEVEL_OF_ATTACHMENTS = 6, 2
_BEGIN, _TITLE, _PROPERTIES, _OWN_PROPERTIES, _BODY = 0x9002, 0x8010, 0x9005, 0x9003, 0x800C
_LONG_NAME, _RTF, _PLAIN = 0x3707, 0x1009, 0x1000
_SIZES = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_STRING, _WIDE, _OF_ANY_SIZE, _SEVERAL = 0x1E, 0x1F, {0x0D, 0x1E, 0x1F, 0x102}, 0x1000
_NAMED = 0x8000


@dataclass(slots=True)
class Wrapped:
    """What a winmail.dat holds: names of attachments, the body as plain text, and as compressed RTF."""

    names: list[str] = field(default_factory=list)
    plain: str = ""
    formatted: bytes = b""


def unwrapped(content: bytes) -> Wrapped:
    """What is told by `content`, as far as it goes; nothing when it is no winmail.dat."""
    found = Wrapped()
    for level, number, data in _attributes(content):
        if level == _LEVEL_OF_ATTACHMENTS and number == _BEGIN:
            found.names.append("unnamed")
        elif level == _LEVEL_OF_ATTACHMENTS and found.names:
            long = dict(_properties(data)).get(_LONG_NAME) if number == _PROPERTIES else None
            short = _text(_STRING, data) if number == _TITLE else ""
            found.names[-1] = " ".join(_text(*long).split() if long else short.split()) or found.names[-1]
        elif number == _BODY:
            found.plain = _text(_STRING, data)
        elif number == _OWN_PROPERTIES:
            own = dict(_properties(data))
            found.plain = _text(*own[_PLAIN]) if _PLAIN in own else found.plain
            found.formatted = own[_RTF][1] if _RTF in own else found.formatted
    return found


def _attributes(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The level, the number and the data of each attribute; the last may be cut off."""
    position = _HEAD if content.startswith(_SIGNATURE) else len(content)
    while position + 9 <= len(content):
        level, number, _, size = struct.unpack_from("<BHHI", content, position)
        yield level, number, content[position + 9 : position + 9 + size]
        position += 9 + size + 2


def _properties(data: bytes) -> Iterator[tuple[int, tuple[int, bytes]]]:
    """The properties in `data`, each with its number, its kind and the first of its values, until one is not known."""
    position = 4
    try:
        while position + 4 <= len(data):
            kind, number = struct.unpack_from("<HH", data, position)
            position += 4
            if number >= _NAMED:
                is_name, size = struct.unpack_from("<II", data, position + 16)
                position += 24 + (_padded(size) if is_name else 0)
            base = kind & ~_SEVERAL
            count = 1
            if base in _OF_ANY_SIZE or kind & _SEVERAL:
                (count,) = struct.unpack_from("<I", data, position)
                position += 4
            value: bytes | None = None
            for _ in range(min(count, len(data))):
                size = _SIZES.get(base, 0)
                if base in _OF_ANY_SIZE:
                    (size,) = struct.unpack_from("<I", data, position)
                    position += 4
                value = data[position : position + size] if value is None else value
                position += _padded(size)
                if not size or position > len(data):
                    break
            yield number, (base, value or b"")
            if base not in _OF_ANY_SIZE and base not in _SIZES:
                return
    except struct.error:
        return


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4


def _text(kind: int, data: bytes) -> str:
    text = data.decode("utf-16-le", errors="replace") if kind == _WIDE else decoded(data.rstrip(b"\0"))
    return text.rstrip("\0")
