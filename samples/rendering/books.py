"""EPUB: a book of XHTML chapters in a zip."""

from html import escape

from rendering.archives import archive
from rendering.pages import element
from rendering.sources import Block, Heading, Source, plain

CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="{language}">
<head><title>{title}</title></head>
<body>
{body}</body>
</html>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:sample:{name}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:language>{language}</dc:language>
<meta property="dcterms:modified">{stamp}</meta>
</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
{items}
</manifest>
<spine>
{spine}
</spine>
</package>
"""


def epub(source: Source) -> bytes:
    """A book with one file a chapter and a table of contents outside the reading order."""
    chapters = _chapters(source)
    names = [f"chapter{number:02}" for number in range(1, len(chapters) + 1)]
    titles = [plain(next(block.text for block in chapter if isinstance(block, Heading))) for chapter in chapters]
    links = zip(names, titles, strict=True)
    entries = "".join(f'<li><a href="{name}.xhtml">{escape(title)}</a></li>\n' for name, title in links)
    contents = f'<nav epub:type="toc"><ol>\n{entries}</ol></nav>\n'
    members = {
        "mimetype": b"application/epub+zip",
        "META-INF/container.xml": CONTAINER.encode(),
        "OEBPS/content.opf": _package(source, names),
        "OEBPS/nav.xhtml": _page(source, source.title, contents),
    }
    for name, title, chapter in zip(names, titles, chapters, strict=True):
        members[f"OEBPS/{name}.xhtml"] = _page(source, title, "".join(map(element, chapter)))
    return archive(members)


def _chapters(source: Source) -> list[list[Block]]:
    chapters: list[list[Block]] = []
    for block in source.blocks:
        if isinstance(block, Heading) and block.level <= 2:
            chapters.append([])
        chapters[-1].append(block)
    return chapters


def _page(source: Source, title: str, body: str) -> bytes:
    return PAGE.format(language=source.language, title=escape(title), body=body).encode()


def _package(source: Source, names: list[str]) -> bytes:
    form = 'media-type="application/xhtml+xml"'
    return PACKAGE.format(
        name=source.name,
        title=escape(source.title),
        language=source.language,
        stamp=f"{source.moment:%Y-%m-%dT%H:%M:%SZ}",
        items="\n".join(f'<item id="{name}" href="{name}.xhtml" {form}/>' for name in names),
        spine="\n".join(f'<itemref idref="{name}"/>' for name in names),
    ).encode()
