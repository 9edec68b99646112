"""How truly and how fast documents are read, format by format, beside other readers in the same run.

    python benchmarks/extraction.py [--quick] [--only pdf,docx]

Reads `../shared/corpus` (or `HEADRACE_SHARED`): documents with the text they were made from. The character error is
edits per character of the truth, in Unicode's compatibility form and whatever the white space. Peers: plain pypdfium2,
pdf_oxide, and kreuzberg in a place of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import process_time
from typing import Any

import numpy as np
import pdf_oxide
import pypdfium2 as pdfium
from figures import ROOT, Figures, shared_folder
from rapidfuzz.distance import Levenshtein

from headrace import HeadraceError
from headrace_documents import media_types
from headrace_documents.engines import Engines
from headrace_documents.extraction import TextExtractionService
from headrace_documents.readers.reader import Limits
from headrace_documents.schema import Document, Text

PEERS = ROOT / ".headrace/peers/kreuzberg"
PEER_PACKAGES = ("kreuzberg==4.10.4",)
SCANS = {"scan", "mixed", "clean-200dpi", "noisy-skew", "150dpi-jpeg35", "3-page-g4"}
LEGACY = {"latin-1", "cp1251", "shift_jis", "gb18030", "iso8859-7"}
LAYOUTS = {"latex-1col", "latex-2col", "web", "office", "2col-shuffled", "rotated", "no-tounicode"}
TIMES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of the corpus and the truth about it."""

    path: Path
    form: str
    tags: frozenset[str]
    truth: str
    tables: list[list[list[str]]]

    @property
    def group(self) -> str:
        """What its figure is told under."""
        if self.form != "pdf":
            return self.form
        for tag in ("real-manual", "consensus"):
            if tag in self.tags:
                return f"pdf {tag}"
        if self.tags & SCANS:
            return "pdf scanned"
        return "pdf generated" if self.tags & LAYOUTS else "pdf languages"


@dataclass(slots=True)
class Score:
    """What one reader made of one document."""

    error: float
    rows_found: int = 0
    rows: int = 0
    misplaced: int = 0
    cpu_s: float = 0.0


def entries(corpus: Path, *, only: set[str], is_quick: bool) -> list[Entry]:
    """The documents that were asked for; the quick form leaves scans and long manuals out."""
    found = []
    for each in json.loads((corpus / "manifest.json").read_text(encoding="utf-8")):
        tags = frozenset(each["tags"])
        if (only and each["format"] not in only) or (is_quick and tags & (SCANS | {"real-manual"})):
            continue
        truth = (corpus / each["truth"]).read_text(encoding="utf-8")
        found.append(Entry(corpus / each["file"], each["format"], tags, truth, each["tables"] or []))
    return found


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def character_error(truth: str, found: str) -> float:
    expected = normal(truth)
    return Levenshtein.distance(expected, normal(found)) / max(1, len(expected))


def ours(entry: Entry, service: TextExtractionService) -> Score:
    """Our own reading, with every word and table held against the text."""
    document = Document(entry.path.read_bytes(), entry.path.name)
    begun = process_time()
    try:
        text: Text = asyncio.run(TextExtractionService.methods["extract"].run(service, document))
    except HeadraceError as failure:
        print(f"  {entry.path.name}: {failure}", file=sys.stderr)
        return Score(1.0)
    cpu_s = process_time() - begun
    rows = [[normal(cell) for cell in row] for table in text.tables for row in table.rows]
    wanted = [[normal(cell) for cell in row] for table in entry.tables for row in table]
    return Score(
        error=character_error(entry.truth, text.characters),
        rows_found=sum(row in rows for row in wanted),
        rows=len(wanted),
        misplaced=misplaced(text),
        cpu_s=cpu_s,
    )


def misplaced(text: Text) -> int:
    """How many words have an offset or a box that does not fit the text or the page; and characters without a word."""
    words = text.words
    wrong = int(np.sum(words.starts >= words.ends) + np.sum(words.ends[:-1] > words.starts[1:]))
    pages = {page.number: page for page in text.pages}
    for word in text.each_word():
        wrong += word.text.split() != [word.text]
        if word.box is None or word.page is None:
            continue
        page = pages[word.page]
        x0, y0, x1, y1 = word.box
        is_inside = 0 <= x0 <= x1 <= page.width + 0.01 and 0 <= y0 <= y1 <= page.height + 0.01
        wrong += not (is_inside and page.start <= word.start and word.end <= page.end)
    covered = sum(int(end - start) for start, end in zip(words.starts, words.ends, strict=True))
    return wrong + abs(covered - len("".join(text.characters.split())))


def plain_pdfium(path: Path) -> str:
    document = pdfium.PdfDocument(path)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in document)
    finally:
        document.close()


