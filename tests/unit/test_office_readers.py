"""Readers of office files, mails and marked-up text, each by a document made for one trait."""

import io
import zipfile
from datetime import timedelta

import pytest
from attacks import docx, flagged_encrypted, xlsx, zipped
from extracted import check_places, extracted, sample
from lxml import etree
from PIL import Image

from headrace import InvalidInput, TooLarge, Unreadable, UnsupportedType
from headrace_documents.readers.charts import add_chart
from headrace_documents.readers.reader import Flow, Limits
from headrace_documents.readers.sheets import shown

W_P = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>".format


FIELD = '<w:fldChar w:fldCharType="{}"/>'.format

LOCKED = "It is encrypted.*without a password"


def locked_doc() -> bytes:
    """A Word file whose header says that its text is encrypted."""
    content = bytearray(sample("inbox/document1.doc"))
    content[content.index(b"\xec\xa5") + 0x0B] |= 1
    return bytes(content)


def locked_xls() -> bytes:
    """A workbook whose second record tells of a password."""
    content = bytearray(sample("inbox/libro1.xls"))
    first = content.index(b"\x09\x08\x10\x00\x00\x06\x05\x00")
    content[first + 20 : first + 22] = b"\x2f\x00"
    return bytes(content)


def locked_ppt() -> bytes:
    """Slides whose user's record has the mark of encrypted ones."""
    return sample("inbox/old-laptop.ppt").replace(b"\x5f\xc0\x91\xe3", b"\xdf\xc4\xd1\xf3")


def locked_odf() -> bytes:
    kind = b"application/vnd.oasis.opendocument.text"
    return zipped({"mimetype": kind, "META-INF/manifest.xml": b"<m><encryption-data/></m>", "content.xml": b"\x01\x02"})


def findings_of(text) -> set[str]:
    return {finding.code for finding in text.findings}


def test_word_text_boxes_content_controls_and_tracked_changes():
    box = f"<w:p><w:r><w:pict><w:txbxContent>{W_P('in a box')}</w:txbxContent></w:pict></w:r></w:p>"
    control = f"<w:sdt><w:sdtContent>{W_P('in a control')}</w:sdtContent></w:sdt>"
    changed = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>"

    text = extracted(docx(W_P("body") + box + control + changed), "a.docx")

    check_places(text)
    assert text.characters.split("\n\n") == ["body", "in a box", "in a control", "new"]


def test_word_tables_keep_spanned_places():
    wide = '<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>{}</w:tc>'.format(W_P("wide"))
    cells = "".join(f"<w:tc>{W_P(each)}</w:tc>" for each in ("a", "b"))

    text = extracted(docx(f"<w:tbl><w:tr>{wide}</w:tr><w:tr>{cells}</w:tr></w:tbl>"), "a.docx")

    assert text.tables[0].rows == (("wide", ""), ("a", "b"))


def test_a_word_file_whose_end_is_lost_is_read_from_what_is_left():
    content = zipped({"word/document.xml": docx_body("The mill stands."), "word/media/a.bin": bytes(range(256)) * 400})

    text = extracted(content[: len(content) - 120], "a.docx")

    assert "The mill stands." in text.characters
    assert "second_engine" in findings_of(text)


def docx_body(words: str) -> bytes:
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return f'<w:document xmlns:w="{namespace}"><w:body>{W_P(words)}</w:body></w:document>'.encode()


def test_a_word_file_of_the_strict_form_is_read_as_any_other():
    strict = "http://purl.oclc.org/ooxml/wordprocessingml/main"
    body = W_P("The mill stands by the river.")

    text = extracted(zipped({"word/document.xml": f'<w:document xmlns:w="{strict}">{body}</w:document>'.encode()}))

    assert text.characters == "The mill stands by the river."


