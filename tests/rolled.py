"""A pipeline of one service whose model says what it answers, how sure it is, and whether it fails, for rollouts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import Service, pipeline
from headrace.assembly import Platform, Running, Settings
from headrace.domain.model import ModelVersion
from headrace.registry.registry import ModelRegistry
from headrace.serving.answered import Answered
from headrace.serving.context import Context

SAYING = "saying.json"


@dataclass(frozen=True, slots=True)
class Saying:
    """What a model answers; keeps the promise of an answer."""

    word: str = "rye"
    sure: float = 0.9

    def body(self) -> dict[str, Any]:
        return {"word": self.word}

    def text(self) -> str | None:
        return None

    def explanation(self) -> dict[str, Any] | None:
        return None

    def confidence(self) -> float:
        return self.sure

    def label(self) -> str:
        return self.word


class OracleService(Service):
    """Answers as its model says."""

    model = "oracle"
    loaded: dict[str, Any]

    def load(self, artifact: Path | None) -> dict[str, Any]:
        saying: dict[str, Any] = {} if artifact is None else json.loads((artifact / SAYING).read_bytes())
        if saying.get("is_broken"):
            raise ValueError("an oracle that cannot be loaded")
        return saying

    def warm_up(self) -> Iterable[tuple[str, object]]:
        return [("ask", "warm")]

    async def ask(self, question: str) -> Saying:
        if question == "warm" and self.loaded.get("is_cold"):
            raise RuntimeError("an oracle that cannot be warmed up")
        if question != "warm" and self.loaded.get("fails"):
            raise RuntimeError("an oracle without an answer")
        return Saying(self.loaded.get("word", "rye"), self.loaded.get("sure", 0.9))


@pipeline
class Mill:
    """Asks the oracle."""

    def __init__(self) -> None:
        self.oracle = OracleService()

    async def ask(self, question: str) -> Saying:
        """What it says."""
        return await self.oracle.ask(question)


app = Platform(Mill)


def settings_in(folder: Path) -> Settings:
    """Everything below `folder`."""
    return Settings(data=str(folder), services={"oracle": {"replicas": 1}})


def registered(folder: Path, alias: str, **saying: Any) -> ModelVersion:
    """A model that says so, under `alias`."""
    registry = ModelRegistry(settings_in(folder).models_folder)
    version = registry.register("oracle", {SAYING: json.dumps(saying).encode()})
    registry.move_alias(version, alias, expected=registry.alias("oracle", alias))
    return version


async def asked(running: Running, key: str) -> Answered:
    """One answer, for the caller `key`."""
    endpoint = running.endpoints["mill/ask"]
    return await endpoint.answer(f"question of {key}", context=Context(key=key), input_digest="")
