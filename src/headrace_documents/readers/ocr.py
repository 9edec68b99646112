"""Pages that are pictures: read by Tesseract in this process, with the box and confidence of every word."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from tesserocr import OEM, PSM, RIL, PyTessBaseAPI, iterate_level

from headrace import current_context
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import NOT_READ, Passage
from headrace_documents.readers.tessdata import Tessdata
from headrace_documents.schema import Finding

DPI = 300
LOW_CONFIDENCE = 60
LEAST_CONFIDENCE = 25
ENDING_S = 0.3
"""What is left of the caller's time for all that comes after a page was recognised."""
PAGE_S = 4.0
"""What a page takes at most when all is well: with less time left it is not begun."""

# Which languages are tried for a script that was recognised, of those that are installed.
_SCRIPTS = {
    "Latin": ("eng", "deu", "fra", "spa", "ita", "por", "nld", "pol", "tur", "swe", "ces"),
    "Cyrillic": ("rus", "ukr", "bul", "srp", "eng"),
    "Greek": ("ell", "eng"),
    "Arabic": ("ara", "fas"),
    "Hebrew": ("heb",),
    "Han": ("chi_sim", "chi_tra", "jpn"),
    "Hiragana": ("jpn",),
    "Katakana": ("jpn",),
    "Japanese": ("jpn",),
    "Hangul": ("kor",),
    "Korean": ("kor",),
    "Devanagari": ("hin",),
    "Thai": ("tha",),
}
_AT_ONCE = 4


@dataclass(slots=True)
class Ocr:
    """Tesseract with the language data of one folder; engines are loaded when first needed and kept."""

    folder: str | None
    languages: tuple[str, ...]
    is_skipped: bool = False
    _engines: dict[str, PyTessBaseAPI] = field(default_factory=dict)

    @classmethod
    def found(cls, folder: str | None = None) -> Ocr:
        """With the data of `folder`, or of the first usual place that has any."""
        data = Tessdata.found(folder)
        return cls(folder=data.folder, languages=data.languages)

    @classmethod
    def skipped(cls) -> Ocr:
        """One that reads no page and says so: for answers that have to be quick."""
        return cls(folder=None, languages=(), is_skipped=True)

    @property
    def is_available(self) -> bool:
        """Whether there is any language to read."""
        return self.folder is not None

    def read(
        self, picture: Image.Image, *, page: int, width: float, height: float
    ) -> tuple[Passage, tuple[Finding, ...]]:
        """The passage of a page from its grey picture, and what is to be said of it; sizes in points as shown."""
        if not self.is_available:
            notice = _SKIPPED if self.is_skipped else _UNAVAILABLE
            return _empty(page, width, height), (notice.on(page),)
        remaining_s = current_context().remaining_s()
        if remaining_s is not None and remaining_s < PAGE_S:
            return _empty(page, width, height), (_NO_TIME.on(page),)
        turn, script = self._orientation(picture)
        upright = picture.rotate(turn, expand=True, fillcolor=255) if turn else picture
        words, confidences = self._words(upright, self._languages_for(script))
        if words is None:
            return _empty(page, width, height), (_NO_TIME.on(page),)
        passage = passage_of(
            _turned_back(words, turn, picture.size, width, height), page=page, width=width, height=height, ocr=True
        )
        findings = []
        if confidences:
            passage = replace(passage, ocr_confidence=float(np.mean(confidences)) / 100)
        if not passage.characters:
            findings.append(Finding("no_text_on_page", "No text was found on this page.", page=page))
        elif float(np.mean(confidences)) < LOW_CONFIDENCE:
            detail = f"The scan is hard to read: Tesseract is {np.mean(confidences):.0f} % sure of its words."
            findings.append(Finding("low_ocr_confidence", detail, page=page))
        return passage, tuple(findings)

    def close(self) -> None:
        """Gives the engines' memory back."""
        for engine in self._engines.values():
            engine.End()
        self._engines.clear()

    def _orientation(self, picture: Image.Image) -> tuple[int, str]:
        """Degrees by which the picture has to be turned counter-clockwise to stand upright, and its script."""
        if "osd" not in self.languages:
            return 0, "Latin"
        engine = self._engine("osd", mode=PSM.OSD_ONLY)
        engine.SetImage(_smaller(picture))
        found = engine.DetectOrientationScript()
        if not found:
            return 0, "Latin"
        turn = int(found["orient_deg"]) if found["orient_conf"] > 2.0 else 0
        script = str(found["script_name"]) if found["script_conf"] > 1.0 else "Latin"
        return turn, script

    def _languages_for(self, script: str) -> str:
        present = [each for each in _SCRIPTS.get(script, ()) if each in self.languages]
        present = present or [each for each in ("eng",) if each in self.languages]
        return "+".join((present or [each for each in self.languages if each != "osd"])[:_AT_ONCE])

    def _engine(self, languages: str, *, mode: int) -> PyTessBaseAPI:
        if languages not in self._engines:
            engine = PyTessBaseAPI(
                path=self.folder, lang=languages, psm=mode, oem=OEM.LSTM_ONLY if mode else OEM.DEFAULT
            )
            self._engines[languages] = engine
        return self._engines[languages]

    def _words(self, picture: Image.Image, languages: str) -> tuple[PageWords | None, list[float]]:
        engine = self._engine(languages, mode=PSM.AUTO)
        engine.SetImage(picture)
        engine.SetSourceResolution(DPI)
        remaining_s = current_context().remaining_s()
        given_ms = 0 if remaining_s is None else max(1, int(1000 * (remaining_s - ENDING_S)))
        if not engine.Recognize(given_ms):
            engine.Clear()
            return None, []
        words: list[str] = []
        lines: list[int] = []
        boxes: list[tuple[float, float, float, float]] = []
        confidences: list[float] = []
        line = -1
        found = engine.GetIterator()
        for each in iterate_level(found, RIL.WORD) if found else ():
            if each.IsAtBeginningOf(RIL.TEXTLINE):
                line += 1
            text = _text_of(each)
            confidence = float(each.Confidence(RIL.WORD))
            if text and confidence >= LEAST_CONFIDENCE:
                words.append(text)
                lines.append(max(line, 0))
                boxes.append(each.BoundingBox(RIL.WORD))
                confidences.append(confidence)
        engine.Clear()
        joined = _unbroken(words, lines)
        return (
            PageWords(
                words=words,
                lines=np.array(lines, dtype=np.int32),
                joined=joined,
                boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            ),
            confidences,
        )