def test_an_equation_in_a_word_file_is_written_on_one_line():
    space = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    run = "<m:r><m:t>{}</m:t></m:r>".format
    power = f"<m:sSup><m:e>{run('r')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    root = f"<m:rad><m:deg/><m:e>{run('n+1')}</m:e></m:rad>"
    fraction = f"<m:f><m:num>{run('a')}</m:num><m:den>{root}</m:den></m:f>"
    sign = '<m:naryPr><m:chr m:val="∑"/></m:naryPr>'
    total = f"<m:nary>{sign}<m:sub>{run('k=0')}</m:sub><m:sup>{run('n')}</m:sup><m:e>{run('k')}</m:e></m:nary>"
    bracket = f"<m:d><m:e>{run('x')}</m:e></m:d>"

    text = extracted(
        docx(f"<w:p><m:oMath {space}>{run('A=π')}{power}{run('+')}{fraction}{total}{bracket}</m:oMath></w:p>")
    )

    assert text.characters == "A=πr^2+a/(√(n+1))∑_(k=0)^n k(x)"


def test_a_sheet_is_named_and_its_cells_shown_as_people_see_them():
    row = '<row r="1"><c r="A1"><v>3</v></c><c r="B1"><v>2.5</v></c><c r="C1" t="b"><v>1</v></c></row>'
    second = '<row r="2"><c r="A2" t="inlineStr"><is><t>text</t></is></c></row>'

    text = extracted(xlsx(f"<sheetData>{row}{second}</sheetData>"), "a.xlsx")

    check_places(text)
    assert text.characters == "One\n\n3\t2.5\tTRUE\ntext\t\t"
    assert text.tables[0].rows == (("3", "2.5", "TRUE"), ("text", "", ""))


MAIL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"
MIXED = b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n'
ENVELOPED = (
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)
OPENPGP = b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="x"\r\n\r\n'


def test_a_mail_gives_subject_and_body_and_names_attachments():
    body = b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe mill stands.\r\n"
    attached = (
        b"--x\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=note.txt\r\n\r\nhidden\r\n"
    )

    text = extracted(MAIL + MIXED + body + attached + b"--x--\r\n", "a.eml")

    assert text.characters == "Grüße\n\nThe mill stands."
    assert text.document.title == "Grüße"
    assert [f.detail for f in text.findings if f.code == "attachment"] == ["Attached: note.txt"]


def test_a_mail_within_a_mail_is_read_after_its_subject():
    inner = b"From: c@example.org\r\nSubject: The old wheel\r\n\r\nIt stands.\r\n"
    part = b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + inner

    text = extracted(MAIL + MIXED + part + b"--x--\r\n", "a.eml")

    assert text.characters == "Grüße\n\nThe old wheel\n\nIt stands."


def test_a_mail_of_html_alone_is_read_with_its_table():
    page = b"<p>Order</p><table><tr><td>a</td><td>1</td></tr><tr><td>b</td><td>2</td></tr></table>"

    text = extracted(MAIL + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page, "a.eml")

    check_places(text)
    assert text.tables[0].rows == (("a", "1"), ("b", "2"))


def test_of_alternatives_the_plain_one_is_read_once():
    plain = b"--x\r\nContent-Type: text/plain\r\n\r\nThe mill.\r\n"
    rich = b"--x\r\nContent-Type: text/html\r\n\r\n<p>The mill.</p>\r\n--x--\r\n"
    head = b'Content-Type: multipart/alternative; boundary="x"\r\n\r\n'

    text = extracted(MAIL + head + plain + rich, "a.eml")

    assert text.characters.count("The mill.") == 1


def test_a_letter_that_quotes_a_mail_is_a_text_when_it_says_so():
    content = b"From: A\nTo: B\nDate: today\nSubject: C\n\nThe body."

    text = extracted(content, "a.txt")

    assert text.document.media_type == "text/plain"
    assert text.characters.startswith("From: A")


