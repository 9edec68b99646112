"""What a reader should find in a rendered file: its text, in reading order."""

from rendering.sources import Attachment, Block, Heading, Items, Lines, PageEnd, Paragraph, Region, Source, Table, plain

# A bullet or a number is part of the text only where the format writes it as a character; on pictures it is a disc.
BULLETS = {"pdf": "• ", "mixed-pdf": "• ", "rtf": "• "}
BULLETS |= dict.fromkeys(("txt", "txt-cp1251", "txt-utf16", "txt-mail", "md", "eml", "eml-latin1"), "- ")
BULLETS |= dict.fromkeys(("eml-koi8", "eml-pdf", "msg"), "- ")
WITHOUT_NUMBERS = {"html", "epub", "eml-html"}
SHEETS = {"xlsx", "xls", "ods", "csv"}


def expected_text(source: Source, recipe: str) -> str:
    """The text of `source` as a file made by `recipe` holds it.

    Blocks are parted by an empty line, table rows by a line end and cells by a tab. Running feet (page numbers) are
    left out. A mail begins with its subject; its attachments are named by a reader, and not read.
    """
    parts = [source.title] if source.kind == "support_mail" else []
    if recipe == "txt-mail":
        parts = [mail_head(source)]
    parts += [_text(block, recipe) for block in source.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def mail_head(source: Source) -> str:
    """The four lines above a mail that was saved as text."""
    front = source.front
    return f"From: {front['from']}\nTo: {front['to']}\nDate: {source.moment:%d %B %Y}\nSubject: {source.title}"


def _text(block: Block, recipe: str) -> str:
    match block:
        case Heading(_, text) | Paragraph(text):
            lines = [text]
        case Items(texts, is_numbered):
            lines = [_mark(recipe, number, is_numbered=is_numbered) + text for number, text in enumerate(texts, 1)]
        case Table(head, rows, _):
            lines = ["\t".join(row).rstrip("\t") for row in (head, *rows)]
        case Lines("facts", facts) if recipe in SHEETS:
            lines = [fact.replace(": ", "\t", 1) for fact in facts]
        case Lines(role, fenced):
            lines = ["> " * (role == "quote") + line for line in fenced]
        case Attachment() | PageEnd() | Region():
            lines = []
    return "\n".join(map(plain, lines))


def _mark(recipe: str, number: int, *, is_numbered: bool) -> str:
    if is_numbered:
        return "" if recipe in WITHOUT_NUMBERS else f"{number}. "
    return BULLETS.get(recipe, "")