def _text_of(word: object) -> str:
    """The text of one word; Tesseract raises where it saw a word and could read none."""
    try:
        return str(word.GetUTF8Text(RIL.WORD) or "").strip()  # type: ignore[attr-defined]
    except RuntimeError:
        return ""


@dataclass(frozen=True, slots=True)
class _Notice:
    code: str
    detail: str

    def on(self, page: int) -> Finding:
        return Finding(self.code, self.detail, page=page)


_SKIPPED = _Notice(NOT_READ, "This page is a picture, and pictures were not read, to answer at once.")
_NO_TIME = _Notice(NOT_READ, "The time was too short to read this page, which is a picture.")
_UNAVAILABLE = _Notice(
    "ocr_unavailable",
    "This page is a picture, and no Tesseract language data is installed (Debian: tesseract-ocr-eng).",
)


def _empty(page: int, width: float, height: float) -> Passage:
    return Passage(characters="", page=page, width=width, height=height, ocr=True)


def _smaller(picture: Image.Image) -> Image.Image:
    """Orientation is seen at half the size as well, in a quarter of the time."""
    return picture.resize((picture.width // 2, picture.height // 2)) if min(picture.size) > 1600 else picture


def _unbroken(words: list[str], lines: list[int]) -> list[bool]:
    """Marks words that go on from a hyphen at the end of the line before, and takes that hyphen away."""
    joined = [False] * len(words)
    for index in range(1, len(words)):
        before = words[index - 1]
        is_broken = lines[index] == lines[index - 1] + 1 and len(before) > 2 and before[-1] in "-\u2010\xad"
        if is_broken and before[-2].isalpha() and words[index][:1].islower():
            words[index - 1] = before[:-1]
            joined[index] = True
    return joined


def _turned_back(words: PageWords, turn: int, size: tuple[int, int], width: float, height: float) -> PageWords:
    """Boxes in pixels of the upright picture as points of the page as it came."""
    x0, y0, x1, y1 = words.boxes.T
    across, down = size
    if turn == 90:
        turned = (across - y1, x0, across - y0, x1)
    elif turn == 180:
        turned = (across - x1, down - y1, across - x0, down - y0)
    elif turn == 270:
        turned = (y0, down - x1, y1, down - x0)
    else:
        turned = (x0, y0, x1, y1)
    scale = np.array([width / across, height / down, width / across, height / down], dtype=np.float32)
    boxes = np.stack(turned, axis=1).astype(np.float32) * scale
    return PageWords(words=words.words, lines=words.lines, joined=words.joined, boxes=boxes)