def test_html_leaves_menus_and_scripts_out_and_keeps_tables():
    rows = "<tr><th>Item</th><th>Price</th></tr><tr><td rowspan=2>Mill</td><td>1</td></tr><tr><td>2</td></tr>"
    article = "<p>" + "The mill stands by the river and grinds the corn of three villages. " * 12 + "</p>"
    page = (
        "<html><head><title>Mill</title><script>evil()</script></head><body><nav><a href=x>Home</a></nav><main>"
        f"<h1>Mill</h1>{article}<table>{rows}</table></main><footer>Imprint</footer></body></html>"
    )

    text = extracted(page.encode(), "a.html")

    check_places(text)
    assert "evil" not in text.characters
    assert "Imprint" not in text.characters
    assert text.document.title == "Mill"
    assert text.tables[0].rows == (("Item", "Price"), ("Mill", "1"), ("", "2"))


def test_a_long_html_table_is_read_whole():
    rows = "".join(f"<tr><td>row {number}</td><td>{number}</td></tr>" for number in range(3000))

    text = extracted(f"<html><body><table>{rows}</table></body></html>".encode(), "a.html")

    assert len(text.tables[0].rows) == 3000


def test_markdown_loses_its_marks_and_keeps_its_words():
    content = "# The mill\n\nIt is **very** old, see [the page](https://example.org/a), `code` and *more*.\n\n"
    content += "| a | b |\n|---|---|\n| 1 | 2 |\n"

    text = extracted(content.encode(), "a.md")

    check_places(text)
    assert text.characters == "The mill\n\nIt is very old, see the page, code and more.\n\na\tb\n1\t2"
    assert text.document.title == "The mill"


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_csv_is_one_table_whatever_parts_its_cells(sign):
    rows = [["name", "town", "sum"], ["Ada", "Ulm, Donau", "1.5"], ["Ben", "Bern", "2"]]
    lines = [sign.join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows]

    text = extracted("\r\n".join(lines).encode(), "a.csv")

    assert text.tables[0].rows == tuple(tuple(row) for row in rows)


def test_rtf_reads_its_code_page_and_tables():
    content = (
        rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2 \u8364?\par\trowd a\cell b\cell\row c\cell d\cell\row}"
    )

    text = extracted(content, "a.rtf")

    assert text.characters.startswith("Привет €")
    assert ("c", "d") in text.tables[0].rows


@pytest.mark.parametrize(
    ("content", "filename", "error", "reason"),
    [
        (b"", "a.pdf", Unreadable, "It is empty. Send the document"),
        (b" \n\x00\n", "a.txt", Unreadable, "nothing but blanks"),
        (b"\x7fELF" + bytes(200), "a.pdf", UnsupportedType, "a program.*These are read"),
        (b"GIF89a" + bytes(100), "a.gif", UnsupportedType, "a GIF picture"),
        (b"PK\x03\x04" + b"\x00" * 50, "a.docx", Unreadable, "damaged.*send it again"),
        (zipped({"a.txt": b"text"}), "a.zip", UnsupportedType, "holds no office document. Unpack it"),
        (flagged_encrypted(zipped({"a.txt": b"text"})), "a.zip", Unreadable, "an encrypted ZIP archive. Unpack it"),
        (flagged_encrypted(docx("")), "a.docx", Unreadable, LOCKED),
        (locked_doc(), "a.doc", Unreadable, LOCKED),
        (locked_xls(), "a.xls", Unreadable, LOCKED),
        (locked_ppt(), "a.ppt", Unreadable, LOCKED),
        (locked_odf(), "a.odt", Unreadable, LOCKED),
        (MAIL + ENVELOPED + b"MIAGCSqGSIb3DQEHA6CAMIACAQ==", "a.eml", Unreadable, "encrypted.*save it decrypted"),
        (MAIL + OPENPGP + b"--x--\r\n", "a.eml", Unreadable, "encrypted.*save it decrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600, "a.doc", Unreadable, "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 64, "a.png", Unreadable, "damaged.*anew"),
        (bytes(range(1, 32)) * 40, "a.bin", UnsupportedType, "no kind that is known"),
        (b"{\\rtf1 " + b"{" * 2000 + b"x" + b"}" * 2001, "a.rtf", TooLarge, "2,001 nested groups"),
    ],
)
def test_what_cannot_be_read_is_refused_with_reason_and_remedy(content, filename, error, reason):
    with pytest.raises(error, match=reason):
        extracted(content, filename)


