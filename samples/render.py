"""Renders the sample sources: `python samples/render.py` writes train/, inbox/, truth/ and labels.csv anew."""

import argparse
import csv
import shutil
from collections.abc import Callable
from pathlib import Path

from rendering.books import epub
from rendering.conversions import converted
from rendering.mail import eml
from rendering.office import docx, xlsx
from rendering.outlook import msg
from rendering.pages import pdf, webpage
from rendering.plain_text import comma_separated, markdown, typed, typed_mail
from rendering.rich_text import rtf
from rendering.scans import jpeg, mixed_pdf, png, scanned_pdf, tiff
from rendering.slides import pptx
from rendering.sources import Source, read_source
from rendering.truth import expected_text

HERE = Path(__file__).parent
COLUMNS = ["path", "kind", "language", "split", "format", "notes"]

RECIPES: dict[str, Callable[[Source], bytes]] = {
    "pdf": pdf,
    "scanned-pdf": scanned_pdf,
    "mixed-pdf": mixed_pdf,
    "png": png,
    "jpeg": jpeg,
    "tiff": tiff,
    "docx": docx,
    "xlsx": xlsx,
    "pptx": pptx,
    "html": lambda source: webpage(source).encode(),
    "epub": epub,
    "rtf": rtf,
    "md": lambda source: markdown(source).encode(),
    "csv": lambda source: comma_separated(source).encode(),
    "txt": lambda source: typed(source).encode(),
    "txt-mail": lambda source: typed_mail(source).encode(),
    "txt-cp1251": lambda source: typed(source).replace("\n", "\r\n").encode("cp1251"),
    "txt-utf16": lambda source: b"\xff\xfe" + typed(source).replace("\n", "\r\n").encode("utf-16-le"),
    "msg": msg,
}
CONVERSIONS = {
    "doc": ("docx", docx),
    "odt": ("docx", docx),
    "xls": ("xlsx", xlsx),
    "ods": ("xlsx", xlsx),
    "ppt": ("pptx", pptx),
    "odp": ("pptx", pptx),
}
NOTES = {
    "scanned-pdf": "page picture, no text layer",
    "mixed-pdf": "first page text, second page scanned",
    "png": "scan, 150 dpi grey",
    "jpeg": "photographed page, 150 dpi grey",
    "tiff": "fax, 200 dpi black and white",
    "txt-cp1251": "Windows-1251",
    "txt-utf16": "UTF-16 little endian with BOM",
    "txt-mail": "mail saved as text",
    "eml-latin1": "ISO-8859-1, quoted-printable",
    "eml-koi8": "KOI8-R, base64",
    "eml-html": "HTML part only",
    "eml-pdf": "with a PDF attachment",
    "doc": "legacy Word",
    "xls": "legacy Excel",
    "ppt": "legacy PowerPoint",
}


def main() -> None:
    """Renders every source, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="stems of sources to render; all, if none is given")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this file)")
    arguments = parser.parse_args()
    sources = [read_source(path) for path in sorted((HERE / "sources").glob("*/*.md"))]
    if not arguments.names:
        for folder in ("train", "inbox", "truth"):
            shutil.rmtree(arguments.out / folder, ignore_errors=True)
        write_labels(sources, arguments.out)
    for source in sources:
        if not arguments.names or source.name in arguments.names:
            write_files(source, arguments.out)


def rendered(source: Source, recipe: str) -> bytes:
    """The bytes of one file."""
    if recipe.startswith("eml"):
        return eml(source, recipe)
    if recipe in CONVERSIONS:
        extension, original = CONVERSIONS[recipe]
        return converted(original(source), extension=extension, into=recipe, moment=source.moment)
    return RECIPES[recipe](source)


def relative_path(source: Source, name: str) -> Path:
    """Where the file stands; the inbox does not tell the kind."""
    return Path("train", source.kind, name) if source.split == "train" else Path("inbox", name)


def write_files(source: Source, out: Path) -> None:
    """Writes the files of one source, each with its expected text."""
    for name, recipe in source.files.items():
        place = relative_path(source, name)
        for path, content in (
            (out / place, rendered(source, recipe)),
            (out / "truth" / f"{place}.txt", expected_text(source, recipe).encode()),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        print(place)


def write_labels(sources: list[Source], out: Path) -> None:
    """Writes labels.csv, one row a file, ordered by path."""
    rows = sorted(_label(source, name, recipe) for source in sources for name, recipe in source.files.items())
    out.mkdir(parents=True, exist_ok=True)
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def _label(source: Source, name: str, recipe: str) -> list[str]:
    path = relative_path(source, name)
    extension = path.suffix.removeprefix(".")
    form = {"jpg": "jpeg", "tif": "tiff"}.get(extension, extension)
    return [str(path), source.kind, source.language, source.split, form, NOTES.get(recipe, "")]


if __name__ == "__main__":
    main()
