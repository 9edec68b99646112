"""The registry that the settings name, and the lock that is held against it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.registry.lock import FILE, check_lock
from headrace.registry.registry import ModelRegistry
from headrace.serving.pipeline import services_of
from headrace.settings import Settings


def opened_registry(settings: Settings) -> ModelRegistry:
    """Where models are; nothing is read yet."""
    return ModelRegistry(settings.models_folder)


def models_of(pipelines: Sequence[type]) -> list[str]:
    """The names of all models that services of `pipelines` are made of."""
    kinds = {type(service).model for pipeline in pipelines for service in services_of(pipeline()).values()}
    return sorted(name for name in kinds if name is not None)


def check_lock_here(pipelines: Sequence[type], settings: Settings) -> None:
    """Holds `headrace.lock` of the working folder against the champions; nothing where there is no such file.

    Raises:
        InvalidConfiguration: another version would answer than the lock says, or the lock cannot be read.
    """
    check_lock(Path.cwd() / FILE, opened_registry(settings), models_of(pipelines))