def test_a_wrong_name_is_told_and_read_all_the_same():
    text = extracted(docx(W_P("The mill stands by the river.")), "invoice.pdf")

    assert text.characters == "The mill stands by the river."
    assert "wrong_extension" in findings_of(text)


def test_a_mail_and_an_rtf_that_were_cut_off_say_so():
    mail = MAIL + MIXED + b"--x\r\nContent-Type: text/plain\r\n\r\nThe mill stands.\r\n--x--\r\n"
    rich = rb"{\rtf1\ansi The mill stands by the river.\par}"

    for content, name in ((mail, "a.eml"), (rich, "a.rtf")):
        assert "truncated" not in findings_of(extracted(content, name))
        text = extracted(content[:-8], name)
        assert "The mill stand" in text.characters
        assert "truncated" in findings_of(text)


def test_a_fax_that_was_cut_off_is_refused_in_words():
    with pytest.raises(Unreadable, match=r"The picture is damaged.*send it again"):
        extracted(sample("inbox/fax-0007.tif")[:9000], "a.tif")


def test_a_document_over_the_size_limit_is_refused():
    with pytest.raises(TooLarge, match="bytes"):
        extracted(b"a" * (50 * 1024 * 1024 + 1), "a.txt")


def test_every_refusal_is_wrong_input_to_the_caller():
    assert all(issubclass(each, InvalidInput) for each in (TooLarge, Unreadable, UnsupportedType))


def test_a_picture_without_any_text_says_so():
    output = io.BytesIO()
    Image.new("L", (400, 200), 255).save(output, format="PNG")

    text = extracted(output.getvalue(), "a.png")

    assert "no_text_found" in findings_of(text)


def test_an_ods_whose_sheets_break_off_is_read_as_far_as_they_go():
    with zipfile.ZipFile(io.BytesIO(sample("inbox/book1.ods"))) as container:
        members = {name: container.read(name) for name in container.namelist()}
    sheets = members["content.xml"]
    members["content.xml"] = sheets[: sheets.rindex(b"<text:p>") + 4]

    text = extracted(zipped(members), "a.ods")

    assert text.tables[0].rows[0] == extracted(sample("inbox/book1.ods"), "a.ods").tables[0].rows[0]


@pytest.mark.parametrize(
    ("record", "wound"),
    [
        (b"\x00\x02\x0e\x00", b"\x00\x00\x00\x00\x1c\x00\xaf\x00\x00\x00\x05\x00"),
        (b"\xfd\x00\x0a\x00", b"\xff\xff\xff\xff"),
    ],
    ids=["claimed", "of the outermost cell"],
)
def test_a_workbook_that_would_unfold_to_millions_of_cells_is_refused(record, wound):
    content = bytearray(sample("inbox/libro1.xls"))
    start = content.index(record) + len(record)
    content[start : start + len(wound)] = wound

    with pytest.raises(TooLarge, match="cells"):
        extracted(bytes(content), "a.xls")


@pytest.mark.parametrize("size", range(700, 8700, 800))
def test_a_workbook_cut_off_is_refused_though_its_library_panics(size):
    with pytest.raises(InvalidInput, match=r"damaged|compound file"):
        extracted(sample("inbox/libro1.xls")[:size], "a.xls")


XHTML = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head>{}</head><body>{}</body></html>'.format


