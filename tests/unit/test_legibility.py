"""Pages whose fonts do not say which letters they show are read from what they show, and others are left in peace."""

import re

import numpy as np
import pytest
from attacks import pdf, stream
from extracted import character_error, check_places, extracted, service
from PIL import Image, ImageDraw, ImageFont

from headrace import Context
from headrace.serving.context import within
from headrace_documents.readers.legibility import Unmapped, is_like_no_language, unmapped_of
from headrace_documents.schema import Document

CATALOGUE, PAGES = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
LINES = (
    "The miller writes to say that the wheel stands still,",
    "because the water in the race has fallen since Monday.",
    "He asks for a visit of the board before the harvest,",
    "and for a loan that would pay for a second sluice gate.",
    "The grain of the village is kept in the upper barn.",
)
TEXT = " ".join(LINES)
SIGNS = "".join(sorted(set("".join(LINES))))
EXCHANGED = str.maketrans("abcdefghijklmnopqrstuvwxyz", "qhvjxrkzowmcyfagdtbuniespl")


def mapped_pdf(letter_of) -> bytes:
    """A page in Helvetica, whose font says that each letter shown is the one that `letter_of` gives."""
    pairs = b"\n".join(b"<%02x> <%04x>" % (ord(sign), ord(letter_of(sign))) for sign in SIGNS)
    space = b"1 begincodespacerange <00> <ff> endcodespacerange"
    table = b"begincmap %b %d beginbfchar\n%b\nendbfchar endcmap" % (space, len(SIGNS), pairs)
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 5 0 R>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 6 0 R>>>>/Contents 4 0 R>>"
    shown = "BT /F1 14 Tf 60 700 Td 22 TL\n" + "".join(f"({line}) Tj T*\n" for line in LINES) + "ET"
    return pdf([CATALOGUE, PAGES, page, stream(shown.encode()), stream(table), font])


def drawn_pdf(code_of) -> bytes:
    """A page whose font draws each letter as a picture under a name that says nothing, with the code of `code_of`."""
    face = ImageFont.load_default(size=60)
    names, glyphs, widths, objects = [], [], [0] * 256, []
    for sign in SIGNS:
        code, across = code_of(sign), max(1, round(face.getlength(sign)))
        picture = Image.new("1", (across, 80), 1)
        ImageDraw.Draw(picture).text((0, 0), sign, font=face, fill=0)
        bits = np.packbits(~np.asarray(picture), axis=1).tobytes().hex().encode()
        mask = b"BI /IM true /W %d /H 80 /BPC 1 /D [1 0] /F /AHx ID %b> EI" % (across, bits)
        widths[code] = across
        names.append(b"%d /q%d" % (code, code))
        glyphs.append(b"/q%d %d 0 R" % (code, 6 + len(objects)))
        objects.append(stream(b"%d 0 0 -20 %d 60 d1 %d 0 0 80 0 -20 cm %b" % (across, across, across, mask)))
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 -20 80 60]/FontMatrix[0.0166 0 0 0.0166 0 0]/FirstChar 0/LastChar 255"
        b"/Widths[%b]/Encoding<</Type/Encoding/Differences[%b]>>/CharProcs<<%b>>/Resources<<>>>>"
        % (" ".join(map(str, widths)).encode(), b" ".join(names), b" ".join(glyphs))
    )
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>"
    lines = (b"<%b> Tj T*\n" % bytes(map(code_of, line)).hex().encode() for line in LINES)
    shown = b"BT /F1 16 Tf 60 700 Td 24 TL\n" + b"".join(lines) + b"ET"
    return pdf([CATALOGUE, PAGES, page, stream(shown), font, *objects])


