"""Formats that only an office suite writes: legacy Office and OpenDocument, converted by headless LibreOffice."""

import subprocess
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rendering.archives import sealed

OPEN_DOCUMENT = {"odt", "ods", "odp"}


def converted(blob: bytes, *, extension: str, into: str, moment: datetime) -> bytes:
    """The document of `extension` as a document of the extension `into`.

    Raises:
        FileNotFoundError: LibreOffice is not installed.
        subprocess.CalledProcessError: it could not convert the document.

    """
    with TemporaryDirectory() as folder:
        original = Path(folder) / f"sample.{extension}"
        original.write_bytes(blob)
        profile = (Path(folder) / "profile").as_uri()
        command = ["soffice", f"-env:UserInstallation={profile}", "--headless"]
        command += ["--convert-to", into, "--outdir", folder, str(original)]
        subprocess.run(command, check=True, capture_output=True, timeout=180)
        result = original.with_suffix(f".{into}").read_bytes()
    return sealed(result, moment) if into in OPEN_DOCUMENT else result
