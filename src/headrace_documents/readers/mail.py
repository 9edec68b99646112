"""EML: subject and body; attachments are named and not read, for they are documents of their own."""

from __future__ import annotations

import base64
import email
import re
from collections.abc import Iterator
from email import policy
from email.errors import CloseBoundaryNotFoundDefect, InvalidBase64LengthDefect
from email.message import EmailMessage

from headrace import Unreadable
from headrace_documents.readers import rtf, tnef
from headrace_documents.readers.encodings import decoded, decoded_as
from headrace_documents.readers.outlook import unpacked
from headrace_documents.readers.reader import Flow, Limits, Reading, cut_off
from headrace_documents.readers.web import text_of
from headrace_documents.schema import Finding

_HEADER = re.compile(rb"^[!-9;-~]{1,100}:", re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CONTINUED = re.compile(rb"\*\d+\*?=")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_SEALED = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_NO_PROSE = {"text/calendar", "text/x-vcard", "text/vcard", "text/css", "text/javascript", "text/rtf"}
PARAMETERS = 200
HEAD_BYTES = 256_000
LONGEST_LINE = 64_000
DEEPEST = 20


def read(content: bytes, limits: Limits) -> Reading:
    """A mail as RFC 5322 has it: the subject, and the plain body or else the HTML one."""
    _check(content, limits)
    try:
        message = email.message_from_bytes(content, policy=policy.default)
        _check_unlocked(message)
        subject = _subject(message)
        flow = Flow(limits)
        flow.paragraph(subject)
        findings: list[Finding] = []
        # Whatever is lost of a mail that was cut off, the sign that ends its outermost part is.
        if any(isinstance(defect, CloseBoundaryNotFoundDefect) for defect in message.defects):
            findings.append(cut_off())
        for number, part in enumerate(_leaves(message)):
            limits.check("parts", number, limits.attachments)
            if isinstance(part, str):
                flow.paragraph(part)
            else:
                _add_part(flow, part, findings, is_first=flow.blocks == int(bool(subject)))
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError, IndexError, KeyError) as error:
        # The standard library's mail parser raises all of these on headers that break the standard.
        raise Unreadable(f"The mail is damaged: {error}.", remedy="Save it anew.") from error
    return Reading(passages=(flow.passage(),), title=subject or None, findings=tuple(findings))


def _check(content: bytes, limits: Limits) -> None:
    end = _HEAD_END.search(content)
    head = content[: end.start() if end else len(content)].replace(b"\r\n", b"\n")
    limits.check("headers", len(_HEADER.findall(head)), limits.headers)
    limits.check_fixed("bytes of headers", len(head), HEAD_BYTES)
    for header in _HEADER.split(content.replace(b"\r\n", b"\n") if content.count(b";") > PARAMETERS else b""):
        limits.check_fixed(
            "parameters in one header", len(_CONTINUED.findall(header.partition(b"\n\n")[0])), PARAMETERS
        )
    limits.check_fixed("bytes in one header line", max(map(len, head.split(b"\n")), default=0), LONGEST_LINE)
    limits.check("nested parts", content.lower().count(b"content-type: multipart/"), limits.attachments)
    limits.check("parts", content.lower().count(b"content-type:"), limits.attachments * 4)


def _check_unlocked(message: email.message.Message) -> None:
    """Raises `Unreadable` for bodies that are encrypted by OpenPGP (RFC 3156) or S/MIME (RFC 8551)."""
    kind = message.get_content_type()
    form = str(message.get_param("smime-type") or "").lower()
    if kind == "multipart/encrypted" or (kind in _SEALED and "enveloped" in form):
        raise Unreadable("It is encrypted.", remedy="Open it with its key, save it decrypted and send that.")


def _subject(message: EmailMessage | email.message.Message) -> str:
    raw = next((str(value) for name, value in message.raw_items() if name.lower() == "subject"), "")
    if any("\udc80" <= character <= "\udcff" for character in raw):
        # Bytes as they are, which no standard allows; what the mail is written in they are likely to be in as well.
        return " ".join(decoded(raw.encode("utf-8", "surrogateescape")).split())
    return " ".join(str(message.get("subject", "")).split())