def stamped_scan(text: str) -> bytes:
    """A scan of the lines with `text` stamped below them."""
    picture = Image.new("L", (1700, 2200), 255)
    for number, line in enumerate(LINES * 4):
        ImageDraw.Draw(picture).text((150, 150 + 80 * number), line, font=ImageFont.load_default(size=44), fill=0)
    kind = b"/Type/XObject/Subtype/Image/Width 1700/Height 2200/ColorSpace/DeviceGray/BitsPerComponent 8"
    font = b"/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    resources = b"/Resources<</XObject<</I 5 0 R>>%b>>" % font
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]%b/Contents 4 0 R>>" % resources
    shown = f"q 612 0 0 792 0 0 cm /I Do Q BT /F1 9 Tf 40 20 Td ({text}) Tj ET"
    return pdf([CATALOGUE, PAGES, page, stream(shown.encode()), stream(picture.tobytes(), kind)])


def codes(text) -> set[str]:
    return {finding.code for finding in text.findings}


@pytest.mark.parametrize(
    "content",
    [
        mapped_pdf(lambda sign: chr(0xE000 + ord(sign))),
        mapped_pdf(lambda sign: "\ufffd" if sign.isalpha() else sign),
        drawn_pdf(lambda sign: 1 + SIGNS.index(sign)),
        drawn_pdf(lambda sign: 40 + SIGNS.index(sign)),
    ],
    ids=["private use", "replacement", "control codes", "codes of other signs"],
)
def test_a_page_whose_fonts_tell_no_letters_is_read_as_it_is_shown(content):
    text = extracted(content)

    check_places(text)
    assert character_error(TEXT, text.characters) < 0.02
    assert text.pages[0].ocr
    assert codes(text) == {"read_as_shown"}


def test_a_page_whose_fonts_tell_other_letters_is_read_as_it_is_shown():
    text = extracted(mapped_pdf(lambda sign: sign.translate(EXCHANGED)))

    assert character_error(TEXT, text.characters) < 0.02
    assert codes(text) == {"read_as_shown"}


@pytest.mark.parametrize("content", [mapped_pdf(str), drawn_pdf(ord)], ids=["mapped", "codes that are letters"])
def test_a_page_whose_text_is_what_it_shows_is_not_read_by_ocr(content):
    text = extracted(content)

    assert text.characters.split() == TEXT.split()
    assert not text.pages[0].ocr
    assert codes(text) == set()


def test_a_stamp_on_a_scan_does_not_stand_for_the_scan():
    text = extracted(stamped_scan("Received by the registry on 4 May, number 2231"))

    assert text.pages[0].ocr
    assert character_error(TEXT, text.characters[: len(TEXT)]) < 0.02
    assert "registry" in text.characters


def test_what_ocr_may_not_read_in_time_is_told_as_lost():
    document = Document(mapped_pdf(lambda sign: chr(0xE000 + ord(sign))), "a.pdf")

    with within(Context()):
        text = service().loaded.text(document, is_quick=True)

    assert codes(text) == {"page_not_read", "unmapped_text"}
    assert any("100% of the characters" in finding.detail for finding in text.findings)


def asked(text: str, unmapped: str) -> tuple[Unmapped, int]:
    """What is unmapped where the letters of `unmapped` are, and how many characters were asked about."""
    questions = []

    def is_unmapped(at: int) -> bool:
        questions.append(at)
        return text[at] in unmapped

    return unmapped_of(text, list(re.finditer(r"\S+", text)), is_unmapped), len(questions)


def test_a_page_is_asked_about_a_few_dozen_characters_however_long_it_is():
    found, questions = asked("the mill stands by the river " * 2_000, "")

    assert found == Unmapped()
    assert questions <= 48


def test_a_few_signs_of_a_symbol_font_do_not_make_a_page_illegible():
    found, _ = asked("\uf0b7 the mill stands by the river and turns a wheel of stone " * 40, "")

    assert not found.is_illegible(lambda _: 0.0)


def test_codes_that_are_like_a_language_are_believed():
    found, _ = asked("zzz zzz the mill zzzz", "z")

    assert found.share == pytest.approx(10 / 17)
    assert found.is_illegible(lambda _: 0.1)
    assert not found.is_illegible(lambda _: 0.9)


def test_a_short_text_is_never_called_no_language():
    assert not is_like_no_language("B90 C67 A12 valve", lambda _: 0.0)
    assert is_like_no_language(TEXT.translate(EXCHANGED), lambda _: 0.1)
