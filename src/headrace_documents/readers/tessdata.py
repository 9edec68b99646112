"""Where Tesseract's language data lie on this machine, and of which languages; without Tesseract itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)


@dataclass(frozen=True, slots=True)
class Tessdata:
    """The `languages` whose data are in `folder`; None and none when there is no language to read."""

    folder: str | None
    languages: tuple[str, ...]

    @classmethod
    def found(cls, folder: str | None = None) -> Tessdata:
        """The data of `folder`, or of the first usual place that has any."""
        for each in [folder] if folder else FOLDERS:
            path = Path(each)
            languages = tuple(sorted(file.stem for file in path.glob("*.traineddata"))) if path.is_dir() else ()
            if set(languages) - {"osd"}:
                return cls(folder=str(path), languages=languages)
        return cls(folder=None, languages=())