def plain_oxide(path: Path) -> str:
    document = pdf_oxide.PdfDocument.from_bytes(path.read_bytes())
    return "\n".join(document.extract_text(number) for number in range(document.page_count()))


def in_process_peer(read: Callable[[Path], str], entry: Entry) -> Score:
    begun = process_time()
    try:
        text = read(entry.path)
    # Whatever a peer raises is its answer to the document.
    except Exception:  # noqa: BLE001
        text = ""
    return Score(character_error(entry.truth, text), cpu_s=process_time() - begun)


def kreuzberg_scores(found: list[Entry]) -> list[Score] | None:
    """The readings of kreuzberg; None, and loudly, where it cannot be installed."""
    if not (PEERS / "bin/python").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(PEERS)], check=True)
        done = subprocess.run(
            [uv, "pip", "install", "-q", "--python", str(PEERS / "bin/python"), *PEER_PACKAGES], check=False
        )
        if done.returncode:
            print("SKIPPED: kreuzberg could not be installed; there is no such peer in this run.", file=sys.stderr)
            return None
    script = Path(__file__).parent / "peers/kreuzberg_texts.py"
    paths = "\n".join(str(entry.path) for entry in found)
    done = subprocess.run(
        [str(PEERS / "bin/python"), str(script)], input=paths, capture_output=True, text=True, check=True
    )
    answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        Score(character_error(entry.truth, answer["text"]), cpu_s=answer["cpu_s"])
        for entry, answer in zip(found, answers, strict=True)
    ]


def tell_fidelity(figures: Figures, found: list[Entry], service: TextExtractionService) -> None:
    readers = {"headrace": [ours(entry, service) for entry in found]}
    peer = kreuzberg_scores([entry for entry in found if not entry.tags & SCANS])
    if peer is not None:
        scores = iter(peer)
        readers["kreuzberg"] = [Score(float("nan")) if entry.tags & SCANS else next(scores) for entry in found]
    for name, read in (("pypdfium2", plain_pdfium), ("pdf_oxide", plain_oxide)):
        readers[name] = [
            in_process_peer(read, entry) if entry.form == "pdf" else Score(float("nan")) for entry in found
        ]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(found):
        groups[entry.group].append(index)
    for group, indices in sorted(groups.items()):
        for name, scores_of in readers.items():
            errors = [scores_of[index].error for index in indices if not math.isnan(scores_of[index].error)]
            if errors:
                figures.tell(
                    "character error", mean(errors), unit="share", of=group, reader=name, documents=len(errors)
                )
    own = readers["headrace"]
    rows, wanted = sum(score.rows_found for score in own), sum(score.rows for score in own)
    figures.tell("table rows found", rows / max(1, wanted), unit="share", rows=wanted)
    figures.tell("misplaced words", sum(score.misplaced for score in own), unit="words")
    legacy = [index for index, entry in enumerate(found) if entry.tags & LEGACY]
    if legacy:
        figures.tell("legacy-encoded text", mean(own[i].error == 0 for i in legacy), unit="share read", of="txt")


def tell_speed(figures: Figures, found: list[Entry]) -> None:
    """Pages of text with boxes a second of processor time, beside plain pdfium, each at its best of a few runs."""
    typed = [entry for entry in found if entry.form == "pdf" and not entry.tags & SCANS]
    contents = [entry.path.read_bytes() for entry in typed]
    pages = sum(len(pdfium.PdfDocument(content)) for content in contents)
    limits = Limits()
    reader = Engines.ready(limits, tessdata=None).quick[media_types.PDF]
    rates = {
        "headrace": _best(lambda: [reader(content, limits) for content in contents]),
        "pypdfium2": _best(lambda: [plain_pdfium(entry.path) for entry in typed]),
        "pdf_oxide": _best(lambda: [in_process_peer(plain_oxide, entry) for entry in typed]),
    }
    for name, seconds in rates.items():
        figures.tell("pages a CPU second", pages / seconds, unit="pages/s", reader=name, pages=pages)


def _best(read: Callable[[], object]) -> float:
    def once() -> float:
        begun = process_time()
        read()
        return process_time() - begun

    return min(once() for _ in range(TIMES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without scans and long manuals")
    parser.add_argument("--only", default="", help="formats of the corpus, parted by commas")
    options = parser.parse_args()
    corpus = shared_folder("corpus")
    if corpus is None:
        return
    figures = Figures("extraction", is_quick=options.quick)
    found = entries(corpus, only=set(filter(None, options.only.split(","))), is_quick=options.quick)
    service = TextExtractionService()
    service.ensure_loaded()
    tell_fidelity(figures, found, service)
    if any(entry.form == "pdf" for entry in found):
        tell_speed(figures, found)


if __name__ == "__main__":
    main()
