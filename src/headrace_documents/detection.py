"""What kind of document some bytes are: by signature, by what a container holds, by how text is written.

The sender's name and type are believed only where content cannot tell: between kinds of plain text.
"""

from __future__ import annotations

import io
import re
import zipfile

import olefile

from headrace import Unreadable, UnsupportedType
from headrace_documents.media_types import (
    CSV,
    DOC,
    DOCX,
    EML,
    EPUB,
    EXTENSIONS,
    HTML,
    JPEG,
    MARKDOWN,
    MSG,
    ODP,
    ODS,
    ODT,
    PDF,
    PNG,
    PPT,
    PPTX,
    READABLE,
    RTF,
    TIFF,
    TXT,
    XLS,
    XLSX,
)
from headrace_documents.readers.containers import DECRYPT, ENCRYPTED, local_names
from headrace_documents.readers.encodings import decoded, encoding_of
from headrace_documents.readers.reader import Limits

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
_SIGNATURES += ((b"II+\x00", TIFF), (b"MM\x00+", TIFF), (b"{\\rtf", RTF))
_FOREIGN = (
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"OggS", "a sound or film"),
    (b"ID3", "a sound"),
    (b"fLaC", "a sound"),
    (b"RIFF", "a sound, film or WebP picture"),
    (b"SQLite format 3", "a database"),
    (b"BM", "a bitmap picture"),
    (b"\x00asm", "a program"),
)
_MIMETYPES = {
    b"application/epub+zip": EPUB,
    ODT.encode(): ODT,
    ODS.encode(): ODS,
    ODP.encode(): ODP,
    ODT.encode() + b"-template": ODT,
    ODS.encode() + b"-template": ODS,
    ODP.encode() + b"-template": ODP,
}
_PARTS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX), ("META-INF/container.xml", EPUB))
_STREAMS = (("WordDocument", DOC), ("PowerPoint Document", PPT), ("Workbook", XLS), ("Book", XLS))
_FLAT = re.compile(r"""<office:document\b[^<>]{0,7000}\boffice:mimetype\s*=\s*["']([\w./-]{1,100})["']""")
ONE_OF, FEWEST_WITH_STRAY = 50, 20
"""One of so many characters of a text may be strange; and one of a short text that is at least this long."""
_OF_PRINTERS = "\t\n\r\f\v\b\x1b"
_MAIL_HEADER = re.compile(
    r"^(From|To|Cc|Subject|Date|Received|Return-Path|Message-ID|MIME-Version|Delivered-To|Reply-To|Sender|"
    r"Content-Type|Content-Transfer-Encoding|DKIM-Signature|X-[A-Za-z0-9-]+|[A-Z][A-Za-z0-9-]{1,60}):[ \t]?",
    re.IGNORECASE,
)
_MAIL_SIGNS = re.compile(
    r"^(from|to|subject|date|received|message-id|mime-version|return-path):", re.IGNORECASE | re.MULTILINE
)
_MACHINE_HEADER = re.compile(
    r"^(received|message-id|mime-version|return-path|content-type|dkim-signature):", re.IGNORECASE | re.MULTILINE
)
_MARKUP = re.compile(
    r"<(!doctype\s+html|html|head|body|title|meta|div|p|table|h[1-6]|span|a|ul|br|article)\b", re.IGNORECASE
)
_MARKDOWN = re.compile(
    r"^(#{1,6} \S|[-*+] \S|\d+\. \S|> \S|```|\|.*\|\s*$|={3,}\s*$)|\]\([^)\s]+\)|\*\*\S", re.MULTILINE
)


def media_type_of(content: bytes, *, filename: str | None, declared: str | None) -> str:
    """The media type of `content`.

    Raises:
        Unreadable: there is nothing in it, or it is an encrypted office document.
        UnsupportedType: nothing here can read it; the message says what it seems to be.
    """
    if not content.strip(b"\x00 \t\r\n"):
        raise Unreadable("It is empty." if not content else "It holds nothing but blanks.", remedy="Send the document.")
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"%PDF-" in content[:1024]:
        return PDF
    for signature, media_type in _SIGNATURES:
        if start.startswith(signature):
            return media_type
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(content)
    if content.startswith(olefile.MAGIC):
        return _of_ole(content)
    for signature, what in _FOREIGN:
        if content.startswith(signature) and (len(signature) > 3 or not _is_text(content)):
            raise _unsupported(f"It is {what}.")
    if not _is_text(content):
        raise _unsupported("It is of no kind that is known here.")
    return _of_text(decoded(content[:65536]), filename=filename, declared=declared)


def _unsupported(detail: str) -> UnsupportedType:
    return UnsupportedType(detail, remedy=f"These are read: {READABLE}.")


