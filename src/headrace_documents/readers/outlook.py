"""MSG, a mail as Outlook saves it ([MS-OXMSG]): subject and body; attachments are named and not read.

A string that its code page cannot read is read in the one that it is most like.
"""

from __future__ import annotations

import struct

import olefile

from headrace import Unreadable
from headrace_documents.readers import rtf
from headrace_documents.readers.encodings import decoded, decoded_as
from headrace_documents.readers.legacy import container_of
from headrace_documents.readers.reader import Flow, Limits, Reading
from headrace_documents.readers.web import decoded_page, text_of
from headrace_documents.schema import Finding

_SUBJECT, _BODY, _HTML, _RTF = "0037", "1000", "1013", "1009"
_NAMES = ("3707", "3704", "3001")
_WIDE, _NARROW, _BINARY = "001F", "001E", "0102"
_MESSAGE_CODE_PAGE, _INTERNET_CODE_PAGE, _INTEGER = 0x3FFD, 0x3FDE, 0x0003
"""The properties that name the code page of strings, and that of the body as it came over the internet."""
_PROPERTIES, _ATTACHMENT = "__properties_version1.0", "__attach_version1.0_"
_HEADER = 32
_CODE_PAGES = {20127: "ascii", 20866: "koi8_r", 21866: "koi8_u", 50220: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr"}
_CODE_PAGES |= {54936: "gb18030", 65001: "utf-8", **{28590 + part: f"iso8859_{part}" for part in range(1, 17)}}
_COMPRESSED, _PLAIN = b"LZFu", b"MELA"
# What every compressed RTF may refer back to before it has said anything ([MS-OXRTFCP] 2.1.2.1).
_BEFORE = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_WINDOW = 4096


def read_msg(content: bytes, limits: Limits) -> Reading:
    """A mail as Outlook saves it: its plain body, or else the HTML one, or else the formatted one."""
    limits.check("bytes", len(content), limits.unpacked_bytes)
    with container_of(content) as container:
        if not container.exists(_PROPERTIES):
            raise Unreadable("The mail is damaged: it has no properties.", remedy="Save it anew.")
        storages = sorted({entry[0] for entry in container.listdir() if entry[0].startswith(_ATTACHMENT)})
        limits.check("attachments", len(storages), limits.attachments)
        strings = _Strings(container)
        subject = strings.text(_SUBJECT)
        flow = Flow(limits)
        flow.paragraph(subject)
        _add_body(flow, strings)
        findings = tuple(Finding("attachment", f"Attached: {strings.name_of(storage)}") for storage in storages)
    return Reading(passages=(flow.passage(),), title=" ".join(subject.split()) or None, findings=findings)


def _add_body(flow: Flow, strings: _Strings) -> None:
    body = strings.text(_BODY)
    if body.strip():
        flow.paragraph(body)
        return
    markup = strings.markup()
    if markup.strip():
        flow.extend(text_of(markup, flow.limits))
        return
    formatted = strings.data(_RTF, _BINARY)
    if formatted:
        for passage in rtf.read_rtf(unpacked(formatted, flow.limits), flow.limits).passages:
            flow.extend(passage)


class _Strings:
    """The strings of a mail, whatever form they are kept in."""

    def __init__(self, container: olefile.OleFileIO) -> None:
        self._container = container
        integers = self._integers()
        told = (integers.get(each) for each in (_MESSAGE_CODE_PAGE, _INTERNET_CODE_PAGE))
        self._own = [_CODE_PAGES.get(number, f"cp{number}") for number in told if number]

    def _integers(self) -> dict[int, int]:
        entries = self._stream(_PROPERTIES)[_HEADER:]
        listed = struct.iter_unpack("<HHIII", entries[: len(entries) // 16 * 16])
        return {number: value for kind, number, _, value, _ in listed if kind == _INTEGER}

    def data(self, number: str, kind: str, *, storage: str = "") -> bytes:
        """What is kept under a number in one form; empty where nothing is."""
        return self._stream(f"{storage}__substg1.0_{number}{kind}")

    def _stream(self, name: str) -> bytes:
        if not self._container.exists(name):
            return b""
        # olefile raises whatever a damaged allocation table leads to; a lost string costs no other one.
        try:
            with self._container.openstream(name) as stream:
                return bytes(stream.read())
        except (OSError, ValueError, IndexError, TypeError):
            return b""

    def text(self, number: str, *, storage: str = "") -> str:
        """A string by its number."""
        wide = self.data(number, _WIDE, storage=storage)
        if wide:
            return wide.decode("utf-16-le", errors="replace").rstrip("\0")
        return self._decoded(self.data(number, _NARROW, storage=storage).rstrip(b"\0"))

    def markup(self) -> str:
        """The body as HTML, which says itself in which encoding it is where the mail is wrong about it."""
        data = self.data(_HTML, _BINARY).rstrip(b"\0")
        told = (decoded_as(data, encoding) for encoding in reversed(self._own))
        text = next((each for each in told if each is not None), None)
        return self.text(_HTML) if not data else decoded_page(data) if text is None else text

    def name_of(self, storage: str) -> str:
        """The name of what is attached in a storage: the long one, the short one, or that which is shown."""
        names = (" ".join(self.text(each, storage=f"{storage}/").split()) for each in _NAMES)
        return next(filter(None, names), "unnamed")

    def _decoded(self, data: bytes) -> str:
        told = (decoded_as(data, encoding) for encoding in self._own)
        text = next((each for each in told if each is not None), None)
        return decoded(data) if text is None else text


def unpacked(data: bytes, limits: Limits) -> bytes:
    """The RTF that is compressed in `data` ([MS-OXRTFCP] 2.2); what is left of it where it breaks off."""
    kind, packed = data[8:12], data[16:]
    if kind == _PLAIN:
        return packed
    if kind != _COMPRESSED:
        return b""
    window = bytearray(_BEFORE.ljust(_WINDOW, b"\0"))
    at, position, output = len(_BEFORE), 0, bytearray()
    while position < len(packed):
        control = packed[position]
        position += 1
        for bit in range(8):
            if not control >> bit & 1:
                run = packed[position : position + 1]
                position += 1
            else:
                pair = int.from_bytes(packed[position : position + 2], "big")
                position += 2
                if pair >> 4 == at or position > len(packed):
                    return bytes(output)
                run = _referred(window, pair >> 4, (pair & 0xF) + 2, at)
            for each in run:
                window[at] = each
                at = (at + 1) % _WINDOW
            output += run
        limits.check("bytes unpacked", len(output), limits.characters)
    return bytes(output)


def _referred(window: bytearray, first: int, size: int, at: int) -> bytes:
    """What stands in the window from `first` on, which may be what is only now being written at `at`."""
    run = bytearray()
    for offset in range(size):
        place = (first + offset) % _WINDOW
        written = (place - at) % _WINDOW
        run.append(run[written] if written < len(run) else window[place])
    return bytes(run)
