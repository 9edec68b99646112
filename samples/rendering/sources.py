r"""The sample sources: front matter, and a body in a small dialect of Markdown.

Beyond Markdown the dialect knows fences (`::: address` ... `:::`) whose lines are kept as they are, `\page` for a new
page, and `\region NAME`, after which the blocks belong to a column layout of that name.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

BOLD = re.compile(r"\*\*(.+?)\*\*")
BULLET = re.compile(r"- (.*)")
NUMBER = re.compile(r"\d+\. (.*)")


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the document."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text, possibly with bold spans."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list, numbered from 1 or bulleted."""

    texts: tuple[str, ...]
    is_numbered: bool


@dataclass(frozen=True)
class Table:
    """A head and rows of equal width; `right` tells which columns are aligned to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class Lines:
    """A fence: lines that stay apart, such as an address, and the role they play on the page."""

    role: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Attachment:
    """What a mail carries with it, a document of its own."""

    blocks: tuple["Block", ...]


@dataclass(frozen=True)
class PageEnd:
    """The next block begins a new page."""


@dataclass(frozen=True)
class Region:
    """The next blocks belong to the column layout `name`."""

    name: str


Block = Heading | Paragraph | Items | Table | Lines | Attachment | PageEnd | Region


@dataclass(frozen=True)
class Source:
    """One document, before it has a format."""

    name: str
    front: dict[str, str]
    blocks: tuple[Block, ...]

    @property
    def kind(self) -> str:
        """What it is, such as `invoice`."""
        return self.front["kind"]

    @property
    def language(self) -> str:
        """Its language, by the two letters of ISO 639-1."""
        return self.front["language"]

    @property
    def title(self) -> str:
        """What it is called in its properties."""
        return self.front["title"]

    @property
    def split(self) -> str:
        """`train` or `inbox`."""
        return self.front["split"]

    @property
    def accent(self) -> str:
        """The colour of the house, `#rrggbb`."""
        return self.front.get("accent", "#222222")

    @property
    def moment(self) -> datetime:
        """The moment that all its files carry as their time of writing."""
        return datetime.fromisoformat(self.front["date"]).replace(hour=9, tzinfo=UTC)

    @property
    def seed(self) -> int:
        """Where the wear of its scans begins."""
        return int(self.front.get("seed", "1"))

    @property
    def files(self) -> dict[str, str]:
        """File name to recipe."""
        pairs = (entry.split("=") for entry in self.front["files"].split(","))
        return {name.strip(): recipe.strip() for name, recipe in pairs}

    @property
    def attachment(self) -> "Source | None":
        """The attached document, dressed as a source of its own."""
        for block in self.blocks:
            if isinstance(block, Attachment):
                front = self.front | {"look": "plain", "title": self.front["attach"]}
                return replace(self, front=front, blocks=block.blocks)
        return None


def read_source(path: Path) -> Source:
    """The source that stands in `path`."""
    _, front, body = path.read_text("utf-8").split("---\n", 2)
    pairs = (line.split(": ", 1) for line in front.splitlines())
    return Source(path.stem, {key: value.strip() for key, value in pairs}, parse(body))


def parse(body: str) -> tuple[Block, ...]:
    """The blocks of a body, in order."""
    lines = body.splitlines()
    blocks: list[Block] = []
    while lines:
        if not lines[0].strip():
            lines.pop(0)
        elif lines[0].startswith("::: "):
            blocks.append(_fence(lines))
        elif lines[0].startswith("\\"):
            word, _, name = lines.pop(0).partition(" ")
            blocks.append(Region(name) if word == "\\region" else PageEnd())
        else:
            blocks.append(_block(_chunk(lines)))
    return tuple(blocks)


def spans(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is bold.

    >>> spans("to **Ann** only")
    [('to ', False), ('Ann', True), (' only', False)]
    """
    pieces = BOLD.split(text)
    return [(piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece]


def plain(text: str) -> str:
    """The text without the marks of bold."""
    return BOLD.sub(r"\1", text)


def _fence(lines: list[str]) -> Block:
    role = lines.pop(0).removeprefix("::: ").strip()
    end = lines.index(":::")
    inside = lines[:end]
    del lines[: end + 1]
    if role == "attachment":
        return Attachment(parse("\n".join(inside)))
    return Lines(role, tuple(inside))


def _chunk(lines: list[str]) -> list[str]:
    chunk = []
    while lines and lines[0].strip():
        chunk.append(lines.pop(0))
    return chunk


def _block(chunk: list[str]) -> Block:
    first = chunk[0]
    if first.startswith("#"):
        marks, _, text = first.partition(" ")
        return Heading(len(marks), text)
    if first.startswith("|"):
        return _table(chunk)
    for pattern, is_numbered in ((BULLET, False), (NUMBER, True)):
        matches = [pattern.fullmatch(line) for line in chunk]
        if all(matches):
            return Items(tuple(match[1] for match in matches if match), is_numbered)
    return Paragraph(" ".join(chunk))


def _table(chunk: list[str]) -> Table:
    head, marks, *rows = (
        tuple(cell.strip() for cell in line[1:].rstrip().removesuffix("|").split("|")) for line in chunk
    )
    return Table(head, tuple(rows), tuple(mark.endswith(":") for mark in marks))
