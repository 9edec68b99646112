"""The release of a pipeline on this platform: what decides about its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from headrace.assembly.parts import Part
from headrace.domain.release import Release
from headrace.serving.pipeline import kebab, services_of
from headrace.serving.pool import Pool
from headrace.serving.sources import digest_of_sources


def release_of(instance: object, parts: Mapping[str, Part], pools: Mapping[str, Pool]) -> Release:
    """What answers: the code, the models by digest, and every option that is not hidden by `repr=False`."""
    names = sorted(services_of(instance))
    packages = {type(each).__module__.partition(".")[0] for each in (instance, *services_of(instance).values())}
    models = {name: digest for name in names if (digest := pools[name].model) is not None}
    return Release(
        pipeline=kebab(type(instance).__name__),
        code=digest_of_sources("headrace", *packages),
        models=models,
        settings={name: _shown(parts[name].options) for name in names},
    )


def _shown(options: Any) -> Any:
    if options is None:
        return {}
    shown = msgspec.to_builtins(options)
    return {key: value for key, value in shown.items() if key not in _hidden(options)}


def _hidden(options: Any) -> set[str]:
    return {field.name for field in fields(options) if not field.repr}
