"""A peer: FastAPI behind uvicorn, two workers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from model import Model
from pydantic import BaseModel

app = FastAPI()
model = Model()


class Question(BaseModel):
    """A text."""

    text: str


@app.post("/classify")
async def classify(question: Question) -> dict[str, Any]:
    """Label and probabilities."""
    return model.one({"text": question.text})
