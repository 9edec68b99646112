"""Package: a model on its way into a registry or out of one, as plain files in some layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.domain.model import UNKNOWN, ModelVersion, Signature
from headrace.errors import InvalidInput, NotFound
from headrace.registry.formats import SUFFIXES

MOST_BYTES = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Package:
    """The files of a model by name, with what the layout says of it; `name` is empty where it does not say."""

    files: Mapping[str, bytes]
    name: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    signature: Signature = UNKNOWN


def package_of(version: ModelVersion, folder: Path) -> Package:
    """A registered version, whose files lie in `folder`."""
    return Package(
        files={name: (folder / name).read_bytes() for name in version.files},
        name=version.name,
        metrics=version.metrics,
        lineage=version.lineage,
        signature=version.signature,
    )


def plain_package(path: Path) -> Package:
    """One file, or all files below a folder, hidden ones aside."""
    if path.is_file():
        return Package({path.name: path.read_bytes()})
    if not path.is_dir():
        raise NotFound(f"There is no file or folder {path}.", remedy="Check the path.")
    found = {
        str(each.relative_to(path)): each
        for each in sorted(path.rglob("*"))
        if each.is_file() and not any(part.startswith(".") for part in each.relative_to(path).parts)
    }
    if not found:
        raise InvalidInput(f"The folder {path} holds no files.", remedy=f"Allowed are {', '.join(SUFFIXES)}.")
    if sum(each.stat().st_size for each in found.values()) > MOST_BYTES:
        raise InvalidInput(f"The files in {path} are over {MOST_BYTES >> 30} GiB together.", remedy="Register less.")
    return Package({name: each.read_bytes() for name, each in found.items()})


def within(folder: Path, name: str) -> Path:
    """The file called `name` of a layout; raises `InvalidInput` when it lies outside of `folder`."""
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise InvalidInput(f"The layout names {name!r}, which lies outside of {folder}.", remedy="Do not trust it.")
    return found