def _leaves(message: email.message.Message, depth: int = 0) -> Iterator[email.message.Message | str]:
    """The parts that hold something, of alternatives the plainest; mails within mails after their subject."""
    if depth > DEEPEST:
        return
    kind = message.get_content_type()
    if kind == "multipart/alternative":
        parts = [part for part in message.get_payload() if isinstance(part, email.message.Message)]
        plain = [part for part in parts if part.get_content_type() == "text/plain" and _text(part).strip()]
        chosen = plain[:1] or parts[-1:]
        for part in chosen:
            yield from _leaves(part, depth + 1)
    elif message.is_multipart():
        for held in message.get_payload():
            if isinstance(held, email.message.Message):
                inner = _unpacked(message, held) if kind == "message/rfc822" else held
                if kind == "message/rfc822":
                    yield _subject(inner)
                yield from _leaves(inner, depth + 1)
    else:
        yield message


def _unpacked(outer: email.message.Message, inner: email.message.Message) -> email.message.Message:
    """A mail within a mail, which some programs encode as they would a file, though no standard allows it."""
    if str(outer.get("Content-Transfer-Encoding", "")).strip().lower() != "base64" or inner.keys():
        return inner
    content = _salvaged(str(inner.get_payload()).encode(errors="replace"))
    return email.message_from_bytes(content, policy=policy.default)


def _salvaged(content: bytes) -> bytes:
    """What is left of base64 that is cut off or has other signs among its own."""
    kept = _NO_BASE64.sub(b"", content.partition(b"=")[0])
    kept = kept[:-1] if len(kept) % 4 == 1 else kept
    return base64.b64decode(kept + b"=" * (-len(kept) % 4))


def _add_part(flow: Flow, part: email.message.Message, findings: list[Finding], *, is_first: bool) -> None:
    name = part.get_filename()
    kind = part.get_content_type()
    if kind in tnef.KINDS:
        _add_wrapped(flow, part, findings, is_first=is_first)
        return
    is_attached = part.get_content_disposition() == "attachment" or (name and part.get_content_maintype() != "text")
    if is_attached or name:
        findings.append(_named(" ".join(str(name or kind).split())))
    if is_attached:
        return
    if kind == "text/html":
        flow.extend(text_of(_text(part), flow.limits))
    elif part.get_content_maintype() == "text" and kind not in _NO_PROSE:
        is_flowed = str(part.get_param("format") or "").lower() == "flowed"
        deletes_space = str(part.get_param("delsp") or "").lower() == "yes"
        flow.paragraph(_unflowed(_text(part), deletes_space=deletes_space) if is_flowed else _text(part))


def _add_wrapped(flow: Flow, part: email.message.Message, findings: list[Finding], *, is_first: bool) -> None:
    """What a winmail.dat holds; its body only where the mail has none besides, for most have it as plain text too."""
    content = part.get_payload(decode=True)
    wrapped = tnef.unwrapped(content if isinstance(content, bytes) else b"")
    findings += map(_named, wrapped.names or [str(part.get_filename() or part.get_content_type())])
    if not is_first:
        return
    if wrapped.plain.strip() or not wrapped.formatted:
        flow.paragraph(wrapped.plain)
        return
    for passage in rtf.read_rtf(unpacked(wrapped.formatted, flow.limits), flow.limits).passages:
        flow.extend(passage)


def _unflowed(text: str, *, deletes_space: bool) -> str:
    """The lines of a body that was broken for the way (RFC 3676), whole: one that ends in a blank goes on."""
    lines: list[str] = []
    open_depth: int | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        is_signature = content == "-- "
        if open_depth == depth and not is_signature:
            lines[-1] += content
        else:
            lines.append(f"{'>' * depth} {content}" if depth else content)
        goes_on = content.endswith(" ") and not is_signature
        if goes_on and deletes_space:
            lines[-1] = lines[-1][:-1]
        open_depth = depth if goes_on else None
    return "\n".join(line.rstrip() for line in lines)


def _text(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else str(part.get_payload()).encode(errors="replace")
    if any(isinstance(defect, InvalidBase64LengthDefect) for defect in part.defects):
        content = _salvaged(content)
    charset = part.get_content_charset()
    text = decoded_as(content, charset) if charset else None
    return decoded(content) if text is None else text


def _named(name: str) -> Finding:
    return Finding("attachment", f"Attached: {name}")
