"""Word 97 files built by hand: a compound file of two streams, with the properties of characters and paragraphs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

SECTOR = 512
_FREE, _LAST, _TABLE_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_TEXT_AT = 0x800

HIDDEN, DELETED = b"\x3c\x08\x01", b"\x00\x08\x01"
IN_TABLE, ROW = b"\x16\x24\x01", b"\x16\x24\x01\x17\x24\x01"
INNER_CELL, INNER_ROW = b"\x16\x24\x01\x4b\x24\x01", b"\x16\x24\x01\x4c\x24\x01"

Paragraph = tuple[Sequence[tuple[str, bytes]], bytes]
"""Its runs, the last of which holds its mark, each with what is set for it; and what is set for all of it."""


def plain(text: str, settings: bytes = b"") -> Paragraph:
    """A paragraph of one run."""
    return [(text, b"")], settings


def word97(
    body: Sequence[Paragraph],
    *,
    notes: Sequence[Paragraph] = (),
    furniture: Sequence[Sequence[Paragraph]] = (),
    remarks: Sequence[Paragraph] = (),
    styles: Sequence[bytes] = (),
    styled: Mapping[int, int] | None = None,
) -> bytes:
    """A DOC; `furniture` has for each section six stories: even and odd header, even and odd footer, first of both.

    `styled` tells by their numbers which paragraphs have another of the `styles` than the first.
    """
    separators: list[Sequence[Paragraph]] = [[]] * 6 if furniture else []
    stories = [*separators, *furniture]
    parts = [body, notes, [each for story in stories for each in story], [], remarks]
    every = [paragraph for part in parts for paragraph in part]
    text = "".join(run for runs, _ in every for run, _ in runs)
    bounds = [0]
    for story in stories:
        bounds.append(bounds[-1] + _length(story))
    pages = (_TEXT_AT + 2 * _length(every) + SECTOR - 1) // SECTOR
    runs = [run for paragraph in every for run in paragraph[0]]
    of = styled or {}
    settings = [
        (sum(map(_units, (run for run, _ in each[0]))), struct.pack("<H", of.get(number, 0)) + each[1])
        for number, each in enumerate(every)
    ]
    table = bytearray()
    header = bytearray(_TEXT_AT)
    struct.pack_into("<HH", header, 0, 0xA5EC, 0xC1)
    struct.pack_into("<H", header, 0x0A, 0x0200)
    struct.pack_into("<8i", header, 0x4C, *(_length(part) for part in parts), 0, 0, 0)
    end = _TEXT_AT + 2 * _length(every)
    piece = struct.pack("<IIHIH", 0, _length(every), 0, _TEXT_AT, 0)
    listed = {
        0x00A2: _style_sheet(styles),
        0x00F2: struct.pack(f"<{len(bounds) + 1}i", *bounds, bounds[-1]) if stories else b"",
        0x00FA: struct.pack("<III", _TEXT_AT, end, pages),
        0x0102: struct.pack("<III", _TEXT_AT, end, pages + 1),
        0x01A2: b"\x02" + struct.pack("<I", len(piece)) + piece,
    }
    for place, data in listed.items():
        struct.pack_into("<II", header, place, len(table), len(data))
        table += data
    stream = bytes(header) + text.encode("utf-16-le")
    stream = stream.ljust(pages * SECTOR, b"\0")
    stream += _page([(_units(run), modifiers) for run, modifiers in runs], step=1)
    stream += _page(settings, step=13)
    return compound({"WordDocument": stream, "1Table": bytes(table)})


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _length(paragraphs: Iterable[Paragraph]) -> int:
    return sum(_units(run) for runs, _ in paragraphs for run, _ in runs)


def _page(runs: Sequence[tuple[int, bytes]], *, step: int) -> bytes:
    """One page of properties: those of characters take a step of 1, those of paragraphs one of 13 ([MS-DOC] 2.9.33)."""
    page = bytearray(SECTOR)
    positions = [_TEXT_AT]
    end = SECTOR - 2
    for number, (size, modifiers) in enumerate(runs):
        positions.append(positions[-1] + 2 * size)
        if modifiers.strip(b"\0"):
            data = modifiers
            data += b"\0" * (step > 1 and len(data) % 2 == 0)
            data = bytes([len(data) if step == 1 else (len(data) + 1) // 2]) + data
            end = (end - len(data)) // 2 * 2
            page[end : end + len(data)] = data
            page[4 * (len(runs) + 1) + number * step] = end // 2
    assert 4 * (len(runs) + 1) + len(runs) * step <= end, "more paragraphs than a page holds"
    struct.pack_into(f"<{len(positions)}I", page, 0, *positions)
    page[-1] = len(runs)
    return bytes(page)


def style(name: str, settings: bytes, *, base: int = 0xFFF, is_paragraph: bool = True) -> bytes:
    """A named style whose characters have these settings ([MS-DOC] 2.9.260)."""
    kind, parts = (1, [b"\0\0", settings]) if is_paragraph else (2, [settings])
    head = struct.pack("<HHHHH", 0x0FFE, kind | base << 4, len(parts), 0, 0)
    written = head + struct.pack("<H", len(name)) + name.encode("utf-16-le") + b"\0\0"
    for part in parts:
        written += struct.pack("<H", len(part)) + part + b"\0" * (len(part) % 2)
    return written


def _style_sheet(styles: Sequence[bytes]) -> bytes:
    if not styles:
        return b""
    head = struct.pack("<HHHHHHHHH", len(styles), 10, 0, 0, 0, 0, 0, 0, 0)
    return struct.pack("<H", len(head)) + head + b"".join(struct.pack("<H", len(each)) + each for each in styles)


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file ([MS-CFB]) of some streams, each long enough to have sectors of its own."""
    contents = [data.ljust(4096, b"\0") for data in streams.values()]
    sizes = [-(-len(data) // SECTOR) for data in contents]
    directories = -(-(len(streams) + 1) // 4)
    table = 1
    while table * 128 < table + directories + sum(sizes):
        table += 1
    chain = [_TABLE_SECTOR] * table
    for size in (directories, *sizes):
        chain += [*range(len(chain) + 1, len(chain) + size), _LAST]
    chain += [_FREE] * (table * 128 - len(chain))
    entries = [_entry("Root Entry", kind=5, child=1, sibling=_FREE, start=_LAST, size=0)]
    start = table + directories
    for number, (name, data, size) in enumerate(zip(streams, contents, sizes, strict=True), 1):
        sibling = number + 1 if number < len(streams) else _FREE
        entries.append(_entry(name, kind=2, child=_FREE, sibling=sibling, start=start, size=len(data)))
        start += size
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<HHHHH6xIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, table, table, 0)
    header += struct.pack("<IIIII", 4096, _LAST, 0, _LAST, 0)
    header += struct.pack("<109I", *range(table), *[_FREE] * (109 - table))
    body = struct.pack(f"<{len(chain)}I", *chain) + b"".join(entries).ljust(directories * SECTOR, b"\0")
    return header + body + b"".join(data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0") for data in contents)


def _entry(name: str, *, kind: int, child: int, sibling: int, start: int, size: int) -> bytes:
    written = name.encode("utf-16-le") + b"\0\0"
    entry = written.ljust(64, b"\0") + struct.pack("<HBBIII", len(written), kind, 1, _FREE, sibling, child)
    return entry + bytes(36) + struct.pack("<IQ", start, size)
