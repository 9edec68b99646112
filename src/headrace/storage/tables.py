"""All tables of the store: importing this makes `metadata` whole."""

from __future__ import annotations

from headrace.storage import (
    attendances,
    batches,
    decisions,
    feedback,
    job_tables,
    keys,
    releases,
    reports,
    rollout_tables,
    webhooks,
)
from headrace.storage.database import metadata

__all__ = [
    "attendances",
    "batches",
    "decisions",
    "feedback",
    "job_tables",
    "keys",
    "metadata",
    "releases",
    "reports",
    "rollout_tables",
    "webhooks",
]
