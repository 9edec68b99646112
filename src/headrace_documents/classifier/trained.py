"""A taught head as the files of a model, with the figures of how it fared on unseen examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace import ClassFigures, Field, Observation, Signature, TrainedModel, TrainingReport
from headrace_documents.classifier.embedding import embedding_of, projected
from headrace_documents.classifier.head import TERMS, Floats, Head
from headrace_documents.classifier.judging import (
    calibration_error,
    class_figures,
    confusion_of,
    log_loss,
    right_by_confidence,
)
from headrace_documents.classifier.lesson import Lesson
from headrace_documents.classifier.softmax import Scores, probabilities
from headrace_documents.language import LanguageDetector
from headrace_documents.schema import UNKNOWN_LANGUAGE


def trained_model(
    lesson: Lesson,
    head: Head,
    scores: Scores,
    *,
    pooled: Mapping[str, Floats],
    weights: Mapping[str, float],
    seed: int,
    notes: Sequence[str],
) -> TrainedModel:
    """The model of `head`; `scores` (texts, labels) are those of the examples while they were unseen.

    `pooled` are their mean token vectors by reader, (texts, width) each.
    """
    confusion = confusion_of(scores.argmax(axis=1).astype(np.int64), lesson.truth, len(lesson.labels))
    figures = class_figures(confusion)
    metrics = {
        "accuracy": round(float(np.trace(confusion) / confusion.sum()), 6),
        "macro_f1": round(float(np.mean([f1 for *_, f1 in figures])), 6),
        "calibration_error": round(calibration_error(scores, lesson.truth), 6),
        "log_loss": round(log_loss(scores, lesson.truth), 6),
        "examples": float(len(lesson.texts)),
    }
    report = TrainingReport(
        labels=lesson.labels,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        classes=tuple(
            ClassFigures(label, count, *(round(share, 6) for share in shares))
            for label, (count, *shares) in zip(lesson.labels, figures, strict=True)
        ),
        notes=tuple(notes),
    )
    features = [name for name in head.weights if name != TERMS]
    lineage = {"data": lesson.digest, "seed": str(seed), "features": "+".join(features)}
    files = head.files() | {"report.json": _report(report, metrics, weights)}
    files["reference.json"] = _reference(lesson, scores)
    files["calibration.json"] = json.dumps({"bins": right_by_confidence(scores, lesson.truth)}).encode()
    signature = Signature(
        inputs=(Field("text", "string"),),
        outputs=(Field("label", "string", lesson.labels), Field("confidence", "double")),
    )
    return TrainedModel(
        files=files,
        metrics=metrics,
        report=report,
        lineage=lineage,
        signature=signature,
        observations=observations_of(lesson, scores, pooled),
    )


def observations_of(lesson: Lesson, scores: Scores, pooled: Mapping[str, Floats]) -> tuple[Observation, ...]:
    """What the watch would have seen of the examples while they were unseen, under the names that answers have it."""
    shares, detector = probabilities(scores), LanguageDetector()
    return tuple(
        Observation(
            numbers={"confidence": float(share.max()), "characters": float(len(text))},
            categories={"label": lesson.labels[int(share.argmax())]},
            tags={"language": detector.language_of(text) or UNKNOWN_LANGUAGE},
            embedding=projected(embedding_of({name: rows[place] for name, rows in pooled.items()})),
        )
        for place, (text, share) in enumerate(zip(lesson.texts, shares, strict=True))
    )


def _reference(lesson: Lesson, scores: Scores) -> bytes:
    """What the model said of unseen examples, for who watches what it says later: labels, and how sure they were."""
    said = np.bincount(scores.argmax(axis=1), minlength=len(lesson.labels)).tolist()
    content = {
        "examples": len(lesson.texts),
        "categories": {"label": dict(zip(lesson.labels, said, strict=True))},
        "confidence": [count for count, _ in right_by_confidence(scores, lesson.truth)],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _report(report: TrainingReport, metrics: Mapping[str, float], weights: Mapping[str, float]) -> bytes:
    content: dict[str, Any] = {
        "metrics": dict(metrics),
        "labels": list(report.labels),
        "confusion": [list(row) for row in report.confusion],
        "classes": [
            {
                "label": row.label,
                "examples": row.examples,
                "precision": row.precision,
                "recall": row.recall,
                "f1": row.f1,
            }
            for row in report.classes
        ],
        "notes": list(report.notes),
        "blend": {name: round(weight, 6) for name, weight in weights.items()},
    }
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False).encode()
