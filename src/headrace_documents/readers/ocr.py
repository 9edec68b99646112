"""Pages that are pictures: read by Tesseract in this process, with the box and confidence of every word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from tesserocr import OEM, PSM, RIL, PyTessBaseAPI, iterate_level

from headrace import current_context
from headrace_documents.readers.blocks import downward, in_blocks
from headrace_documents.readers.frames import Boxes, Frame, frames_of
from headrace_documents.readers.hyphens import with_compounds
from headrace_documents.readers.ink import MOST_SKEW, Pixels, darkness_of, evened, paper_of, skew_of
from headrace_documents.readers.page_text import PageWords, passage_of
from headrace_documents.readers.reader import NOT_READ, Passage
from headrace_documents.readers.ruled_tables import in_cells
from headrace_documents.readers.rulings import unruled
from headrace_documents.readers.scripts import LATIN, languages_for, script_of
from headrace_documents.readers.seen import Seen
from headrace_documents.readers.tessdata import Tessdata
from headrace_documents.readers.wrapped_tables import wrapped_frames
from headrace_documents.schema import Finding

LEAST_DPI, MOST_DPI = 70, 600
LOW_CONFIDENCE = 60
LEAST_CONFIDENCE, LEAST_OF_SIGNS = 25, 45
LARGEST_BULLET, LEAST_FILLED = 0.6, 0.66
"""Of a bullet: its size in heights of the word after it, and the ink in its box, of which a disc fills 0.79."""
ENDING_S = 0.3
"""What is left of the caller's time for all that comes after a page was recognised."""
PAGE_S = 4.0
"""What a page takes at most when all is well: with less time left it is not begun."""


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
        picture = evened(picture)
        turn, script = self._orientation(picture)
        upright = picture.rotate(turn, expand=True, fillcolor=255) if turn else picture
        skew = skew_of(upright)
        straight = _straightened(upright, skew)
        if abs(skew) > MOST_SKEW:
            # Letters that lean are easily taken for those of another script.
            _, script = self._orientation(straight)
        dpi = 72 * picture.width / max(width, 1.0)
        clean, rulings = unruled(straight, dpi=dpi)
        frames = frames_of(rulings, dpi=dpi)
        seen = self._seen(clean, frames, languages_for(script, self.languages), dpi)
        if seen is None:
            return _empty(page, width, height), (_NO_TIME.on(page),)
        confidences = [word.confidence for word in seen]
        words = _columns_of(seen)
        words = in_cells(words, [*frames, *wrapped_frames(words, frames, is_seen=True)])
        shown = _Shown(turn, skew, upright=upright.size, straight=straight.size, width=width, height=height)
        passage = shown.passage_of(words, page=page)
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
            return 0, LATIN
        engine = self._engine("osd", mode=PSM.OSD_ONLY)
        engine.SetImage(_smaller(picture))
        found = engine.DetectOrientationScript()
        if not found:
            return 0, LATIN
        turn = int(found["orient_deg"]) if found["orient_conf"] > 2.0 else 0
        return turn, script_of(str(found["script_name"]), sureness=float(found["script_conf"]))

    def _engine(self, languages: str, *, mode: int) -> PyTessBaseAPI:
        if languages not in self._engines:
            engine = PyTessBaseAPI(
                path=self.folder, lang=languages, psm=mode, oem=OEM.LSTM_ONLY if mode else OEM.DEFAULT
            )
            self._engines[languages] = engine
        return self._engines[languages]

    def _seen(self, picture: Image.Image, frames: list[Frame], languages: str, dpi: float) -> list[Seen] | None:
        """The words of a page by line; None when the time is over.

        What stands in a ruled table is read by itself and line by line: among other text Tesseract takes columns of
        figures for columns of text, and cuts figures at their points.
        """
        page = picture
        if frames:
            page, paper = picture.copy(), paper_of(picture)
            for frame in frames:
                page.paste(paper, frame.box)
        engine = self._engine(languages, mode=PSM.AUTO)
        read = self._lines(engine, page, None, dpi)
        lines = None if read is None else in_blocks(downward([line for line in read if line]))
        for frame in frames if lines is not None else ():
            engine.SetPageSegMode(PSM.SINGLE_BLOCK)
            inside = self._lines(engine, picture, frame.box, dpi)
            engine.SetPageSegMode(PSM.AUTO)
            if inside is None or lines is None:
                return None
            at = _place_of(frame, lines)
            lines[at:at] = inside
        if lines is None:
            return None
        ink = darkness_of(picture)
        return [replace(word, line=number) for number, line in enumerate(lines) for word in credible(line, ink)]

    def _lines(
        self, engine: PyTessBaseAPI, picture: Image.Image, box: tuple[int, int, int, int] | None, dpi: float
    ) -> list[list[Seen]] | None:
        engine.SetImage(picture)
        engine.SetSourceResolution(round(min(max(dpi, LEAST_DPI), MOST_DPI)))
        if box is not None:
            engine.SetRectangle(box[0], box[1], box[2] - box[0], box[3] - box[1])
        remaining_s = current_context().remaining_s()
        given_ms = 0 if remaining_s is None else max(1, int(1000 * (remaining_s - ENDING_S)))
        is_done = engine.Recognize(given_ms)
        lines = list(_lines_of(engine)) if is_done else None
        engine.Clear()
        return lines


