"""A pipeline of two services whose models are one word each, for tests of releases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import Service, batched, current_context, pipeline
from headrace.assembly import Platform, Settings

WORD = "word.json"


@dataclass(frozen=True, slots=True)
class WordOptions:
    """`ending` is put behind each word."""

    ending: str = ""


class _Worded(Service):
    options: WordOptions = WordOptions()
    loaded: str

    def load(self, artifact: Path | None) -> str:
        word = "none" if artifact is None else str(json.loads((artifact / WORD).read_bytes()))
        if word == "broken":
            raise ValueError("a word that cannot be loaded")
        return word

    def traits(self, artifact: Path | None) -> Mapping[str, Any]:
        return {"word": self.load(artifact)}


class StoneService(_Worded):
    """Answers with its own word and the question."""

    model = "stone"

    def warm_up(self) -> Iterable[tuple[str, object]]:
        return [("grind", "warm")]

    @batched(max_size=8)
    async def grind(self, corns: list[str]) -> list[str]:
        if self.loaded == "cold":
            raise RuntimeError("a word that cannot be warmed up")
        members = current_context().members
        ground = []
        for corn, member in zip(corns, members, strict=True):
            if member.work is not None:
                member.work.once(("sieve", corn), lambda: SIEVED.append(corn))  # noqa: B023 - called at once
            ground.append(f"{corn}-{self.loaded}{self.options.ending}")
        return ground


class SackService(_Worded):
    """Answers with its own word and the question."""

    model = "sack"

    async def fill(self, flour: str) -> str:
        FILLED.append(flour)
        return f"{flour}-{self.loaded}{self.options.ending}"


SIEVED: list[str] = []
FILLED: list[str] = []


@pipeline
class Mill:
    """Grinds, then fills."""

    def __init__(self) -> None:
        self.sack = SackService()
        self.stone = StoneService()

    async def run(self, corn: str) -> str:
        """Both words, one after the other."""
        sacked = await self.sack.fill(corn)
        return await self.stone.grind(sacked)


app = Platform(Mill)


def settings_in(folder: Path, **tables: Any) -> Settings:
    """Everything below `folder`, two replicas a service."""
    services = {"stone": {"replicas": 2}, "sack": {"replicas": 2}}
    return Settings(data=str(folder), **({"services": services} | tables))
