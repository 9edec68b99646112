"""Which files a model may be made of: formats that hold data and cannot run code when they are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import PurePosixPath

from headrace.errors import UnreadableArtifact

SUFFIXES = (".safetensors", ".json", ".onnx", ".onnx.data")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_HEADER_LIMIT = 100_000_000


def check_files(files: Mapping[str, bytes]) -> None:
    """Raises `UnreadableArtifact` for a name that leaves the folder and for content that is not of its format."""
    if not files:
        raise UnreadableArtifact("A model without files cannot be registered.", remedy="Give at least one file.")
    for name, content in files.items():
        _check_name(name)
        _check_content(name, content)


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or str(path) != name:
        raise UnreadableArtifact(f"{name!r} is no name for a file of a model.", remedy="Use a plain relative path.")
    if not name.endswith(SUFFIXES):
        raise UnreadableArtifact(
            f"{name!r} is of a format that models may not have.", remedy=f"Allowed are {', '.join(SUFFIXES)}."
        )


def _check_content(name: str, content: bytes) -> None:
    if content.startswith(_PICKLE_STARTS):
        raise UnreadableArtifact(
            f"{name!r} is a pickle, which can run any code when it is read.", remedy="Save it as safetensors or ONNX."
        )
    try:
        if name.endswith(".json"):
            json.loads(content)
        elif name.endswith(".safetensors"):
            _check_safetensors(content)
    except (ValueError, struct.error) as broken:
        raise UnreadableArtifact(f"{name!r} does not hold what its name says: {broken}.") from broken


def _check_safetensors(content: bytes) -> None:
    (length,) = struct.unpack_from("<Q", content)
    if length > min(_HEADER_LIMIT, len(content) - 8):
        raise ValueError(f"its header claims {length} bytes of {len(content)}")
    if not isinstance(json.loads(content[8 : 8 + length]), dict):
        raise ValueError("its header is no table of tensors")  # noqa: TRY004 - one kind of error for broken content