def _columns_of(seen: list[Seen]) -> PageWords:
    words, lines = [word.text for word in seen], [word.line for word in seen]
    joined = _unbroken(words, lines)
    boxes = np.array([word.box for word in seen], dtype=np.float32).reshape(-1, 4)
    words = with_compounds(words, joined)
    return PageWords(words=words, lines=np.array(lines, dtype=np.int32), joined=joined, boxes=boxes)


def _place_of(frame: Frame, lines: list[list[Seen]]) -> int:
    """The number of the line before which a table is read: after the last one that stands above it."""
    left, top, right, _ = frame.box
    above = [
        number
        for number, line in enumerate(lines, 1)
        if line[0].box[3] <= top + 0.5 * (line[0].box[3] - line[0].box[1])
        and line[0].box[0] < right
        and line[-1].box[2] > left
    ]
    return max(above, default=0)


def credible(line: Sequence[Seen], ink: Pixels) -> list[Seen]:
    """The words of a line without what is no word: noise, and the mark of a list's item before it.

    Tesseract doubts names and figures, which no dictionary has: among words that it is sure of they are kept.
    """
    words = list(line[1:] if len(line) > 1 and _is_bullet(line[0], line[1], ink) else line)
    is_sure = bool(words) and float(np.median([word.confidence for word in words])) >= LOW_CONFIDENCE
    return [word for word in words if word.confidence >= _least_of(word, is_sure=is_sure)]


def _least_of(word: Seen, *, is_sure: bool) -> float:
    if not any(map(str.isalnum, word.text)):
        return LEAST_OF_SIGNS
    return 0.0 if is_sure else LEAST_CONFIDENCE


def _is_bullet(mark: Seen, after: Seen, ink: Pixels) -> bool:
    """Whether a line begins with a small disc or square: Tesseract takes it for one letter or another."""
    x0, y0, x1, y1 = mark.box
    height = after.box[3] - after.box[1]
    if len(mark.text) > 2 or after.box[0] - x1 < 0.2 * height:
        return False
    rows, columns = np.nonzero(ink[y0:y1, x0:x1])
    if not len(rows):
        return False
    down, across = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    is_compact = 0.7 < across / down < 1.4 and max(down, across) < LARGEST_BULLET * height
    lies_between = y0 + rows.min() > after.box[1] and y0 + rows.max() < after.box[3] - 1
    return is_compact and lies_between and len(rows) >= LEAST_FILLED * down * across


def _lines_of(engine: PyTessBaseAPI) -> Iterator[list[Seen]]:
    found = engine.GetIterator()
    line: list[Seen] = []
    number = 0
    for each in iterate_level(found, RIL.WORD) if found else ():
        if each.IsAtBeginningOf(RIL.TEXTLINE) and line:
            yield line
            line, number = [], number + 1
        text = _text_of(each)
        if text:
            line.append(Seen(text, number, each.BoundingBox(RIL.WORD), float(each.Confidence(RIL.WORD))))
    if line:
        yield line


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


