"""Outlook items: MSG, a mail as MAPI properties in a compound file (MS-OXMSG in MS-CFB)."""

import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parseaddr

from rendering.plain_text import typed
from rendering.sources import Source

SECTOR, MINI_SECTOR, MINI_LIMIT, ENTRY_SIZE = 512, 64, 4096, 128
FREE, END, FAT_SECTOR, NOTHING = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
ROOT, STORAGE, STREAM = 5, 1, 2
UNICODE_TEXT, LONG, MOMENT, BINARY = 0x001F, 0x0003, 0x0040, 0x0102
MESSAGE_CLASS_ID = bytes.fromhex("0b0d020000000000c000000000000046")
FILETIME_ORIGIN = datetime(1601, 1, 1, tzinfo=UTC)
READABLE_AND_WRITABLE = 6


@dataclass
class Folder:
    """A storage of the compound file: streams and folders by name."""

    streams: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, "Folder"] = field(default_factory=dict)


@dataclass
class Entry:
    """One line of the directory while it is being built."""

    name: str
    kind: int
    content: bytes = b""
    child: int = NOTHING
    left: int = NOTHING
    right: int = NOTHING
    start: int = END


def msg(source: Source) -> bytes:
    """The mail as Outlook saves it: subject, plain body, sender, one recipient, and the moment it was sent."""
    sender, sender_address = parseaddr(source.front["from"])
    receiver, receiver_address = parseaddr(source.front["to"])
    texts = {
        0x001A: "IPM.Note",
        0x0037: source.title,
        0x0E1D: source.title,
        0x0070: source.title,
        0x1000: typed(source).replace("\n", "\r\n"),
        0x0C1A: sender,
        0x0C1F: sender_address,
        0x0C1E: "SMTP",
        0x0042: sender,
        0x0065: sender_address,
        0x0064: "SMTP",
        0x5D01: sender_address,
        0x0E04: receiver or receiver_address,
        0x1035: f"<{source.moment:%Y%m%d}.{source.name}@mail.example>",
    }
    numbers = {0x0E07: 1, 0x340D: 0x00040000, 0x3FDE: 65001}
    root = _properties(texts, numbers, source.moment, header=struct.pack("<8x4I8x", 1, 0, 1, 0))
    address = {0x3001: receiver or receiver_address, 0x3002: "SMTP", 0x3003: receiver_address, 0x39FE: receiver_address}
    recipient = _properties(address, {0x0C15: 1, 0x3000: 0}, None, header=bytes(8))
    names = Folder({"__substg1.0_00020102": b"", "__substg1.0_00030102": b"", "__substg1.0_00040102": b""})
    root.folders = {"__nameid_version1.0": names, "__recip_version1.0_#00000000": recipient}
    return compound_file(root)


