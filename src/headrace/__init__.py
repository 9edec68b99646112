"""The author's door: what one needs to write services and pipelines, and to read their answers."""

from typing import TYPE_CHECKING, Any

from headrace.domain.columns import Columns, Excerpts
from headrace.domain.decision import Decision
from headrace.domain.model import Field, ModelVersion, Signature
from headrace.domain.observation import Observation
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
from headrace.serving.checkpoints import checkpointed
from headrace.serving.context import Context, current_context, report_progress
from headrace.serving.pipeline import pipeline
from headrace.serving.pool import Solo
from headrace.serving.service import Guard, Service, batched, fallback
from headrace.serving.shared_work import SharedWork, Shelf
from headrace.serving.upload import Upload

if TYPE_CHECKING:
    from headrace.serving.onnx_model import OnnxModel

# The door joins the two: a service itself does not know where it lives.
Service.solo = Solo


def __getattr__(name: str) -> Any:
    if name == "OnnxModel":
        # Importing the runtime takes longer than all else here, and not every service has a model of this kind.
        from headrace.serving.onnx_model import OnnxModel  # noqa: PLC0415

        return OnnxModel
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


__all__ = [
    "ClassFigures",
    "Columns",
    "Conflict",
    "Context",
    "DeadlineExceeded",
    "Decision",
    "Example",
    "Excerpts",
    "Field",
    "GiveUp",
    "Guard",
    "HeadraceError",
    "InvalidConfiguration",
    "InvalidInput",
    "ModelVersion",
    "NotFound",
    "Observation",
    "OnProgress",
    "OnnxModel",
    "Overloaded",
    "Retry",
    "Service",
    "ServiceFailed",
    "SharedWork",
    "Shelf",
    "Signature",
    "TooLarge",
    "TrainedModel",
    "Trainer",
    "TrainingReport",
    "Unreadable",
    "UnreadableArtifact",
    "UnsupportedType",
    "Upload",
    "batched",
    "checkpointed",
    "current_context",
    "fallback",
    "pipeline",
    "report_progress",
]
