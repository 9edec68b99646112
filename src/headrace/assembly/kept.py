"""The settings of commands that look at what is kept: where nothing is, they say so and make nothing."""

from __future__ import annotations

from pathlib import Path

from headrace.errors import NotFound
from headrace.settings import Settings, settings_here
from headrace.storage.database import file_of


def kept_settings(data: str | None) -> Settings:
    """The settings of the working folder, with what is kept in `data`, where that is given.

    Raises:
        NotFound: the store is a file, and not there.
    """
    settings = settings_here({"data": data})
    file = file_of(settings.store_url)
    if file is not None and not file.exists():
        raise _nothing_in(file.parent)
    return settings


def kept_models(data: str | None) -> Settings:
    """As `kept_settings`, for commands that need models and no store, and make nothing by looking for them.

    Raises:
        NotFound: `data` is given, models are kept there, and it is not there.
    """
    settings = settings_here({"data": data})
    if data is not None and "{data}" in settings.artifacts.url and not Path(data).is_dir():
        raise _nothing_in(Path(data))
    return settings


def _nothing_in(folder: Path) -> NotFound:
    return NotFound(f"Nothing is kept in {folder}.", remedy="Check --data; `headrace up` and `train` begin to keep.")
