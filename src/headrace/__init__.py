"""The author's door: what one needs to write services and pipelines, and to read their answers."""

from headrace.domain.decision import Decision
from headrace.domain.model import ModelVersion
from headrace.domain.training import ClassFigures, Example, OnProgress, TrainedModel, Trainer, TrainingReport
from headrace.errors import (
    Conflict,
    DeadlineExceeded,
    GiveUp,
    HeadraceError,
    InvalidConfiguration,
    InvalidInput,
    NotFound,
    Overloaded,
    Retry,
    ServiceFailed,
    TooLarge,
    Unreadable,
    UnreadableArtifact,
    UnsupportedType,
)
from headrace.serving.context import Context, current_context, report_progress
from headrace.serving.pipeline import pipeline
from headrace.serving.pool import Solo
from headrace.serving.service import Guard, Service, batched, fallback
from headrace.serving.shared_work import SharedWork, Shelf
from headrace.serving.upload import Upload

# The door joins the two: a service itself does not know where it lives.
Service.solo = Solo

__all__ = [
    "ClassFigures",
    "Conflict",
    "Context",
    "DeadlineExceeded",
    "Decision",
    "Example",
    "GiveUp",
    "Guard",
    "HeadraceError",
    "InvalidConfiguration",
    "InvalidInput",
    "ModelVersion",
    "NotFound",
    "OnProgress",
    "Overloaded",
    "Retry",
    "Service",
    "ServiceFailed",
    "SharedWork",
    "Shelf",
    "TooLarge",
    "TrainedModel",
    "Trainer",
    "TrainingReport",
    "Unreadable",
    "UnreadableArtifact",
    "UnsupportedType",
    "Upload",
    "batched",
    "current_context",
    "fallback",
    "pipeline",
    "report_progress",
]
