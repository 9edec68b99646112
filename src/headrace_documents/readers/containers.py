"""Zip containers and XML parts, opened only after their claims were checked."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

from lxml import etree

from headrace import TooLarge, Unreadable
from headrace_documents.readers.reader import Limits

ENCRYPTED = "It is encrypted."
DECRYPT = "Save it without a password and send it again."
DEEPEST = 256
"""How deep libxml2 follows XML that nests."""
_STRICT = b"http://purl.oclc.org/ooxml/"
# The strict form of ECMA-376 differs from the usual one in the names of its namespaces.
_STRICT_NAME = re.compile(rb"http://purl\.oclc\.org/ooxml/([A-Za-z]{1,40})/([A-Za-z]{1,40})")
_LOCAL = b"PK\x03\x04"
_ENTITIES = tuple("<!ENTITY".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be", "utf-32-le"))


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
    if any(member.flag_bits & 1 for member in members):
        raise Unreadable(ENCRYPTED, remedy=DECRYPT)
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
    """The root of an XML part, without entities and external files; what is broken is mended as far as it can be.

    Raises:
        TooLarge: it nests deeper than libxml2 follows, or has more elements than `limits` allow.
        Unreadable: it defines entities, or there is nothing to mend.
    """
    if any(sign in data for sign in _ENTITIES):
        raise Unreadable("It defines XML entities, which no office program does.", remedy="Save it anew.")
    limits.check("XML tags", data.count(b"<"), limits.tags)
    if _STRICT in data:
        data = _STRICT_NAME.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)
    try:
        return etree.fromstring(data, _parser(mends=False))
    except etree.XMLSyntaxError as error:
        if "depth" in str(error).lower():
            limits.check_fixed("levels of XML", DEEPEST + 1, DEEPEST)
    except ValueError as error:
        raise Unreadable(f"A part is no XML: {error}.", remedy="Save it anew.") from error
    try:
        root = etree.fromstring(data, _parser(mends=True))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"A part is no XML: {error}.", remedy="Save it anew.") from error
    if root is None:
        raise Unreadable("A part of it is empty.", remedy="Save it anew.")
    return root


def is_xml(data: bytes) -> bool:
    """Whether some bytes are XML to the letter, with nothing to mend."""
    try:
        etree.fromstring(data, _parser(mends=False))
    except (etree.XMLSyntaxError, ValueError):
        return False
    return True


def _parser(*, mends: bool) -> etree.XMLParser:
    """Without `huge_tree` libxml2 bounds depth, names and text by itself."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=mends, remove_comments=True
    )


def local_names(content: bytes, limits: Limits) -> list[str]:
    """The names of members by their local headers, for a container whose directory is lost."""
    found: list[str] = []
    position = content.find(_LOCAL)
    while 0 <= position <= len(content) - 30 and len(found) < limits.members:
        (size,) = struct.unpack_from("<H", content, position + 26)
        found.append(content[position + 30 : position + 30 + size].decode("utf-8", errors="replace"))
        position = content.find(_LOCAL, position + 30 + size)
    return found


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