def test_elements_that_close_themselves_hold_nothing():
    body = '<a id="p1"/><h1>One</h1><p>The mill stands<br/> by the river.</p><textarea/><p>Last.</p>'

    text = extracted(XHTML('<title/><script src="x.js"/>', body).encode(), "a.xhtml")

    assert text.characters.split() == ["One", "The", "mill", "stands", "by", "the", "river.", "Last."]


def test_what_a_page_hides_is_not_read():
    markup = '<p>Shown</p><div style="color:red; display : none">b<p>c</p></div><p>Too</p>'
    hidden = "<span style='visibility:hidden'>y</span>"
    table = f"<table><tr><td>x{hidden}</td><td>z</td></tr><tr><td>1</td><td>2</td></tr></table>"

    text = extracted(f"<html><body>{markup}{table}</body></html>".encode(), "a.html")

    assert text.characters == "Shown\n\nToo\n\nx\tz\n1\t2"


def test_the_caption_of_a_table_stands_above_it():
    rows = "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>"

    text = extracted(f"<html><body><table><caption>Parts</caption>{rows}</table></body></html>".encode(), "a.html")

    assert text.characters == "Parts\n\na\tb\nc\td"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("euc_kr", "항만 위원회는 모였다."), ("iso2022_jp", "港湾委員会は火曜日に協議した。")],
)
def test_pages_that_do_not_name_their_encoding(encoding, words):
    content = b"<html><body><p>" + words.encode(encoding) + b"</p></body></html>"

    assert extracted(content, "a.html").characters == words


def mail(kind: str, body: str) -> bytes:
    head = f"From: a@example.org\nTo: b@example.org\nSubject: News\nMIME-Version: 1.0\nContent-Type: {kind}\n\n"
    return (head + body).replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("more", "body", "expected"),
    [
        ("", "The board met \non Tuesday.\nIt ended late.", "The board met on Tuesday.\nIt ended late."),
        ("; delsp=yes", "Hafen \nmeister", "Hafenmeister"),
        ("", "> quoted and \n> goes on\nanswer", "> quoted and goes on\nanswer"),
        ("", "Bye\n-- \nAnn", "Bye\n--\nAnn"),
    ],
)
def test_lines_broken_for_the_way_are_whole_again(more, body, expected):
    text = extracted(mail(f"text/plain; format=flowed{more}", body), "a.eml")

    assert text.characters == f"News\n\n{expected}"


def test_style_sheets_in_a_mail_are_no_text():
    parts = "--x\nContent-Type: text/html\n\n<p>Saved page</p>\n--x\nContent-Type: text/css\n\np {color: red}\n--x--\n"

    text = extracted(mail('multipart/related; boundary="x"', parts), "a.mht")

    assert text.characters == "News\n\nSaved page"


def test_elements_that_are_unknown_stand_in_the_middle_of_a_line():
    page = "<html><body><p>Due on <sdfield type=DATETIME>1 May 2024</sdfield>, <my-sum>40 €</my-sum>.</p></body></html>"

    assert extracted(page.encode(), "a.html").characters == "Due on 1 May 2024, 40 €."


def test_lines_of_a_cell_are_parted_by_a_blank():
    rows = "<tr><td>one<br>two</td><td><b>three</b></td></tr><tr><td>four<p>five</p></td><td>six</td></tr>"

    text = extracted(f"<html><body><table>{rows}</table></body></html>".encode(), "a.html")

    assert text.tables[0].rows == (("one two", "three"), ("four five", "six"))


@pytest.mark.parametrize(
    "ruby",
    [
        "<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>",
        "<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>",
        "<ruby>漢字<rt><span>かんじ</span></rt></ruby>",
        "<ruby>漢字<rt>かんじ</ruby>",
    ],
)
@pytest.mark.parametrize("frame", ["", "<nav><a href='/'>目次</a></nav>"])
def test_readings_above_ideographs_of_a_page_are_left_out(ruby, frame):
    page = f"<html><body>{frame}<main><p>{ruby}を読むのはたいへん楽しいことです。</p></main></body></html>"

    assert extracted(page.encode(), "a.html").characters == "漢字を読むのはたいへん楽しいことです。"


