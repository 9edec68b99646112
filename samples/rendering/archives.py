"""Zip archives whose bytes depend on their content alone."""

import re
import zipfile
from datetime import datetime
from io import BytesIO

EPOCH = (1980, 1, 1, 0, 0, 0)
PROPERTIES = {"docProps/core.xml", "meta.xml"}
SETTINGS = "settings.xml"
TIMESTAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z?)")
# LibreOffice draws this number, which marks a session of editing, at random.
REVISION = re.compile(rb'(config:name="Rsid(?:Root)?" config:type="int">)\d+')


def archive(members: dict[str, bytes]) -> bytes:
    """A zip of the members in the given order; one named `mimetype` is stored plain, as EPUB and ODF demand."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in members.items():
            packing = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            packed.writestr(zipfile.ZipInfo(name, EPOCH), content, packing)
    return buffer.getvalue()


def sealed(blob: bytes, moment: datetime) -> bytes:
    """The same archive, with `moment` wherever the time of writing stood."""
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}".encode()
    with zipfile.ZipFile(BytesIO(blob)) as packed:
        members = {info.filename: packed.read(info) for info in packed.infolist() if not info.is_dir()}
    for name in PROPERTIES & members.keys():
        members[name] = TIMESTAMP.sub(stamp + rb"\2", members[name])
    if SETTINGS in members:
        members[SETTINGS] = REVISION.sub(rb"\g<1>1", members[SETTINGS])
    return archive(members)
