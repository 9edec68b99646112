"""Zip containers and XML parts, opened only after their claims were checked."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any, cast

from lxml import etree

from headrace import TooLarge, Unreadable
from headrace_documents.readers.reader import Limits

ENCRYPTED = "It is encrypted."
DECRYPT = "Save it without a password and send it again."
_LOCAL = b"PK\x03\x04"


def opened(content: bytes, limits: Limits) -> zipfile.ZipFile:
    """The container in `content`, with members, sizes and ratios within `limits`.

    Raises:
        TooLarge: what it claims to unpack to is over a limit.
        Unreadable: it is encrypted or no container.
    """
    try:
        container = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable(f"The container is damaged: {error}.", remedy="Save it anew.") from error
    members = container.infolist()
    limits.check("members", len(members), limits.members)
    limits.check("bytes unpacked", sum(member.file_size for member in members), limits.unpacked_bytes)
    for member in members:
        # Small members may shrink a lot: a blank page of XML does, and harms nobody.
        ratio = member.file_size / max(member.compress_size, 1)
        if ratio > limits.ratio and member.file_size > 1 << 20:
            raise TooLarge(
                f"Its member {member.filename[:80]!r} unpacks to {ratio:,.0f} times its size, "
                f"and at most {limits.ratio} times is read.",
                remedy="It looks like a zip bomb; save the document anew if it is not.",
            )
        if member.flag_bits & 1:
            raise Unreadable(ENCRYPTED, remedy=DECRYPT)
    return container


def member(container: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one member, never more than its header claims; raises `Unreadable` when it lacks or is damaged."""
    try:
        claimed = container.getinfo(name).file_size
        with container.open(name) as stream:
            data = stream.read(claimed + 1)
    except KeyError as error:
        raise Unreadable(f"Its part {name!r} is missing.", remedy="Save it anew.") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unreadable(f"Its part {name[:80]!r} is damaged: {error}.", remedy="Save it anew.") from error
    if len(data) > claimed:
        raise Unreadable(f"Its part {name[:80]!r} is larger than it claims.", remedy="Save it anew.")
    return data


def names(container: zipfile.ZipFile) -> set[str]:
    """The names of all members."""
    return set(container.namelist())


def parsed(data: bytes, limits: Limits) -> etree._Element:
    """The root of an XML part, without entities, external files or nesting beyond the limit."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=True, remove_comments=True
    )
    _check_depth(data, limits)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"A part is no XML: {error}.", remedy="Save it anew.") from error
    if root is None:
        raise Unreadable("A part of it is empty.", remedy="Save it anew.")
    return root


def _check_depth(data: bytes, limits: Limits) -> None:
    if b"<!ENTITY" in data:
        raise Unreadable("It defines XML entities, which no office program does.", remedy="Save it anew.")
    depth = deepest = 0
    reader = etree.XMLPullParser(events=("start", "end"), resolve_entities=False, no_network=True, huge_tree=True)
    for position in range(0, len(data), 1 << 16):
        try:
            reader.feed(data[position : position + (1 << 16)])
        except etree.XMLSyntaxError:
            return
        for event, element in reader.read_events():
            depth += 1 if event == "start" else -1
            deepest = max(deepest, depth)
            if event == "end":
                cast("Any", element).clear()
        limits.check("levels of XML", deepest, limits.xml_depth)


def repaired(content: bytes, limits: Limits) -> bytes | None:
    """A new container of the members that can be read from one whose end or directory is damaged; None if none can.

    Members are found by their local headers, one after the other; the last may be cut off, and is then kept as far
    as it goes.
    """
    kept: dict[str, bytes] = {}
    total, position = 0, content.find(_LOCAL)
    while 0 <= position <= len(content) - 30 and len(kept) < limits.members:
        flags, method, _, _, _, packed, _, name_size, extra_size = struct.unpack_from(
            "<HHHHIIIHH", content, position + 6
        )
        start = position + 30 + name_size + extra_size
        name = content[position + 30 : position + 30 + name_size].decode("utf-8", errors="replace")
        data, end = b"", start
        if flags & 1 == 0 and method == zipfile.ZIP_DEFLATED:
            data, end = _inflated(memoryview(content)[start:], limits.unpacked_bytes - total)
            end += start
        elif flags & 1 == 0 and method == zipfile.ZIP_STORED:
            data, end = content[start : start + packed], start + packed
        total += len(data)
        if data and name:
            kept.setdefault(name, data)
        # Going on behind what was read keeps the whole search linear, whatever is hidden inside a member.
        position = content.find(_LOCAL, max(end, position + 4))
    if not kept:
        return None
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as container:
        for name, data in kept.items():
            container.writestr(name, data)
    return whole.getvalue()


def _inflated(packed: memoryview, limit: int) -> tuple[bytes, int]:
    """What a deflated stretch holds, as far as it can be read and within `limit` bytes; and where it ends."""
    stream = zlib.decompressobj(-15)
    pieces: list[bytes] = []
    size = fed = 0
    while fed < len(packed) and size < limit and not stream.eof:
        try:
            piece = stream.decompress(stream.unconsumed_tail + packed[fed : fed + (1 << 16)], limit - size)
        except zlib.error:
            break
        fed = min(fed + (1 << 16), len(packed))
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces), fed - len(stream.unused_data)
