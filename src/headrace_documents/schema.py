"""What the documents application talks about: the document that comes in, the text read from it, and the answers.

Words are kept in columns, not as objects: a manual of 200 pages has 100,000 of them, and they cross a process border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from headrace import HeadraceError, Upload

UNKNOWN_LANGUAGE = "unknown"
"""The tag of texts that are too short or too mixed to say."""

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
"""A bound in a setting: less than one would leave nothing."""

Box = tuple[float, float, float, float]
"""`(x0, y0, x1, y1)` in PDF points (1/72 inch) from the top left of the page as it is shown."""


# How many words can be put into lists in the time that it takes to look up one span by itself.
_WORDS_A_SPAN = 100


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it came: its bytes and what the sender said of it, neither of which is trusted."""

    content: bytes
    filename: str | None = None
    media_type: str | None = None

    @classmethod
    def from_upload(cls, upload: Upload) -> Document:
        """The document that was sent; what it is will be decided by its content."""
        return cls(upload.content, filename=upload.filename, media_type=upload.media_type)

    def facts_of_failure(self, failure: HeadraceError) -> dict[str, Any]:
        """What the rules of quality look at when it could not be read."""
        return {
            "name": self.filename,
            "declared_type": None,
            "media_type": self.media_type,
            "size_bytes": len(self.content),
            "encrypted": "encrypted" in failure.detail,
            "unreadable": failure.detail,
        }


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What was found out about a document; `media_type` is decided by content."""

    filename: str | None
    media_type: str
    size_bytes: int
    sha256: str
    pages: int | None
    characters: int
    language: str | None
    ocr: bool
    title: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a reader of the answer should know: `code` for machines, `detail` in words."""

    code: str
    detail: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its number from 1, its size in points as shown, and its span `[start, end)` of the text.

    `ocr_confidence`: how sure of its words the reader of a page that is a picture was, 0 to 1.
    """

    number: int
    width: float
    height: float
    start: int
    end: int
    ocr: bool = False
    ocr_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table as rows of cell texts; `[start, end)` is its span of the text, where it stands as tab-separated lines."""

    rows: tuple[tuple[str, ...], ...]
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One word and its place: `text.characters[start:end]`; page and box are None where the format has no pages."""

    text: str
    start: int
    end: int
    page: int | None
    box: Box | None


@dataclass(frozen=True, slots=True)
class Words:
    """All words of a text in columns of equal length n, sorted by `starts`, never overlapping.

    `starts`, `ends`: (n,) int32 character offsets. `pages`: (n,) int32, 0 where there are no pages.
    `boxes`: (n, 4) float32 points; NaN where there is no box.
    """

    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    pages: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32] = field(metadata={"missing": "nan"})

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Text:
    """What was read from a document. Lines end in one newline; blocks and pages are parted by an empty line.

    All offsets anywhere in an answer count characters of `characters`.
    """

    characters: str
    words: Words
    document: DocumentInfo
    pages: tuple[Page, ...] = ()
    tables: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def has_pages(self) -> bool:
        """Whether any word is on a page."""
        return bool(np.count_nonzero(self.words.pages))

    def each_word(self) -> Iterator[Word]:
        """Every word as an object; for reports and tests, not for hot paths."""
        for start, end, page, box in zip(
            self.words.starts.tolist(),
            self.words.ends.tolist(),
            self.words.pages.tolist(),
            self.words.boxes.tolist(),
            strict=True,
        ):
            placed = page > 0 and box[0] == box[0]
            yield Word(
                text=self.characters[start:end],
                start=start,
                end=end,
                page=page or None,
                box=(box[0], box[1], box[2], box[3]) if placed else None,
            )

    def place(self, start: int, end: int) -> tuple[int | None, list[Box]]:
        """The page where `[start, end)` begins and one box a line for its words on that page."""
        first = int(np.searchsorted(self.words.ends, start, side="right"))
        last = int(np.searchsorted(self.words.starts, end, side="left"))
        if first >= last or self.words.pages[first] == 0:
            return None, []
        page = int(self.words.pages[first])
        on_page = self.words.boxes[first:last][self.words.pages[first:last] == page]
        return page, _lines(on_page[~np.isnan(on_page[:, 0])].tolist())

    def places(
        self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int | None, list[Box]]]:
        """What `place` gives for each span, in order; many at once cost a tenth of one by one."""
        words = self.words
        if not self.has_pages:
            yield from ((None, []) for _ in range(len(starts)))
            return
        # In the words' own type: searching for wider numbers would first copy every word's place.
        firsts = np.searchsorted(words.ends, starts.astype(words.ends.dtype), side="right")
        lasts = np.searchsorted(words.starts, ends.astype(words.starts.dtype), side="left")
        # Lists are quicker to look into than arrays; only a long list of spans is worth making them of all words.
        least, most = (int(firsts.min()), int(lasts.max())) if len(firsts) else (0, 0)
        if len(firsts) * _WORDS_A_SPAN < most - least:
            yield from (self.place(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
            return
        pages, boxes = words.pages[least:most].tolist(), words.boxes[least:most].tolist()
        for first, last in zip((firsts - least).tolist(), (lasts - least).tolist(), strict=True):
            page = pages[first] if first < last else 0
            if page == 0:
                yield None, []
                continue
            # NaN, which is what differs from itself, stands where there is no box.
            found = [
                boxes[each] for each in range(first, last) if pages[each] == page and boxes[each][0] == boxes[each][0]
            ]
            yield page, _lines(found)


def _lines(boxes: list[list[float]]) -> list[Box]:
    """Neighbouring word boxes joined while they share a line: their vertical spans overlap by half the lower one."""
    joined: list[Box] = []
    for raw in boxes:
        x0, y0, x1, y1 = (round(value, 2) for value in raw)
        if joined:
            a0, b0, a1, b1 = joined[-1]
            overlap = min(b1, y1) - max(b0, y0)
            if overlap > 0.5 * min(b1 - b0, y1 - y0) and x0 - a1 < 3 * (y1 - y0) and a0 - x1 < 3 * (y1 - y0):
                joined[-1] = (min(a0, x0), min(b0, y0), max(a1, x1), max(b1, y1))
                continue
        joined.append((x0, y0, x1, y1))
    return joined


class Evidence(msgspec.Struct, frozen=True):
    """One contribution to a score: the words `text` at their first place, and the weight of all their occurrences."""

    text: str
    weight: float
    start: int
    end: int
    page: int | None
    boxes: list[Box]
    occurrences: int = 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a label: `base` + the weights listed + `rest` = `total`, the score of the label, to within 1e-4.

    The softmax over all labels' scores gives their probabilities. The evidence may be made only when it is looked at:
    take `list(evidence)` to keep it.
    """

    method: str
    base: float
    rest: float
    total: float
    evidence: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Classification:
    """The label of a text, how sure the model is, and why.

    `explanation` lists the strongest contributions, `contributions` all of them, which are found when they are looked
    at: most answers are given without. `characters_read` says how much of
    a long text was read within the caller's deadline. `embedding` is the mean of its
    token vectors, (width,) float32, which says what it is about; empty where no token has one.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    explanation: Explanation
    contributions: Explanation = field(metadata={"made": "late"})
    characters_read: int
    model: str
    embedding: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a summary. `sources` are spans of the text that support it (its own span when extractive)."""

    text: str
    score: float
    start: int | None
    end: int | None
    page: int | None
    boxes: list[Box]
    supported: bool = True
    sources: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Summary:
    """The sentences that stand for a text, in reading order; `method` is how they were made."""

    method: str
    sentences: list[Sentence]
