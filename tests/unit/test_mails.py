"""Mails that break the rules: strings in no or another encoding than they say, bodies of a formatted text alone."""

import base64
import struct

import pytest
from extracted import check_places, extracted
from word97 import compound

from headrace_documents.readers.outlook import unpacked
from headrace_documents.readers.reader import Limits

MESSAGE_CODE_PAGE, INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE


def msg(strings: dict[str, bytes], code_pages: dict[int, int] | None = None) -> bytes:
    """A mail of Outlook with these streams, by the numbers and kinds of their properties."""
    properties = bytes(32)
    for name, data in strings.items():
        number, kind = int(name[:4], 16), int(name[4:], 16)
        properties += struct.pack("<HHIII", kind, number, 6, len(data) + 2, 0)
    for number, value in (code_pages or {}).items():
        properties += struct.pack("<HHIII", 0x0003, number, 6, value, 0)
    streams = {f"__substg1.0_{name}": data for name, data in strings.items()}
    return compound({"__properties_version1.0": properties, **streams})


def stored(rtf: bytes) -> bytes:
    """Formatted text as Outlook keeps it, without compression."""
    return struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "cp1250"])
def test_a_subject_of_raw_bytes_is_read(encoding):
    content = "From: a@b.c\r\nTo: b@c.d\r\nSubject: Grüße aus Köln\r\n\r\nBis bald!\r\n".encode(encoding)

    text = extracted(content, "a.eml")

    assert text.document.title == "Grüße aus Köln"
    assert text.characters == "Grüße aus Köln\n\nBis bald!"


def test_a_mail_of_outlook_gives_subject_and_plain_body():
    wide = {"0037001F": "Zpráva".encode("utf-16-le"), "1000001F": "Dobrý den,\r\nnashledanou".encode("utf-16-le")}

    text = extracted(msg({**wide, "10130102": b"<p>not read</p>"}), "a.msg")

    check_places(text)
    assert text.characters == "Zpráva\n\nDobrý den,\nnashledanou"
    assert text.document.title == "Zpráva"


@pytest.mark.parametrize(
    "code_pages",
    [
        {MESSAGE_CODE_PAGE: 1251},
        {MESSAGE_CODE_PAGE: 99999},
        {},
        {INTERNET_CODE_PAGE: 20127},
        {INTERNET_CODE_PAGE: 65001},
    ],
)
def test_strings_of_one_byte_a_character_are_read_whatever_the_mail_says_of_them(code_pages):
    body = "Уважаемые коллеги, завтра собрание отменяется."
    narrow = {"0037001E": "Собрание".encode("cp1251"), "1000001E": body.encode("cp1251")}

    text = extracted(msg(narrow, code_pages), "a.msg")

    assert text.characters.endswith(body)


def test_a_mail_of_html_alone_is_in_the_encoding_that_its_page_names_where_the_mail_is_wrong():
    page = '<html><head><meta charset="windows-1251"></head><body><p>Уважаемые коллеги</p></body></html>'

    text = extracted(msg({"10130102": page.encode("cp1251")}, {INTERNET_CODE_PAGE: 65001}), "a.msg")

    assert text.characters == "Уважаемые коллеги"


def test_a_mail_of_formatted_text_alone_is_read():
    rtf = rb"{\rtf1\ansi\ansicpg1252\fromhtml1{\*\htmltag <p>}Caf\'e9 at four\par{\*\htmltag </p>}}"

    text = extracted(msg({"0037001F": "Tea".encode("utf-16-le"), "10090102": stored(rtf)}), "a.msg")

    assert text.characters == "Tea\n\nCafé at four"


def test_compressed_text_refers_to_what_is_known_and_to_what_is_just_being_written():
    head = "2d0000002b0000004c5a4675f1c5c7a7"
    known = bytes.fromhex(head + "03000a007263706731323542320af32068656c090020627705b06c647d0a800fa0")
    repeated = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")

    assert unpacked(known, Limits()) == rb"{\rtf1\ansi\ansicpg1252\pard hello world}" + b"\r\n"
    assert unpacked(repeated, Limits()) == rb"{\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_compressed_text_that_breaks_off_is_read_as_far_as_it_goes():
    assert unpacked(bytes(8) + b"LZFu" + bytes(4) + b"\x00abc", Limits()) == b"abc"
    assert unpacked(b"", Limits()) == b""


