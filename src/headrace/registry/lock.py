"""`headrace.lock`: which model versions serve, in a file that lies beside the code and changes with it.

It is TOML, one table a model, with a line for each thing that may change, so that a difference can be read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.domain.model import CHAMPION, ModelVersion
from headrace.errors import InvalidConfiguration
from headrace.registry.registry import ModelRegistry

FILE = "headrace.lock"
FORMAT = 1
_HEAD = """\
# Which models answer, by digest. Written by `headrace models lock`; `headrace up` refuses any other.
# Commit it: a checkout then says exactly what serves.
format = 1
"""


@dataclass(frozen=True, slots=True)
class Pin:
    """One model: the digest of its version, and what people want to know of a change: its data and its metrics."""

    digest: str
    data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


Pins = Mapping[str, Pin]


def pinned(versions: Iterable[ModelVersion]) -> dict[str, Pin]:
    """The pins of `versions`, by name."""
    return {each.name: Pin(each.digest, each.lineage.get("data", ""), dict(each.metrics)) for each in versions}


def written(pins: Pins) -> str:
    """The text of the file: the same pins give the same bytes."""
    tables = []
    for name in sorted(pins):
        pin = pins[name]
        lines = [f'[models."{name}"]', f'digest = "{pin.digest}"']
        if pin.data:
            lines.append(f'data = "{pin.data}"')
        lines += [f"metrics.{metric} = {float(value)!r}" for metric, value in sorted(pin.metrics.items())]
        tables.append("\n".join(lines) + "\n")
    return "\n".join([_HEAD, *tables])


def read_lock(path: Path) -> dict[str, Pin] | None:
    """The pins in a file; None when there is no such file.

    Raises:
        InvalidConfiguration: it cannot be read, or is of another format.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_format(content.get("format"))
        return {
            name: Pin(str(table["digest"]), str(table.get("data", "")), dict(table.get("metrics", {})))
            for name, table in content.get("models", {}).items()
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as broken:
        raise InvalidConfiguration(
            f"{path.name} cannot be read: {broken}.",
            remedy="Take it from git, or write it anew: `headrace models lock`.",
        ) from broken


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise ValueError(f"it is of format {found!r}, and this version reads {FORMAT}")


def check_lock(path: Path, registry: ModelRegistry, models: Iterable[str]) -> None:
    """Raises `InvalidConfiguration` when another champion would answer than the lock says; nothing without a lock."""
    pins = read_lock(path)
    if pins is None:
        return
    for name in sorted(set(models)):
        champion, pin = registry.alias(name, CHAMPION), pins.get(name)
        if champion == (None if pin is None else pin.digest):
            continue
        if pin is None:
            raise InvalidConfiguration(
                f"{path.name} does not pin {name}, whose champion is {champion}.",
                remedy="Pin it: `headrace models lock`.",
            )
        raise InvalidConfiguration(
            f"{path.name} pins {name} at {pin.digest}, and {_said(champion)}.", remedy=_remedy(name, pin, registry)
        )


def _said(champion: str | None) -> str:
    return "there is no champion" if champion is None else f"the champion is {champion}"


def _remedy(name: str, pin: Pin, registry: ModelRegistry) -> str:
    accept = "accept what is there by `headrace models lock`."
    if any(each.digest == pin.digest for each in registry.versions()):
        return f"Let the pinned one answer by `headrace models alias {name} champion {pin.digest}`, or {accept}"
    return (
        "The pinned version is not in this registry: train it again from the same data, or bring it in by "
        f"`headrace models register PATH --name {name} --alias champion`; or {accept}"
    )