def _of_zip(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as container:
            names = container.namelist()
            is_locked = any(member.flag_bits & 1 for member in container.infolist())
            if "mimetype" in names and container.getinfo("mimetype").file_size < 200:
                with container.open("mimetype") as stream:
                    found = _MIMETYPES.get(stream.read(200).strip())
                if found:
                    return found
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        # The end of the container, where its directory stands, may be cut off while most of it is there.
        names = local_names(content, Limits())
        if not any(name.startswith(prefix) for name in names for prefix, _ in _PARTS) and "content.xml" not in names:
            raise Unreadable(
                f"The container is damaged: {error}.", remedy="It may be cut off: send it again."
            ) from error
        is_locked = False
        if "content.xml" in names:
            return next((kind for sign, kind in _MIMETYPES.items() if sign in content[:200]), ODT)
    for prefix, media_type in _PARTS:
        if any(name.startswith(prefix) for name in names):
            return media_type
    if is_locked:
        raise Unreadable("It is an encrypted ZIP archive.", remedy="Unpack it and send the documents in it.")
    raise UnsupportedType(
        "It is a ZIP archive that holds no office document.", remedy="Unpack it and send the documents in it."
    )


def _of_ole(content: bytes) -> str:
    try:
        with olefile.OleFileIO(io.BytesIO(content)) as container:
            entries = {entry[0] for entry in container.listdir()}
    # olefile raises whatever a damaged allocation table leads to.
    except Exception as error:
        raise Unreadable("The container is damaged.", remedy="It may be cut off: send it again.") from error
    if "EncryptedPackage" in entries:
        raise Unreadable(ENCRYPTED, remedy=DECRYPT)
    for stream, media_type in _STREAMS:
        if stream in entries:
            return media_type
    if any(entry.startswith(("__properties", "__substg1.0")) for entry in entries):
        return MSG
    raise _unsupported("It is a compound file of no kind that is known here.")


def _is_text(content: bytes) -> bool:
    """Whether some bytes are text of any encoding: once decoded, next to no control signs but those of printers."""
    sample = content[:16384]
    encoding = encoding_of(sample)
    text = sample.decode(encoding, errors="replace")
    strange = sum(
        1 for character in text if (character < " " and character not in _OF_PRINTERS) or character == "\ufffd"
    )
    stray = 1 if len(content) > len(sample) or FEWEST_WITH_STRAY <= len(text) < ONE_OF else 0
    return strange <= len(text) // ONE_OF + stray


def _of_text(text: str, *, filename: str | None, declared: str | None) -> str:
    text = text.lstrip("\ufeff")
    hint = _hint(filename, declared)
    flat = _FLAT.search(text[:8192]) if text.lstrip().startswith("<") else None
    if flat:
        return _MIMETYPES.get(flat[1].encode(), ODT)
    # A mail copied into a text file is a text that begins with a few lines of a mail's head.
    if _is_mail(text) and (hint != TXT or _MACHINE_HEADER.search(text[:4096])):
        return EML
    if _is_html(text):
        return HTML
    if hint in {CSV, MARKDOWN, TXT}:
        return hint
    if _is_csv(text):
        return CSV
    marks = len(_MARKDOWN.findall(text))
    return MARKDOWN if marks >= 3 and re.search(r"^#{1,6} \S|\]\([^)\s]+\)|^```", text, re.MULTILINE) else TXT


def _is_mail(text: str) -> bool:
    head = text.lstrip("\r\n").replace("\r\n", "\n").partition("\n\n")[0]
    lines = head.split("\n")
    if lines and lines[0].startswith("From "):
        lines = lines[1:]
    proper = sum(bool(_MAIL_HEADER.match(line)) or line[:1] in " \t" for line in lines)
    signs = {sign.lower() for sign in _MAIL_SIGNS.findall(head)}
    return proper >= 0.9 * len(lines) and len(signs) >= 2


def _is_html(text: str) -> bool:
    start = text[:2048].lstrip().lower()
    if re.match(r"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", start, re.DOTALL):
        return True
    tags = len(_MARKUP.findall(text[:16384]))
    return (start.startswith("<") and tags >= 2) or tags >= 10


def _is_csv(text: str) -> bool:
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    if len(lines) < 3:
        return False
    for sign in ",;\t":
        counts = [line.count(sign) for line in lines[: max(3, len(lines) - 1)]]
        if min(counts) >= 1 and counts.count(counts[0]) >= 0.9 * len(counts) and (sign != "," or max(counts) >= 2):
            return True
    return False


def _hint(filename: str | None, declared: str | None) -> str | None:
    extension = (filename or "").rpartition(".")[2].lower()
    for kind, extensions in EXTENSIONS.items():
        if extension in extensions:
            return kind
    stated = (declared or "").partition(";")[0].strip().lower()
    return stated if stated in EXTENSIONS else None
