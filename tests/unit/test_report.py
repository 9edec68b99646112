"""The report shows what untrusted documents hold, and nothing of it may become markup."""

import asyncio
import re
import struct
import zlib
from html.parser import HTMLParser

import pytest

from headrace import Unreadable, Upload
from headrace_documents.report.marks import Kind, Mark, marked_text, page_overlay
from headrace_documents.report.report import HtmlReport

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def mark(key, start, end, kind=Kind.SUPPORTS):
    return Mark(key, kind, f"{key}: +1.00", start, end, None, ())


def body(*, evidence=(), sentences=(), media_type="text/plain", pages=None, label="invoice", findings=()):
    return {
        "document": {
            "filename": EVIL,
            "media_type": media_type,
            "size_bytes": 3,
            "sha256": "00",
            "pages": pages,
            "characters": 3,
            "language": "en",
            "ocr": False,
            "title": EVIL,
        },
        "classification": {
            "label": label,
            "confidence": 0.9,
            "probabilities": {label: 0.9, "letter": 0.1},
            "explanation": {"method": "additive", "base": 0.1, "rest": 0.2, "total": 1.3, "evidence": list(evidence)},
        },
        "summary": {"method": "extractive", "sentences": list(sentences)},
        "quality": {"verdict": "suspect", "findings": list(findings)},
    }


def png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(header))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names, self.attributes, self.text, self.ids = [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text += data


def parsed(page):
    tags = Tags()
    tags.feed(page)
    return tags


async def never(_request):
    raise AssertionError("Formats without pages have no pictures.")


def test_a_marked_text_reads_as_the_text_itself():
    text = "Amount due: 100 & <more>"

    found = parsed(marked_text(text, [mark("e1", 0, 10), mark("s1", 7, 15, Kind.SUMMARY)]))

    assert found.text == text


def test_overlapping_marks_are_both_shown_where_they_overlap():
    marked = marked_text("one two three", [mark("s1", 0, 7, Kind.SUMMARY), mark("e1", 4, 13)])

    assert re.search(r'<mark class="pro"[^>]*><mark class="sum"[^>]*>two</mark></mark>', marked)
    assert parsed(marked).ids == ["t-s1", "t-e1"]


def test_text_and_titles_of_marks_are_escaped():
    evil = Mark("e1", Kind.OPPOSES, EVIL, 0, 8, 1, ((0, 0, 10, 10),))

    tags = parsed(marked_text(EVIL, [evil]) + page_overlay([evil], width=100, height=100))

    assert set(tags.names) == {"mark", "svg", "a", "title", "rect"}
    assert "onerror" not in tags.attributes


def test_a_mark_beyond_the_text_is_left_out():
    assert marked_text("abc", [mark("e1", 2, 9)]) == "abc"


def test_boxes_are_drawn_in_points_of_the_page():
    drawn = page_overlay(
        [Mark("s1", Kind.SUMMARY, "x", 0, 1, 1, ((72.0, 100.0, 172.0, 112.0),))], width=595, height=842
    )

    assert 'viewBox="0 0 595.00 842.00"' in drawn
    assert '<rect x="72.00" y="100.00" width="100.00" height="12.00"' in drawn


async def test_a_document_that_is_made_to_harm_is_only_text_in_its_report(tmp_path):
    report = HtmlReport(tmp_path, never)
    evidence = [{"text": EVIL, "weight": -1.0, "start": 0, "end": 8, "occurrences": 1}]
    sentences = [{"text": EVIL, "score": 1.0, "start": 0, "end": len(EVIL)}]
    findings = [{"code": "attachment", "detail": EVIL}]

    await report.add(
        1, f"in/{EVIL}", Upload(b"x"), body(evidence=evidence, sentences=sentences, label=EVIL, findings=findings), EVIL
    )
    report.add_failure(EVIL, EVIL)
    index = await report.finish()

    pages = [index, *tmp_path.glob("documents/*.html")]
    assert len(pages) == 2
    for page in pages:
        tags = parsed(page.read_text(encoding="utf-8"))
        assert not {"script", "img", "iframe", "object"} & set(tags.names)
        assert not [name for name in tags.attributes if name.startswith("on")]
        assert "alert(" in tags.text
        assert len(tags.ids) == len(set(tags.ids))


async def test_nothing_in_a_report_is_fetched_from_elsewhere(tmp_path):
    report = HtmlReport(tmp_path, never)
    await report.add(1, "a.txt", Upload(b"x"), body(), "abc")
    index = await report.finish()

    for page in (index, *tmp_path.glob("documents/*.html")):
        assert not re.search(r"(src|href)=\"?(https?:)?//", page.read_text(encoding="utf-8"))
        assert "default-src 'none'" in page.read_text(encoding="utf-8")


async def test_marks_lie_on_the_picture_of_their_page(tmp_path):
    async def draw(_request):
        return png(1100, 2200)

    report = HtmlReport(tmp_path, draw)
    evidence = [
        {"text": "due", "weight": 1.0, "start": 0, "end": 3, "occurrences": 1, "page": 2, "boxes": [[1, 2, 3, 4]]}
    ]
    await report.add(1, "a.pdf", Upload(b"x"), body(evidence=evidence, media_type="application/pdf", pages=2), "due")

    page = next(tmp_path.glob("documents/*.html")).read_text(encoding="utf-8")
    second = page.partition('alt="Page 2"')[2]
    assert 'viewBox="0 0 720.00 1440.00"' in second
    assert 'id="p-e1"' in second
    assert 'href="#p-e1"' in page


async def test_a_page_that_cannot_be_drawn_leaves_its_marks_in_the_text(tmp_path):
    async def refuse(_request):
        raise Unreadable("It is damaged.")

    report = HtmlReport(tmp_path, refuse)
    evidence = [{"text": "due", "weight": 1.0, "start": 0, "end": 3, "occurrences": 1, "page": 1, "boxes": []}]
    await report.add(1, "a.pdf", Upload(b"x"), body(evidence=evidence, media_type="application/pdf", pages=1), "due")

    page = next(tmp_path.glob("documents/*.html")).read_text(encoding="utf-8")
    assert 'href="#t-e1"' in page
    assert 'id="t-e1"' in page


async def test_a_new_report_takes_the_old_ones_files_away_and_no_others(tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    first = HtmlReport(tmp_path, never)
    await first.add(1, "old.txt", Upload(b"x"), body(), "abc")
    await first.finish()

    second = HtmlReport(tmp_path, never)
    await second.add(1, "new.txt", Upload(b"x"), body(), "abc")
    await second.finish()

    assert [page.name for page in tmp_path.glob("documents/*")] == ["0001-new-txt.html"]
    assert (tmp_path / "mine.html").read_text() == "mine"


@pytest.mark.parametrize("ledger", ['["../../etc/passwd"]', "{", '{"a": 1}', '["documents/../../x.html"]'])
async def test_a_ledger_that_was_tampered_with_removes_nothing_outside(tmp_path, ledger):
    outside = tmp_path / "x.html"
    outside.write_text("kept")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / ".headrace-report.json").write_text(ledger)

    await asyncio.wait_for(HtmlReport(folder, never).finish(), 10)

    assert outside.read_text() == "kept"
