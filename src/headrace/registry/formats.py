"""Which files a model may be made of: formats that hold data and cannot run code when they are read."""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from headrace.errors import UnreadableArtifact

SUFFIXES = (".safetensors", ".json", ".onnx", ".onnx.data", ".npz", ".skops")
_HEADER_LIMIT = 100_000_000
_SKOPS_SCHEMA = "schema.json"
_SAFE = "Save it as safetensors, ONNX, skops or .npz."


def check_files(files: Mapping[str, bytes]) -> None:
    """Raises `UnreadableArtifact` for a name that leaves the folder and for content that is not of its format."""
    if not files:
        raise UnreadableArtifact("A model without files cannot be registered.", remedy="Give at least one file.")
    for name, content in files.items():
        _check_name(name, content)
        _check_content(name, content)


def is_pickle(content: bytes) -> bool:
    """Whether `content` is a pickle of any protocol, bare, compressed as joblib does, or within a zip as torch does."""
    if content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return any(_is_bare_pickle(archive.open(name).read(4096)) for name in archive.namelist()[:1000])
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, OSError):
            return False
    if content[:2] in {b"x\x01", b"x^", b"x\x9c", b"x\xda"}:
        try:
            return _is_bare_pickle(zlib.decompressobj().decompress(content, 4096))
        except zlib.error:
            return False
    return _is_bare_pickle(content[:4096])


def _is_bare_pickle(start: bytes) -> bool:
    """Protocols from 2 name themselves; the older ones are read as far as there is of them."""
    if len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return True
    opcodes = 0
    try:
        for opcode, *_ in pickletools.genops(start):
            opcodes += 1
            if opcode.name in {"GLOBAL", "REDUCE", "BUILD", "INST", "OBJ"}:
                return True
            if opcode.name == "STOP":
                return opcodes > 2
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError):
        return False
    return False


def _check_name(name: str, content: bytes) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or str(path) != name:
        raise UnreadableArtifact(f"{name!r} is no name for a file of a model.", remedy="Use a plain relative path.")
    if not name.endswith(SUFFIXES):
        if is_pickle(content):
            raise _pickled(name)
        raise UnreadableArtifact(
            f"{name!r} is of a format that models may not have.", remedy=f"Allowed are {', '.join(SUFFIXES)}."
        )


def _check_content(name: str, content: bytes) -> None:
    if name.endswith(".safetensors") and _is_safetensors(content):
        # The length that it begins with may look like the beginning of a pickle; nobody reads it as one.
        return
    if not name.endswith((".json", ".onnx.data")) and is_pickle(content):
        raise _pickled(name)
    try:
        if name.endswith(".json"):
            json.loads(content)
        elif name.endswith(".safetensors"):
            _check_safetensors(content)
        elif name.endswith(".npz"):
            _check_arrays(content)
        elif name.endswith(".skops"):
            _check_skops(content)
        elif name.endswith(".onnx"):
            _check_onnx(content)
    except (ValueError, struct.error, zipfile.BadZipFile, KeyError, EOFError) as broken:
        raise UnreadableArtifact(f"{name!r} does not hold what its name says: {broken}.") from broken


def _pickled(name: str) -> UnreadableArtifact:
    return UnreadableArtifact(f"{name!r} is a pickle, which can run any code when it is read.", remedy=_SAFE)


def _is_safetensors(content: bytes) -> bool:
    try:
        _check_safetensors(content)
    except (ValueError, struct.error):
        return False
    return True


def _check_safetensors(content: bytes) -> None:
    (length,) = struct.unpack_from("<Q", content)
    if length > min(_HEADER_LIMIT, len(content) - 8):
        raise ValueError(f"its header claims {length} bytes of {len(content)}")
    if not isinstance(json.loads(content[8 : 8 + length]), dict):
        raise ValueError("its header is no table of tensors")  # noqa: TRY004 - one kind of error for broken content


def _check_arrays(content: bytes) -> None:
    """Every member is an array of plain numbers or text; one of objects holds a pickle."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.testzip() is not None:
            raise ValueError("one of its arrays is damaged")
        for name in archive.namelist():
            with archive.open(name) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                _, _, dtype = read(member)
            if dtype.hasobject:
                raise ValueError(f"{name} holds objects, which are pickled")


def _check_skops(content: bytes) -> None:
    """Whoever loads it has to name the types that are trusted; here it has to be one at all."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(_SKOPS_SCHEMA))
        if not isinstance(schema, dict) or "__loader__" not in schema:
            raise ValueError("its schema is none of skops")


def _check_onnx(content: bytes) -> None:
    # A ModelProto begins with ir_version: field 1, a varint of one byte.
    if len(content) < 4 or content[0] != 0x08 or not 0 < content[1] < 0x80:
        raise ValueError("it does not begin as an ONNX model does")
