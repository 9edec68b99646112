"""What holds for any document: offsets after joining, reading order, tables, and readers fed with nonsense."""

from contextlib import suppress

import numpy as np
from attacks import docx, mutations, xlsx
from extracted import check_places, extracted, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import InvalidInput
from headrace_documents.joining import joined
from headrace_documents.readers.layout import cut_order, drawn_order, is_contradicted
from headrace_documents.readers.page_tables import Row, grids_of
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import Flow, Limits, Passage, Reading
from headrace_documents.schema import DocumentInfo

INFO = DocumentInfo(None, "text/plain", 0, "", None, 0, None, ocr=False, title=None)
CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BLOCKS = st.one_of(st.text(max_size=60), st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=4))
BOX = st.tuples(st.floats(0, 500), st.floats(0, 700), st.floats(1, 200), st.floats(4, 30))


def boxes_of(drawn) -> np.ndarray:
    return np.array([(x, y, x + width, y + height) for x, y, width, height in drawn], np.float32).reshape(-1, 4)


@given(st.lists(st.lists(BLOCKS, max_size=5), max_size=4))
@settings(deadline=None)
def test_offsets_of_joined_passages_fit_the_text(passages):
    readings = []
    for number, blocks in enumerate(passages, 1):
        flow = Flow(Limits())
        for block in blocks:
            if isinstance(block, str):
                flow.paragraph(block)
            else:
                flow.table(block)
        found = flow.passage()
        readings.append(Passage(found.characters, page=number, tables=found.tables))

    check_places(joined(Reading(tuple(readings)), INFO))


@given(st.lists(BOX, max_size=40))
@settings(deadline=None)
def test_every_line_of_a_page_is_read_once_in_either_order(drawn):
    boxes = boxes_of(drawn)

    assert sorted(cut_order(boxes).lines) == list(range(len(boxes)))
    assert drawn_order(boxes).lines == tuple(range(len(boxes)))
    assert is_contradicted(boxes) in {True, False}


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), BOX, st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_word_of_a_page_is_lost_or_doubled(drawn):
    lines = np.cumsum([starts for _, _, starts in drawn]).astype(np.int32)
    words = [word for word, _, _ in drawn]
    page = PageWords(words, lines, [False] * len(words), boxes_of([box for _, box, _ in drawn]))

    passage = passage_of(page, page=1, width=800.0, height=800.0)

    assert sorted(passage.characters.split()) == sorted(words)
    spans = zip(passage.places.starts, passage.places.ends, strict=True)
    assert sorted(passage.characters[start:end] for start, end in spans) == sorted(words)


@given(st.integers(2, 12), st.integers(2, 6))
@settings(deadline=None)
def test_rows_with_white_gutters_are_one_table(rows, columns):
    boxes = [(100 * column, 20 * row, 60, 10) for row in range(rows) for column in range(columns)]
    placed = [Row(columns * row, columns * (row + 1), 20.0 * row, 20.0 * row + 10) for row in range(rows)]
    is_list = columns == 2

    grids = grids_of(boxes_of(boxes), placed, ["word"] * len(boxes))

    if rows >= 3 or not is_list:
        assert [(grid.first_row, grid.last_row, len(grid.cells[0])) for grid in grids] == [(0, rows, columns)]


@given(st.binary(max_size=2000))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(content):
    # Whatever is raised but a plain refusal fails the test.
    with suppress(InvalidInput):
        check_places(extracted(content, "unknown"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_survives_a_word_file(words):
    escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = "".join(each for each in escaped if each in "\t\n" or (each >= " " and each not in "\ufffe\uffff"))

    text = extracted(docx(f"<w:p><w:r><w:t>{shown}</w:t></w:r></w:p>"), "a.docx")

    check_places(text)
    kept = "".join(each for each in words if each >= " " and each not in "\x7f\xad\ufffe\uffff")
    assert "".join(text.characters.split()) == "".join(kept.split())


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_damaged_documents_are_read_or_refused(seed):
    small = [
        docx("<w:p><w:r><w:t>The mill</w:t></w:r></w:p>"),
        xlsx('<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>'),
        sample("train/contract/mnda-quillon.rtf"),
        sample("inbox/message-2.eml"),
        sample("train/manual/corvella-duo.html"),
    ]
    content = small[seed % len(small)]
    for damaged in mutations(content, count=1, seed=seed):
        with suppress(InvalidInput):
            check_places(extracted(damaged, "unknown"))