HEAD = b"From: a@b.c\r\nTo: b@c.d\r\nSubject: Lease\r\nMIME-Version: 1.0\r\n"


@pytest.mark.parametrize("size", [47, 48, 49, 50])
def test_a_body_whose_encoding_is_cut_off_is_read_as_far_as_it_goes(size):
    words = "The lease of the mill ends in March, and the board has to decide."
    packed = base64.b64encode(words.encode())[:size]

    text = extracted(HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + packed, "a.eml")

    assert text.characters == f"Lease\n\n{words[: size * 3 // 4]}".rstrip()


def test_a_mail_that_is_attached_as_a_file_would_be_is_read():
    inner = base64.b64encode(b"Subject: Offer\r\n\r\nWe offer a new lease.\r\n")
    parts = b"--x\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--x\r\nContent-Type: message/rfc822\r\n"
    parts += b"Content-Transfer-Encoding: base64\r\n\r\n" + inner + b"\r\n--x--\r\n"

    text = extracted(HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + parts, "a.eml")

    assert text.characters == "Lease\n\nSee below.\n\nOffer\n\nWe offer a new lease."


def wrapped(*attributes: tuple[int, int, bytes]) -> bytes:
    """A winmail.dat of some attributes, each with its level and its number."""
    made = b"".join(
        struct.pack("<BHHI", level, number, 6, len(data)) + data + bytes(2) for level, number, data in attributes
    )
    return b"\x78\x9f\x3e\x22\x01\x00" + made


def properties(*found: tuple[int, int, bytes]) -> bytes:
    """Properties as a winmail.dat has them, after a named one; each is of one value of any size."""
    named = struct.pack("<HH16sIIIi", 0x0003, 0x8005, bytes(16), 1, 4, 0x00410041, 7)
    listed = (
        struct.pack("<HHII", kind, number, 1, len(data)) + data + bytes(-len(data) % 4) for number, kind, data in found
    )
    return struct.pack("<I", len(found) + 1) + named + b"".join(listed)


def sent(winmail: bytes, *, body: bytes = b"") -> bytes:
    plain = b"--x\r\nContent-Type: text/plain\r\n\r\n" + body + b"\r\n" if body else b""
    head = HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + plain
    head += b"--x\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + base64.encodebytes(winmail) + b"\r\n--x--\r\n"


BODY = (1, 0x9003, properties((0x1009, 0x0102, stored(rb"{\rtf1 The lease ends in March.}"))))
ATTACHED = (
    (2, 0x9002, bytes(14)),
    (2, 0x8010, b"LEASE~1.PDF\0"),
    (2, 0x9005, properties((0x3707, 0x1F, "Lease of 2024.pdf\0".encode("utf-16-le")))),
    (2, 0x9002, bytes(14)),
    (2, 0x8010, b"plan.png\0"),
)


@pytest.mark.parametrize("body", [b"", b"See the plan."])
def test_what_outlook_wraps_is_named_and_its_body_read_where_there_is_no_other(body):
    text = extracted(sent(wrapped(BODY, *ATTACHED), body=body), "a.eml")

    assert text.characters == f"Lease\n\n{body.decode() or 'The lease ends in March.'}"
    assert [each.detail for each in text.findings] == ["Attached: Lease of 2024.pdf", "Attached: plan.png"]


def test_a_broken_wrapping_is_named_itself():
    text = extracted(sent(b"nothing of the kind", body=b"See the plan."), "a.eml")

    assert [each.detail for each in text.findings] == ["Attached: winmail.dat"]


def test_a_wrapping_that_is_cut_off_anywhere_is_read_as_far_as_it_goes():
    whole = wrapped(BODY, *ATTACHED)

    for size in range(len(whole)):
        assert extracted(sent(whole[:size], body=b"See the plan."), "a.eml").characters == "Lease\n\nSee the plan."
