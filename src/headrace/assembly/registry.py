"""The registry that the settings name, and the lock that is held against it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.registry.lock import FILE, check_lock
from headrace.registry.registry import ModelRegistry
from headrace.serving.pipeline import instance_of, services_of
from headrace.settings import Settings
from headrace.storage.artifacts import is_bucket


def opened_registry(settings: Settings) -> ModelRegistry:
    """Where models are, in a folder or in a bucket with copies in a folder; nothing is read yet."""
    url = settings.models_url
    if not is_bucket(url):
        return ModelRegistry(settings.models_folder)
    # Its client is slow to load and large, and most models lie in a folder.
    from headrace.storage.bucket import BucketPlace  # noqa: PLC0415

    return ModelRegistry(settings.models_folder, bucket=BucketPlace(url))


def models_of(pipelines: Sequence[type]) -> list[str]:
    """The names of all models that services of `pipelines` are made of."""
    held = (services_of(instance_of(pipeline)) for pipeline in pipelines)
    kinds = {type(service).model for each in held for services in each.values() for service in services}
    return sorted(name for name in kinds if name is not None)


def check_lock_here(pipelines: Sequence[type], settings: Settings) -> None:
    """Holds `headrace.lock` of the working folder against the champions; nothing where there is no such file.

    Raises:
        InvalidConfiguration: another version would answer than the lock says, or the lock cannot be read.
    """
    check_lock(Path.cwd() / FILE, opened_registry(settings), models_of(pipelines))