_SKIPPED = _Notice(NOT_READ, "This page has to be read by OCR, which was left out to answer at once.")
_NO_TIME = _Notice(NOT_READ, "The time was too short to read this page by OCR, as it has to be.")
_UNAVAILABLE = _Notice(
    "ocr_unavailable",
    "This page has to be read by OCR, and no Tesseract language data is installed (Debian: tesseract-ocr-eng).",
)


def _empty(page: int, width: float, height: float) -> Passage:
    return Passage(characters="", page=page, width=width, height=height, ocr=True)


def _smaller(picture: Image.Image) -> Image.Image:
    """Orientation is seen at half the size as well, in a quarter of the time."""
    return picture.resize((picture.width // 2, picture.height // 2)) if min(picture.size) > 2200 else picture


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


def _straightened(picture: Image.Image, skew: float) -> Image.Image:
    """The picture turned so that its lines run level; what a larger turn would push over the edge is kept."""
    if not skew:
        return picture
    is_far = abs(skew) > MOST_SKEW
    return picture.rotate(skew, Image.Resampling.BICUBIC, expand=is_far, fillcolor=paper_of(picture))


@dataclass(frozen=True, slots=True)
class _Shown:
    """How a page is shown, against how it is read: by how many degrees it was turned to be upright, then straight.

    `upright` and `straight`: its sizes in pixels then. `width` and `height`: in points as shown.
    """

    turn: int
    skew: float
    upright: tuple[int, int]
    straight: tuple[int, int]
    width: float
    height: float

    def passage_of(self, words: PageWords, *, page: int) -> Passage:
        """The passage of words whose boxes are pixels of the straight picture."""
        across, down = (self.height, self.width) if self.turn in {90, 270} else (self.width, self.height)
        scale = np.array([across / self.upright[0], down / self.upright[1]] * 2, dtype=np.float32)
        wide, high = self.straight[0] * float(scale[0]), self.straight[1] * float(scale[1])
        read = replace(words, boxes=words.boxes * scale)
        passage = passage_of(read, page=page, width=wide, height=high, ocr=True)
        passage = replace(passage, width=self.width, height=self.height)
        if passage.places is None:
            return passage
        boxes = self._turned_back(self._skewed_back(passage.places.boxes, (wide, high), (across, down)))
        bounds = np.array([self.width, self.height] * 2, dtype=np.float32)
        return replace(passage, places=replace(passage.places, boxes=np.clip(boxes, 0.0, bounds)))

    def _skewed_back(self, boxes: Boxes, straight: tuple[float, float], upright: tuple[float, float]) -> Boxes:
        """Boxes of the page turned by `skew` degrees about its middle, around the same words before."""
        if not self.skew:
            return boxes
        middles = (boxes[:, :2] + boxes[:, 2:] - np.array(straight, dtype=np.float32)) / 2
        halves = (boxes[:, 2:] - boxes[:, :2]) / 2
        cos, sin = np.cos(np.radians(self.skew)), np.sin(np.radians(self.skew))
        turning = np.array([[cos, -sin], [sin, cos]])
        before, around = middles @ turning.T + np.array(upright) / 2, halves @ np.abs(turning).T
        return np.concatenate((before - around, before + around), axis=1).astype(np.float32)

    def _turned_back(self, boxes: Boxes) -> Boxes:
        """Boxes of the upright page on the page as it came."""
        x0, y0, x1, y1 = boxes.T
        if self.turn == 90:
            turned = (self.width - y1, x0, self.width - y0, x1)
        elif self.turn == 180:
            turned = (self.width - x1, self.height - y1, self.width - x0, self.height - y0)
        elif self.turn == 270:
            turned = (y0, self.height - x1, y1, self.height - x0)
        else:
            turned = (x0, y0, x1, y1)
        return np.stack(turned, axis=1).astype(np.float32)