@pytest.mark.parametrize(
    "number",
    [
        '<w:fldSimple w:instr=" PAGE "><w:r><w:t>3</w:t></w:r></w:fldSimple>',
        f"<w:r>{FIELD('begin')}<w:instrText>NUMPAGES</w:instrText>{FIELD('separate')}<w:t>3</w:t>{FIELD('end')}</w:r>",
    ],
)
def test_a_footer_is_read_without_the_number_of_the_page_and_with_its_table(number):
    cells = "".join(
        f"<w:tc>{cell}</w:tc>" for cell in (W_P("Ashby Fold"), f"<w:p>{number}<w:r><w:t>left</w:t></w:r></w:p>")
    )
    namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    footer = f'<w:ftr xmlns:w="{namespace}"><w:tbl><w:tr>{cells}</w:tr></w:tbl></w:ftr>'

    text = extracted(docx(W_P("Body of 3"), **{"word/footer1.xml": footer.encode()}), "a.docx")

    assert text.characters == "Body of 3\n\nAshby Fold\tleft"
    assert text.tables[0].rows == (("Ashby Fold", "left"),)


def test_hidden_runs_and_readings_above_ideographs_are_left_out():
    hidden = "<w:p><w:r><w:t>Shown </w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret </w:t></w:r>"
    hidden += '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>too</w:t></w:r></w:p>'
    ruby = "<w:p><w:r><w:ruby><w:rt><w:r><w:t>とう</w:t></w:r></w:rt>"
    ruby += "<w:rubyBase><w:r><w:t>東</w:t></w:r></w:rubyBase></w:ruby>"

    assert extracted(docx(f"{hidden}{ruby}</w:r></w:p>"), "a.docx").characters == "Shown too\n\n東"


CHART = (
    '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><c:chart><c:title><c:tx><c:rich><a:p><a:r>'
    "<a:t>Exports by season</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart><c:ser>"
    "<c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>Tons</c:v></c:pt></c:strCache></c:strRef></c:tx>"
    "<c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>Spring</c:v></c:pt><c:pt idx='1'><c:v>Summer</c:v></c:pt>"
    "</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:pt idx='0'><c:v>12</c:v></c:pt>"
    "<c:pt idx='1'><c:v>15</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart>"
    "</c:chartSpace>"
)


@pytest.mark.parametrize("chart", [CHART, CHART.replace("</c:cat>", f"<c:pt idx='{'9' * 5000}'/></c:cat>")])
def test_the_figures_of_a_chart_are_a_table(chart):
    relation = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/chart" Target="charts/chart1.xml"/>'
        "</Relationships>"
    )
    parts = {"word/_rels/document.xml.rels": relation.encode(), "word/charts/chart1.xml": chart.encode()}
    with zipfile.ZipFile(io.BytesIO(docx(W_P("body")))) as plain:
        members = {name: plain.read(name) for name in plain.namelist()}

    text = extracted(zipped({**members, **parts}), "a.docx")

    check_places(text)
    assert text.characters == "body\n\nExports by season\n\n\tTons\nSpring\t12\nSummer\t15"


def flat(kind: str, body: str) -> bytes:
    names = {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    }
    declared = " ".join(f'xmlns:{name}="{value}"' for name, value in names.items())
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    head = f'<?xml version="1.0"?><office:document {declared} office:mimetype="{mimetype}">'
    return f"{head}<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>".encode()


