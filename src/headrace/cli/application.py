"""The application that commands work on: a module that names a platform and, if it likes, a reader and a report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from headrace.assembly import Platform
from headrace.errors import InvalidInput
from headrace.serving.releases import Switch
from headrace.serving.upload import Upload

DEFAULT = "headrace_documents.app:app"


class Report(Protocol):
    """Is made of answers as they come."""

    async def add(self, number: int, name: str, upload: Upload, body: Mapping[str, Any], text: str) -> None:
        """Takes the `number`th answer."""
        ...

    def add_failure(self, name: str, reason: str) -> None:
        """Takes an input that gave no answer."""
        ...

    async def finish(self) -> Path:
        """The file to open."""
        ...


@dataclass(frozen=True, slots=True)
class Application:
    """`platform` answers; `reader` only reads documents; `report` is made for a folder from running services.

    `checks` look at what it needs of the machine: what, whether it is well, what was found, and the remedy.
    """

    platform: Platform
    reader: Platform | None
    report: Callable[[Path, Mapping[str, Switch]], Report] | None
    checks: Callable[[], list[tuple[str, bool, str, str]]]


def load_application(name: str = DEFAULT) -> Application:
    """The application called `module:attribute`.

    Raises:
        InvalidInput: there is no such module or attribute, or it is no platform.
    """
    module_name, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
        platform = getattr(module, attribute or "app")
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise InvalidInput(
            f"The application {name!r} cannot be loaded: {error}.", remedy="Name it as module:attribute."
        ) from error
    if not isinstance(platform, Platform):
        raise InvalidInput(f"{name!r} is no Platform.", remedy="Name the attribute that holds one.")
    return Application(
        platform, getattr(module, "reader", None), getattr(module, "report", None), getattr(module, "checks", list)
    )
