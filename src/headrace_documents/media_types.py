"""The media types that are read here, by which names they go, and whether a promise of one was kept."""

from __future__ import annotations

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
RTF = "application/rtf"
HTML = "text/html"
EML = "message/rfc822"
MSG = "application/vnd.ms-outlook"
TXT = "text/plain"
CSV = "text/csv"
MARKDOWN = "text/markdown"
EPUB = "application/epub+zip"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOC = "application/msword"
PPT = "application/vnd.ms-powerpoint"
XLS = "application/vnd.ms-excel"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"

EXTENSIONS = {
    PDF: ("pdf",),
    PNG: ("png",),
    JPEG: ("jpg", "jpeg", "jpe"),
    TIFF: ("tif", "tiff"),
    RTF: ("rtf",),
    HTML: ("html", "htm", "xhtml", "xht"),
    EML: ("eml", "mht", "mhtml"),
    MSG: ("msg",),
    TXT: ("txt", "text", "log"),
    CSV: ("csv", "tsv"),
    MARKDOWN: ("md", "markdown", "mdown"),
    EPUB: ("epub",),
    DOCX: ("docx", "docm", "dotx"),
    PPTX: ("pptx", "pptm", "ppsx", "potx"),
    XLSX: ("xlsx", "xlsm", "xltx", "xlsb"),
    DOC: ("doc", "dot"),
    PPT: ("ppt", "pps", "pot"),
    XLS: ("xls", "xlt"),
    ODT: ("odt", "ott", "fodt"),
    ODS: ("ods", "ots", "fods"),
    ODP: ("odp", "otp", "fodp"),
}
READABLE = ", ".join(sorted({names[0].upper() for names in EXTENSIONS.values()}))


def differs_from_name(media_type: str, filename: str | None) -> bool:
    """Whether the name promises another kind than `media_type`, among kinds that are read."""
    extension = (filename or "").rpartition(".")[2].lower()
    promised = {kind for kind, extensions in EXTENSIONS.items() if extension in extensions}
    return _differs(media_type, promised)


def contradicted(media_type: str, declared: str | None) -> str | None:
    """The type that the sender declared where it is of another kind than `media_type`, among kinds that are read."""
    promised = (declared or "").partition(";")[0].strip().lower()
    return promised if promised in EXTENSIONS and _differs(media_type, {promised}) else None


def _differs(media_type: str, promised: set[str]) -> bool:
    kinds_of_text = {TXT, CSV, MARKDOWN}
    return (
        bool(promised)
        and media_type not in promised
        and not (promised <= kinds_of_text and media_type in kinds_of_text)
    )