def test_open_documents_of_one_file_are_read_as_those_in_containers():
    letter = extracted(flat("text", "<text:p>The mill stands.</text:p>"), "a.fodt")
    rows = "".join(
        f"<table:table-row><table:table-cell><text:p>{a}</text:p></table:table-cell>"
        f"<table:table-cell><text:p>{b}</text:p></table:table-cell></table:table-row>"
        for a, b in (("Item", "Price"), ("Rope", "4"))
    ).replace("</table:table-row>", "<table:table-cell/></table:table-row>")
    sheet = extracted(flat("spreadsheet", f'<table:table table:name="Costs">{rows}</table:table>'), "a.fods")

    assert (letter.characters, letter.findings) == ("The mill stands.", ())
    assert (sheet.characters, sheet.findings) == ("Costs\n\nItem\tPrice\nRope\t4", ())


def test_a_line_that_tells_excel_the_separator_is_no_row():
    text = extracted(b"sep=;\r\nName;Price\r\nRope, thick;4\r\n", "a.csv")

    assert text.tables[0].rows == (("Name", "Price"), ("Rope, thick", "4"))


def test_spans_of_time_are_shown_in_hours():
    assert shown(timedelta(hours=30, minutes=5)) == "30:05:00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1 + 0.2, "0.3"), (-4.4000000000000004, "-4.4"), (1e21, "1e+21"), ("PT27H07M54S", "27:07:54"), ("PT1", "PT1")],
)
def test_a_cell_is_shown_without_the_noise_of_computing_and_spans_in_hours(value, expected):
    assert shown(value) == expected


def test_the_figures_of_a_chart_have_no_noise_of_computing():
    flow = Flow(Limits())

    add_chart(flow, etree.fromstring(CHART.replace("<c:v>12</c:v>", "<c:v>-4.4000000000000004</c:v>")))

    assert flow.tables[0].rows[1] == ("Spring", "-4.4")


def test_a_workbook_that_its_library_does_not_know_is_read_by_another():
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    names = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    row = "<table:table-row><table:table-cell><text:p>Rope</text:p></table:table-cell>"
    row += '<table:table-cell office:value-type="odd"><text:p>4</text:p></table:table-cell></table:table-row>'
    body = f'<office:spreadsheet><table:table table:name="Costs">{row * 2}</table:table></office:spreadsheet>'
    content = f"<office:document-content{names}><office:body>{body}</office:body></office:document-content>"

    text = extracted(zipped({"mimetype": kind, "content.xml": content.encode()}), "a.ods")

    assert text.characters == "Costs\n\nRope\t4\nRope\t4"
    assert "second_engine" in findings_of(text)


def test_the_title_of_a_workbook_is_that_of_its_properties():
    core = b'<core xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Costs</dc:title></core>'
    with zipfile.ZipFile(io.BytesIO(xlsx('<sheetData><row r="1"><c r="A1"><v>4</v></c></row></sheetData>'))) as plain:
        members = {name: plain.read(name) for name in plain.namelist()}

    text = extracted(zipped({**members, "docProps/core.xml": core}), "a.xlsx")

    assert text.document.title == "Costs"


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("Page one\x0cPage two\n\x0cPage three", "Page one\n\nPage two\n\nPage three"),
        ("N\x08NA\x08AM\x08ME\x08E\n  _\x08a_\x08b c", "NAME\n  ab c"),
        ("\x1b[1mFAILED\x1b[0m at \x1b[38;5;12mnoon\x1b[K", "FAILED at noon"),
        ("one\x0btwo", "one\ntwo"),
        ("a short line of\x00 words", "a short line of words"),
    ],
)
def test_text_made_for_printers_and_terminals_is_read_as_it_is_seen(printed, seen):
    assert extracted(printed.encode(), "a.txt").characters == seen


def test_quoted_text_of_xhtml_and_what_a_page_hides_until_it_is_asked_for():
    head = '<html xmlns="http://www.w3.org/1999/xhtml"><body>'
    page = f"{head}<p>seen</p><p hidden='hidden'>asked for</p><p><![CDATA[a < b > c]]></p><p>last</p></body></html>"

    assert extracted(page.encode(), "a.xhtml").characters == "seen\n\nasked for\n\na < b > c\n\nlast"


