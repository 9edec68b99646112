"""RTF, written by hand; its text is ASCII and everything else an escape."""

from rendering.sources import Block, Heading, Items, Lines, Paragraph, Source, spans

HEAD = r"{\rtf1\ansi\ansicpg1252\deff0\uc1{\fonttbl{\f0\froman Liberation Serif;}}"
PAGE = r"\paperw11906\paperh16838\margl1440\margr1440\margt1300\margb1300\f0\fs22"
SIZES = {1: 34, 2: 26, 3: 23}


def rtf(source: Source) -> bytes:
    """The document as rich text; tables are not among what it can write."""
    info = rf"{{\info{{\title {_escaped(source.title)}}}{{\creatim{_moment(source)}}}}}"
    return "\n".join([HEAD + info, PAGE, *map(_paragraphs, source.blocks), "}"]).encode("ascii")


def _moment(source: Source) -> str:
    return f"{source.moment:\\yr%Y\\mo%m\\dy%d\\hr%H\\min%M}"


def _paragraphs(block: Block) -> str:
    match block:
        case Heading(level, text):
            return rf"\pard\sb200\sa120\keepn{{\b\fs{SIZES[level]} {_escaped(text)}}}\par"
        case Paragraph(text):
            return rf"\pard\sa140\qj {_runs(text)}\par"
        case Items(texts, is_numbered):
            marks = [f"{number}." if is_numbered else "•" for number in range(1, len(texts) + 1)]
            lines = (_escaped(mark) + " " + _runs(text) for mark, text in zip(marks, texts, strict=True))
            return "\n".join(rf"\pard\li360\fi-260\sa80 {line}\par" for line in lines)
        case Lines(_, lines):
            return "\n".join(rf"\pard\sa100 {_runs(line)}\par" for line in lines)
    raise ValueError(f"RTF samples cannot hold a {type(block).__name__}; choose another format for this source")


def _runs(text: str) -> str:
    return "".join(rf"{{\b {_escaped(piece)}}}" if is_bold else _escaped(piece) for piece, is_bold in spans(text))


def _escaped(text: str) -> str:
    return "".join(_character(character) for character in text)


def _character(character: str) -> str:
    if character in "\\{}":
        return "\\" + character
    return character if character.isascii() else rf"\u{ord(character)}?"