def compound_file(root: Folder) -> bytes:
    """The folder as an OLE compound file of version 3."""
    entries = [Entry("Root Entry", ROOT)]
    entries[0].child = _enter(root, entries)
    mini, mini_chain = _packed([entry for entry in entries if 0 < len(entry.content) < MINI_LIMIT], MINI_SECTOR)
    entries[0].content = mini
    large = [entry for entry in entries if len(entry.content) >= MINI_LIMIT or (entry.kind == ROOT and mini)]
    data, chain = _packed(large, SECTOR)
    directory_start = len(chain)
    directory = b"".join(map(_directory_entry, entries))
    directory += _directory_entry(Entry("", 0)) * (-len(entries) % (SECTOR // ENTRY_SIZE))
    chain += _run(directory_start, len(directory) // SECTOR)
    mini_table = _table(mini_chain)
    mini_table_start = len(chain)
    chain += _run(mini_table_start, len(mini_table) // SECTOR)
    # The table lists its own sectors too, so its size is found by growing it until it fits.
    tables = 1
    while (len(chain) + tables) * 4 > tables * SECTOR:
        tables += 1
    table_start = len(chain)
    table = _table(chain + [FAT_SECTOR] * tables)
    header = struct.pack(
        "<8s16x5H6x9I",
        bytes.fromhex("d0cf11e0a1b11ae1"),
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, tables, directory_start, 0, MINI_LIMIT, mini_table_start, len(mini_table) // SECTOR, END, 0),
    )
    locations = [*range(table_start, table_start + tables)]
    header += struct.pack("<109I", *locations, *[FREE] * (109 - tables))
    return header + data + directory + mini_table + table


def _properties(texts: dict[int, str], numbers: dict[int, int], moment: datetime | None, *, header: bytes) -> Folder:
    streams, rows = {}, []
    for tag, text in sorted(texts.items()):
        content = text.encode("utf-16-le")
        streams[f"__substg1.0_{tag:04X}{UNICODE_TEXT:04X}"] = content
        rows.append(_row(tag, UNICODE_TEXT, struct.pack("<II", len(content) + 2, 0)))
    rows += [_row(tag, LONG, struct.pack("<II", number, 0)) for tag, number in sorted(numbers.items())]
    if moment:
        ticks = int((moment - FILETIME_ORIGIN).total_seconds()) * 10_000_000
        rows += [_row(tag, MOMENT, struct.pack("<Q", ticks)) for tag in (0x0039, 0x0E06, 0x3007, 0x3008)]
    streams["__properties_version1.0"] = header + b"".join(rows)
    return Folder(streams)


def _row(tag: int, kind: int, value: bytes) -> bytes:
    return struct.pack("<HHI", kind, tag, READABLE_AND_WRITABLE) + value


def _enter(folder: Folder, entries: list[Entry]) -> int:
    """Appends the content of `folder` to the directory and gives the root of its tree of siblings."""
    members: list[tuple[str, Folder | bytes]] = [*folder.streams.items(), *folder.folders.items()]
    members.sort(key=lambda member: (len(member[0]), member[0].upper()))
    first = len(entries)
    for name, member in members:
        entries.append(Entry(name, STREAM, member) if isinstance(member, bytes) else Entry(name, STORAGE))
    for index, (_, member) in enumerate(members, first):
        if isinstance(member, Folder):
            entries[index].child = _enter(member, entries)
    return _balanced(entries, first, first + len(members))


def _balanced(entries: list[Entry], first: int, end: int) -> int:
    if first >= end:
        return NOTHING
    middle = (first + end) // 2
    entries[middle].left = _balanced(entries, first, middle)
    entries[middle].right = _balanced(entries, middle + 1, end)
    return middle


def _packed(entries: list[Entry], sector: int) -> tuple[bytes, list[int]]:
    """The contents laid end to end in whole sectors, and the chain that leads through them."""
    data = b""
    chain: list[int] = []
    for entry in entries:
        entry.start = len(chain)
        padded = entry.content + bytes(-len(entry.content) % sector)
        chain += _run(entry.start, len(padded) // sector)
        data += padded
    return data, chain


def _run(start: int, sectors: int) -> list[int]:
    return [*range(start + 1, start + sectors), END] if sectors else []


def _table(chain: list[int]) -> bytes:
    free = [FREE] * (-len(chain) % (SECTOR // 4))
    return struct.pack(f"<{len(chain) + len(free)}I", *chain, *free)


def _directory_entry(entry: Entry) -> bytes:
    name = entry.name.encode("utf-16-le")
    class_id = MESSAGE_CLASS_ID if entry.kind == ROOT else bytes(16)
    start = 0 if entry.kind in (0, STORAGE) else entry.start
    return (
        name.ljust(64, b"\0")
        + struct.pack("<HBB3I", len(name) + 2 if name else 0, entry.kind, 1, entry.left, entry.right, entry.child)
        + class_id
        + struct.pack("<I8x8xIQ", 0, start, len(entry.content))
    )
