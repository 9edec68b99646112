"""Seen: one word as OCR saw it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """A word as Tesseract saw it: its line, its box in pixels, and how sure it is in percent."""

    text: str
    line: int
    box: tuple[int, int, int, int]
    confidence: float