@pytest.mark.parametrize("frame", ["", "<nav><a href='/'>Home</a></nav>"])
def test_a_formula_in_a_page_stands_in_its_line(frame):
    half = "<mfrac><mn>1</mn><mrow><mi>n</mi><mo>+</mo><mn>2</mn></mrow></mfrac>"
    told = '<annotation encoding="application/x-tex">x = \\frac{1}{n+2}</annotation>'
    formula = f"<math><semantics><mrow><mi>x</mi><mo>=</mo>\n{half}</mrow>{told}</semantics></math>"
    line = f"<p>The share of each is {formula} of the whole that was left in the mill.</p>"

    text = extracted(f"<html><body>{frame}<main>{line}</main></body></html>".encode(), "a.html")

    assert text.characters == "The share of each is x=1/(n+2) of the whole that was left in the mill."


def test_the_words_of_boxes_and_the_titles_of_charts_on_a_sheet_stand_after_its_cells():
    schemas = "http://schemas.openxmlformats.org"
    office = f"{schemas}/officeDocument/2006/relationships"
    relation = (
        f'<Relationships xmlns="{schemas}/package/2006/relationships"><Relationship Id="r" Target="%s" Type="%s"/>'
    )
    below, above = (
        f"<xdr:twoCellAnchor><xdr:from><xdr:col>1</xdr:col><xdr:row>{row}</xdr:row></xdr:from>{shape}</xdr:twoCellAnchor>"
        for row, shape in (
            (20, box_of("See the terms.")),
            (3, f"<xdr:grpSp>{box_of('Draft', 'not approved')}</xdr:grpSp>"),
        )
    )
    drawing = (
        f'<xdr:wsDr xmlns:xdr="{schemas}/drawingml/2006/spreadsheetDrawing" xmlns:a="{schemas}/drawingml/2006/main">'
    )
    cells = '<sheetData><row r="1"><c r="A1"><v>4</v></c><c r="B1"><v>5</v></c></row></sheetData>'
    with zipfile.ZipFile(io.BytesIO(xlsx(cells))) as plain:
        members = {name: plain.read(name) for name in plain.namelist()}
    members["xl/worksheets/_rels/sheet1.xml.rels"] = (
        relation % ("../drawings/drawing1.xml", f"{office}/drawing") + "</Relationships>"
    ).encode()
    members["xl/drawings/drawing1.xml"] = f"{drawing}{below}{above}</xdr:wsDr>".encode()

    members["xl/drawings/_rels/drawing1.xml.rels"] = (
        relation % ("../charts/chart1.xml", f"{office}/chart") + "</Relationships>"
    ).encode()
    chart = f'<c:chart xmlns:c="{schemas}/drawingml/2006/chart" xmlns:a="{schemas}/drawingml/2006/main">'
    members["xl/charts/chart1.xml"] = (
        f"{chart}<c:title><a:t>Costs </a:t><a:t>of 2024</a:t></c:title></c:chart>".encode()
    )

    text = extracted(zipped(members), "a.xlsx")

    assert text.characters.endswith("4\t5\n\nDraft\nnot approved\n\nSee the terms.\n\nCosts of 2024")


def box_of(*lines: str) -> str:
    paragraphs = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f"<xdr:sp><xdr:txBody><a:bodyPr/>{paragraphs}</xdr:txBody></xdr:sp>"


def test_a_bound_that_no_setting_raises_says_so():
    with pytest.raises(TooLarge, match=r"It has 10,001 levels of nested elements.*No setting raises this"):
        extracted(b"<html><body>" + b"<div>" * 20_000 + b"x", "deep.html")
    with pytest.raises(TooLarge, match=r"raise the limit in \[services.text_extractor\]"):
        extracted(rb"{\rtf1" + b"{" * 2_000 + b"x" + b"}" * 2_001, "deep.rtf")
