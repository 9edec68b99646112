"""The files that a command was pointed at: files, folders with all that is below, globs, and `-` for standard input."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import HeadraceError, InvalidInput, NotFound, TooLarge, Unreadable
from headrace.serving.upload import Upload

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Input:
    """One file to work on, or why it cannot be; `name` is as it was found from where the user stands."""

    name: str
    problem: HeadraceError | None = None


def inputs_of(arguments: Sequence[str]) -> list[Input]:
    """All inputs, each once, folders in the order of their names. What cannot be used comes with its problem."""
    found: dict[str, Input] = {}
    for argument in arguments:
        for each in _expanded(argument):
            found.setdefault(os.path.abspath(each.name) if each.name != STANDARD_INPUT else each.name, each)  # noqa: PTH100 - links stay as they are named
    return list(found.values())


def read(each: Input, *, limit_bytes: int) -> Upload:
    """The content of a file.

    Raises:
        TooLarge: it has more than `limit_bytes`.
        Unreadable: it is no regular file, or may not be read.
    """
    if each.problem is not None:
        raise each.problem
    if each.name == STANDARD_INPUT:
        return Upload(_bounded(sys.stdin.buffer.read(limit_bytes + 1), limit_bytes))
    try:
        # Opening a pipe would wait for its writer, and one may have been put in a file's place since we looked.
        descriptor = os.open(each.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123 - it is a descriptor
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _no_file(status.st_mode)
            if status.st_size > limit_bytes:
                raise _too_large(status.st_size, limit_bytes)
            content = _bounded(stream.read(limit_bytes + 1), limit_bytes)
    except FileNotFoundError as error:
        raise NotFound("It is gone, or it is a link that leads nowhere.", remedy="Check the path.") from error
    except OSError as error:
        raise Unreadable(f"It cannot be read: {error.strerror}.", remedy="Check its permissions.") from error
    return Upload(content, filename=shown(Path(each.name).name))


def shown(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _expanded(argument: str) -> Iterator[Input]:
    if argument == STANDARD_INPUT:
        yield Input(argument)
    elif os.path.isdir(argument):  # noqa: PTH112 - a name with a NUL or a loop of links is simply no folder here
        yield from _below(argument)
    elif os.path.lexists(argument):
        yield _input(argument)
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - the pattern may be absolute
        for match in matches:
            yield from _expanded(match)
        if not matches:
            yield Input(argument, NotFound("No file matches this pattern.", remedy="Check the path."))
    else:
        yield Input(argument, NotFound("There is no such file or folder.", remedy="Check the path."))


def _below(folder: str) -> Iterator[Input]:
    """All files below `folder` but the hidden ones; links to folders are not followed, so loops are no trouble."""
    problems: list[OSError] = []
    count = 0
    for place, folders, names in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            count += 1
            yield _input(os.path.join(place, name))  # noqa: PTH118 - keeps the path as the user wrote it
    for problem in problems:
        name = str(problem.filename)
        yield Input(
            name, Unreadable(f"The folder cannot be listed: {problem.strerror}.", remedy="Check its permissions.")
        )
    if not count and not problems:
        yield Input(folder, NotFound("The folder holds no files.", remedy="Name one with documents."))


def _input(name: str) -> Input:
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - as above
    except FileNotFoundError:
        return Input(name, NotFound("It is a link that leads nowhere.", remedy="Mend or remove the link."))
    except OSError as error:
        return Input(name, Unreadable(f"It cannot be looked at: {error.strerror}.", remedy="Check the path."))
    return Input(name) if stat.S_ISREG(mode) else Input(name, _no_file(mode))


def _no_file(mode: int) -> InvalidInput:
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }
    kind = kinds.get(stat.S_IFMT(mode), "no regular file")
    return Unreadable(f"It is {kind} and not a document.", remedy="Name a file, or pipe it in and name -.")


def _bounded(content: bytes, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise _too_large(len(content), limit_bytes)
    return content


def _too_large(size: int, limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"It has {size:,} bytes or more, and at most {limit_bytes:,} are read.",
        remedy="Split it, or raise upload in [limits] of headrace.toml.",
    )
