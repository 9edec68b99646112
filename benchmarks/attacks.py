"""Documents built to harm their reader: bombs, floods, loops and lies, a few for every format."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MIB = 1 << 20
DOCUMENT = "word/document.xml"
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


@dataclass(frozen=True, slots=True)
class Attack:
    """One document; `is_refused` where an answer would be wrong, with a word that the reason has to name."""

    name: str
    filename: str
    content: bytes
    is_refused: bool = False
    reason: str = ""


def attacks() -> Iterator[Attack]:
    """All of them, built one by one, for some are large."""
    for build in (_zips, _xml, _pictures, _pdfs, _sheets, _mails, _markup, _plain, _compounds):
        yield from build()


def mutations(content: bytes, *, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged forms of a document; the same seed gives the same ones."""
    chance = random.Random(seed)
    for _ in range(count):
        if content[:2] == b"PK" and chance.random() < 0.6:
            yield _with_damaged_member(content, chance)
        else:
            yield _damaged(content, chance)


def zipped(members: dict[str, bytes], *, level: int = 6) -> bytes:
    """A container of these members."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as container:
        for name, data in members.items():
            container.writestr(name, data)
    return output.getvalue()


def docx(body: str, *, level: int = 6, **more: bytes) -> bytes:
    """The least that is a DOCX around `body`; at level 0 it is not compressed, so that no ratio gives it away."""
    return zipped({DOCUMENT: f"<w:document {_W}><w:body>{body}</w:body></w:document>".encode(), **more}, level=level)


def xlsx(sheet: str) -> bytes:
    """The least that is an XLSX around the XML of one sheet."""
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    start = f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{relations}/officeDocument"'
    book = f'<workbook {_S} xmlns:r="{relations}"><sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>'
    links = (
        f'<Relationships xmlns="{package}">'
        f'<Relationship Id="r1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    )
    return zipped(
        {
            "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": f'{start} Target="xl/workbook.xml"/></Relationships>'.encode(),
            "xl/workbook.xml": book.encode(),
            "xl/_rels/workbook.xml.rels": links.encode(),
            "xl/worksheets/sheet1.xml": f"<worksheet {_S}>{sheet}</worksheet>".encode(),
        }
    )


def pdf(objects: list[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1, the first of which is the catalogue."""
    output = io.BytesIO(b"%PDF-1.7\n")
    output.seek(0, io.SEEK_END)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(output.tell())
        output.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))
    start = output.tell()
    output.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    output.writelines(b"%010d 00000 n \n" % place for place in places)
    output.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return output.getvalue()


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A compressed stream object."""
    packed = zlib.compress(data, 9)
    return b"<</Length %d/Filter/FlateDecode%b>>stream\n%b\nendstream" % (len(packed), entries, packed)


def png(width: int, height: int) -> bytes:
    """A white picture of one bit a pixel: a megapixel is a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\x00" + b"\xff" * ((width + 7) // 8)
    rows = 200
    data = b"".join(packer.compress(row * rows) for _ in range(height // rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _zips() -> Iterator[Attack]:
    bomb = docx("<w:p>" + " " * (64 * MIB) + "</w:p>")
    yield Attack("zip ratio", "a.docx", bomb, is_refused=True, reason="times its size")
    many = {f"word/part{number}.xml": b"<a/>" for number in range(20_000)}
    yield Attack("zip members", "a.docx", zipped({DOCUMENT: b"<a/>", **many}), is_refused=True, reason="members")
    inner = zipped({f"{number}.bin": bytes(8 * MIB) for number in range(10)})
    nested = zipped({f"{number}.zip": inner for number in range(10)})
    yield Attack("zip in zip", "a.docx", docx("<w:p><w:r><w:t>text</w:t></w:r></w:p>", **{"word/x.zip": nested}))
    yield Attack("zip of zips", "a.zip", nested, is_refused=True)
    yield Attack("zip that overlaps itself", "a.docx", _overlapping(), is_refused=True)
    words = " ".join(f"word{number}" for number in range(200_000))
    honest = docx(f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p>")
    yield Attack("zip that lies about sizes", "a.docx", _with_claimed_size(honest, 100))
    yield Attack("zip cut off", "a.docx", honest[: len(honest) // 2])
    yield Attack("encrypted member", "a.docx", flagged_encrypted(honest), is_refused=True, reason="encrypted")


def _overlapping() -> bytes:
    """One compressed member that the directory lists a thousand times (Fifield 2019)."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(bytes(4 * MIB)) + packed.flush()
    name = b"word/document.xml"
    fields = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, zlib.crc32(bytes(4 * MIB)), len(data), 4 * MIB)
    local = b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name + data
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + fields
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1000, 1000, len(entry) * 1000, len(local), 0)
    return local + entry * 1000 + end


def _with_claimed_size(content: bytes, size: int) -> bytes:
    at = content.find(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", size) + content[at + 28 :]


def flagged_encrypted(content: bytes) -> bytes:
    """A container whose directory says that its first member is encrypted."""
    at = content.find(b"PK\x01\x02")
    return content[: at + 8] + b"\x01\x00" + content[at + 10 :]


def _xml() -> Iterator[Attack]:
    deep = docx("<w:p>" * 100_000 + "</w:p>" * 100_000, level=0)
    yield Attack("XML nesting", "a.docx", deep, is_refused=True, reason="levels")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><w:document {_W}><w:body><w:p>&l9;</w:p></w:body></w:document>'
    yield Attack("billion laughs", "a.docx", zipped({DOCUMENT: body.encode()}), is_refused=True, reason="entities")
    wide = body.encode("utf-16")
    yield Attack("billion laughs in UTF-16", "a.docx", zipped({DOCUMENT: wide}), is_refused=True)
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document {_W}>&x;</w:document>'
    yield Attack(
        "file as an entity", "a.docx", zipped({DOCUMENT: outside.encode()}), is_refused=True, reason="entities"
    )
    attributes = " ".join(f'a{number}="{number}"' for number in range(400_000))
    yield Attack("XML attributes", "a.docx", docx(f"<w:p {attributes}/>"))
    yield Attack("many XML elements", "a.docx", docx("<w:p/>" * 3_000_000, level=0))
    table = "<w:tbl><w:tr><w:tc>" * 60 + "</w:tc></w:tr></w:tbl>" * 60
    yield Attack("tables in tables", "a.docx", docx(table * 200))
    yield Attack("cells that span", "a.docx", docx(_spanning_row() * 20_000, level=0))


def _spanning_row() -> str:
    cell = '<w:tc><w:tcPr><w:gridSpan w:val="100000"/></w:tcPr><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc>'
    return f"<w:tbl><w:tr>{cell}</w:tr></w:tbl>"


def _pictures() -> Iterator[Attack]:
    yield Attack("pixel bomb", "a.png", png(60_000, 60_000), is_refused=True, reason="pixels")
    head = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b08") + struct.pack(">HH", 65500, 65500)
    yield Attack("JPEG that claims to be huge", "a.jpg", head + bytes.fromhex("01011100ffd9"), is_refused=True)
    yield Attack("TIFF that points to itself", "a.tif", _looping_tiff())
    yield Attack("many pictures in a TIFF", "a.tif", _many_frames(5000), is_refused=True, reason="pictures")


def _frame(at: int, following: int, *, side: int = 8) -> bytes:
    entries = [(256, 3, 1, side), (257, 3, 1, side), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, at), (278, 3, 1, side), (279, 4, 1, side)]
    return (
        struct.pack("<H", len(entries))
        + b"".join(struct.pack("<HHII", *each) for each in entries)
        + struct.pack("<I", following)
    )


def _looping_tiff() -> bytes:
    return b"II*\x00" + struct.pack("<I", 16) + bytes(8) + _frame(8, 16)


def _many_frames(count: int) -> bytes:
    size = len(_frame(0, 0))
    frames = (_frame(8, 16 + size * (number + 1) if number + 1 < count else 0) for number in range(count))
    return b"II*\x00" + struct.pack("<I", 16) + bytes(8) + b"".join(frames)


def _pdfs() -> Iterator[Attack]:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<<>>>>"
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(50_000))
    catalogue = b"<</Type/Catalog/Pages 2 0 R>>"
    pages = b"<</Type/Pages/Count 50000/Kids[%b]>>" % kids
    yield Attack("50,000 pages", "a.pdf", pdf([catalogue, pages, *[page] * 50_000]), is_refused=True, reason="pages")
    one = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
    many = b"<</Type/Pages/Count 2000000000/Kids[3 0 R]>>"
    yield Attack("pages that are only claimed", "a.pdf", pdf([catalogue, many, page]))
    huge = page.replace(b"612 792", b"9999999 9999999")
    yield Attack("a page of kilometres", "a.pdf", pdf([catalogue, one, huge]), is_refused=True, reason="points")
    yield Attack("a tree of pages that holds itself", "a.pdf", pdf([catalogue, b"<</Type/Pages/Count 9/Kids[2 0 R]>>"]))
    with_contents = page[:-2] + b"/Contents 4 0 R>>"
    text = b"BT /F1 12 Tf " + b"(spam) Tj 0 14 Td " * 2_000_000 + b"ET"
    yield Attack("a page of millions of words", "a.pdf", pdf([catalogue, one, _with_font(with_contents), stream(text)]))
    blank = stream(b" " * (400 * MIB))
    yield Attack("a stream that unpacks to 400 MiB", "a.pdf", pdf([catalogue, one, with_contents, blank]))
    yield Attack("arrays in arrays", "a.pdf", pdf([catalogue, one, page[:-2] + b"/X" + b"[" * 500_000 + b">>"]))
    yield Attack("forms in forms", "a.pdf", _nested_forms(catalogue, one))
    picture = stream(bytes(20_000 * 20_000 // 8), b"/Type/XObject/Subtype/Image/Width 20000/Height 20000" + _GREY)
    shown = page.replace(b"<<>>", b"<</XObject<</I 5 0 R>>>>")[:-2] + b"/Contents 4 0 R>>"
    yield Attack("a picture of 400 megapixels", "a.pdf", pdf([catalogue, one, shown, stream(b"/I Do"), picture]))
    yield Attack("a table of references that loops", "a.pdf", _looping_references())
    yield Attack("a page of 20,000 remarks", "a.pdf", _remarks(catalogue, one, 20_000))
    lines = b"".join(b"%d %d 40 5 re S\n" % (number % 600, number // 5) for number in range(3_999))
    yield Attack("a page of ruled lines", "a.pdf", pdf([catalogue, one, with_contents, stream(lines)]))


_GREY = b"/ColorSpace/DeviceGray/BitsPerComponent 1"


def _with_font(page: bytes) -> bytes:
    return page.replace(b"<<>>", b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>")


def _remarks(catalogue: bytes, pages: bytes, count: int) -> bytes:
    """A page with `count` typed remarks, all of which look the same."""
    listed = b" ".join(b"%d 0 R" % (number + 5) for number in range(count))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<<>>/Annots[%b]>>" % listed
    look = _with_font(b"/Type/XObject/Subtype/Form/BBox[0 0 200 14]/Resources<<>>")
    remark = b"<</Type/Annot/Subtype/FreeText/F 4/Rect[72 %d 272 %d]/AP<</N 4 0 R>>>>"
    remarks = [remark % (number % 700, number % 700 + 14) for number in range(count)]
    return pdf([catalogue, pages, page, stream(b"BT /F1 10 Tf (spam) Tj ET", look), *remarks])


def _nested_forms(catalogue: bytes, pages: bytes) -> bytes:
    """Ten forms, each of which shows the next ten times: ten thousand million words."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</XObject<</F 5 0 R>>>>/Contents 4 0 R>>"
    objects = [catalogue, pages, page, stream(b"/F Do")]
    for number in range(10):
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</F %d 0 R>>>>" % (number + 6)
        objects.append(stream(b"/F Do " * 10, entries))
    objects.append(stream(b"BT /F1 9 Tf (x) Tj ET", b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<<>>"))
    return pdf(objects)


def _looping_references() -> bytes:
    content = pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"])
    start = content.rfind(b"xref", 0, content.rfind(b"startxref"))
    return content.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % start)


def _sheets() -> Iterator[Attack]:
    corner = '<c r="XFD1048576"><v>1</v></c>'
    giant = f'<dimension ref="A1:XFD1048576"/><sheetData><row r="1048576">{corner}</row></sheetData>'
    yield Attack("a sheet of 17 billion cells", "a.xlsx", xlsx(giant), is_refused=True, reason="cells")
    hidden = f'<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576">{corner}</row></sheetData>'
    yield Attack("the same, not claimed", "a.xlsx", xlsx(hidden), is_refused=True, reason="cells")
    spaced = hidden.replace('r="XFD1048576"', "r = 'XFD1048576'").replace("<c r=", "<c\nr=")
    yield Attack("the same, written oddly", "a.xlsx", xlsx(spaced))
    overflow = '<sheetData><row r="4294967295"><c r="ZZZZZZ4294967295"><v>1</v></c></row></sheetData>'
    yield Attack("a cell beyond all columns", "a.xlsx", xlsx(overflow))
    yield Attack("repeated cells", "a.ods", _ods(columns=16_384, rows=1_048_576), is_refused=True, reason="cells")
    yield Attack("repeated rows of a few cells", "a.ods", _ods(columns=40, rows=1_000_000))
    yield Attack("numbers of repeats that overflow", "a.ods", _ods(columns=2**40, rows=2**40))


def _ods(*, columns: int, rows: int) -> bytes:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    cell = f'<table:table-cell table:number-columns-repeated="{columns}" office:value-type="string">'
    row = f'<table:table-row table:number-rows-repeated="{rows}">{cell}<text:p>x</text:p></table:table-cell>'
    sheet = f'<table:table table:name="One">{row}</table:table-row></table:table>'
    content = f"<office:document-content {spaces}><office:body><office:spreadsheet>{sheet}</office:spreadsheet>"
    content += "</office:body></office:document-content>"
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    return zipped({"mimetype": kind, "META-INF/manifest.xml": manifest.encode(), "content.xml": content.encode()})


def _mails() -> Iterator[Attack]:
    start = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: hello\r\n"
    flood = b"".join(b"X-Header-%d: value\r\n" % number for number in range(200_000))
    yield Attack("header flood", "a.eml", start + flood + b"\r\nbody", is_refused=True, reason="headers")
    long_line = b"X-Long: " + b"a" * (8 * MIB) + b"\r\n"
    yield Attack("one endless header", "a.eml", start + long_line + b"\r\nbody", is_refused=True, reason="header")
    subject = b"Subject: " + b" ".join(b"=?utf-8?q?a?=" for _ in range(4_000))
    yield Attack("encoded words", "a.eml", start.replace(b"Subject: hello", subject) + b"\r\nbody")
    parameters = b";\r\n ".join(b"name*%d*=utf-8''a" % number for number in range(3_000))
    typed = b"Content-Type: text/plain;\r\n " + parameters + b"\r\n"
    yield Attack("parameters of a type", "a.eml", start + typed + b"\r\nbody")
    yield Attack("parts in parts", "a.eml", start + _nested_parts(400) + b"body", is_refused=False)
    yield Attack("thousands of parts in parts", "a.eml", start + _nested_parts(20_000) + b"body", is_refused=True)
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    head = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    yield Attack("thousands of parts", "a.eml", start + head + part * 100_000, is_refused=True, reason="parts")
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + start
    yield Attack("mails in mails", "a.eml", start + forwarded * 3_000 + b"\r\nbody")
    groups = b"Cc: " + b"a:" * 20_000 + b"\r\n"
    yield Attack("groups of addresses", "a.eml", start + groups + b"\r\nbody")


def _nested_parts(depth: int) -> bytes:
    line = b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n'
    lines = [line % (number, number) for number in range(depth)]
    return b"MIME-Version: 1.0\r\n" + b"".join(lines) + b"\r\n"


def _markup() -> Iterator[Attack]:
    page = "<!DOCTYPE html><html><body>{}</body></html>".format
    yield Attack("HTML nesting", "a.html", page("<div>" * 300_000 + "deep").encode())
    yield Attack("inline nesting", "a.html", page("<b><i>" * 100_000 + "deep").encode())
    yield Attack("tables in tables of a page", "a.html", page("<table><tr><td>" * 3_000 + "deep").encode())
    attributes = " ".join(f"a{number}=1" for number in range(300_000))
    yield Attack("HTML attributes", "a.html", page(f"<p {attributes}>text</p>").encode())
    yield Attack("millions of tags", "a.html", page("<p>x" * 2_000_000).encode(), is_refused=True, reason="tags")
    span = '<tr><td colspan="99999999" rowspan="99999999">x</td></tr>'
    yield Attack("cells that span a page", "a.html", page(f"<table>{span * 2_000}</table>").encode())
    yield Attack("signs of tags", "a.html", page("<" * 2_000_000).encode())
    yield Attack("open comments", "a.html", page("<!-- " * 500_000).encode())
    yield Attack("quotes in a mark", "a.html", ("<html><nav class=" + '"' * 500_000).encode())


def _plain() -> Iterator[Attack]:
    yield Attack("RTF groups", "a.rtf", b"{\\rtf1 " + b"{" * 500_000 + b"x" + b"}" * 500_001, is_refused=True)
    yield Attack("RTF signs", "a.rtf", b"{\\rtf1 " + b"\\u8364?" * 1_000_000 + b"}")
    yield Attack("RTF that never ends a picture", "a.rtf", b"{\\rtf1{\\pict\\bin2000000000 " + b"\x00" * MIB)
    yield Attack("emphasis without an end", "a.md", b"# Title\n\n" + b"**a " * 400_000)
    yield Attack("brackets without an end", "a.md", b"# Title\n\n" + b"[" * 600_000 + b"](")
    yield Attack("links without an end", "a.md", b"# Title\n\n" + b"[a](" * 300_000)
    yield Attack("back ticks", "a.md", b"# Title\n\n" + b"".join(b"`" * (n % 900) + b"a" for n in range(4_000)))
    yield Attack("quotes in quotes", "a.md", b"# Title\n\n" + b">" * 2_000_000 + b"a")
    yield Attack("one line of cells", "a.csv", b"a,b,c\n" + b"," * 20_000_000)
    yield Attack("a quote that never ends", "a.csv", b'a,b,c\n1,2,3\n4,"' + b"x,y\n" * 3_000_000)
    yield Attack("one endless line", "a.txt", b"word " * (8 * MIB))
    yield Attack("nothing but line ends", "a.txt", b"a" + b"\n" * (30 * MIB) + b"b")
    yield Attack("marks upon marks", "a.txt", ("a" + "\u0301" * 5_000_000).encode())
    yield Attack("bytes of no encoding", "a.txt", bytes(range(128, 256)) * 40_000 + b"text " * 200_000)


def _compounds() -> Iterator[Attack]:
    empty = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    yield Attack("a compound of nothing", "a.doc", empty + b"\xff" * 4096, is_refused=True)
    loop = empty + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    loop += struct.pack("<IIIIIIIII", 0, 1, 0, 0, 4096, 0, 0, 0, 0) + struct.pack("<I", 0) * 109
    yield Attack("an allocation table that holds itself", "a.xls", loop + struct.pack("<I", 0) * 1024, is_refused=True)


def _damaged(content: bytes, chance: random.Random) -> bytes:
    """One to a few dozen wounds of a random kind."""
    data = bytearray(content)
    wounds: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _cut, _drop, _repeat, _blank, _inflate)
    wound = chance.choice(wounds)
    for _ in range(chance.choice((1, 1, 3, 30)) if wound in {_flip, _inflate} else 1):
        if data:
            wound(data, chance)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 2000)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    piece = data[at : at + chance.randrange(1, 2000)]
    data[at:at] = piece * chance.choice((1, 2, 50))


def _blank(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    size = min(chance.randrange(1, 500), len(data) - at)
    data[at : at + size] = bytes([chance.choice((0, 255))]) * size


def _inflate(data: bytearray, chance: random.Random) -> None:
    """A number made as large, or as negative, as it can be."""
    at = chance.randrange(max(1, len(data) - 4))
    data[at : at + 4] = struct.pack("<I", chance.choice((0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0, 0x00FFFFFF)))


def _with_damaged_member(content: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as container:
        members = {name: container.read(name) for name in container.namelist() if not name.endswith("/")}
    name = chance.choice(sorted(members))
    members[name] = _damaged(members[name], chance)
    return zipped(members, level=1)
