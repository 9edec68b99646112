"""The same question again: byte for byte the same on its own release, a difference in words on another."""

import asyncio
import json

import milled
import pytest
from milled import Mill, settings_in
from msgspec.structs import replace

from headrace import Columns, Service, batched, fallback, pipeline
from headrace.assembly import Platform, Settings
from headrace.assembly.releases import record_of
from headrace.domain.release import Release
from headrace.errors import Conflict, InvalidConfiguration, NotFound, ServiceFailed
from headrace.registry.registry import ModelRegistry
from headrace.serving.context import Context
from headrace.serving.keeping import LOST


def registered(folder, name, word, *, is_champion=False):
    registry = ModelRegistry(settings_in(folder).models_folder)
    version = registry.register(name, {milled.WORD: json.dumps(word).encode()})
    if is_champion:
        registry.move_alias(version, expected=registry.alias(name))
    return version


@pytest.fixture
def mill(tmp_path):
    registered(tmp_path, "stone", "granite", is_champion=True)
    registered(tmp_path, "sack", "jute", is_champion=True)
    return Platform(Mill)


async def ask(running, corn="rye"):
    return (await running.endpoints["mill/run"].answer(corn, context=Context(), input_digest="")).decision


async def test_the_same_release_gives_the_same_bytes(mill, tmp_path):
    async with mill.running(settings_in(tmp_path)) as running:
        decision = await ask(running)
        replay = await running.replayer.replay(decision.id)

    assert replay.identical is True
    assert replay.differences == ()
    assert json.loads(replay.body)["output"] == json.loads(decision.body)["output"]


async def test_a_later_process_with_another_champion_gives_the_same_bytes(mill, tmp_path):
    async with mill.running(settings_in(tmp_path)) as running:
        decision = await ask(running)
    registered(tmp_path, "stone", "basalt", is_champion=True)

    async with mill.running(settings_in(tmp_path)) as running:
        assert running.champions["mill"].id != decision.release
        replay = await running.replayer.replay(decision.id)
        assert decision.release not in running.loaded

    assert replay.identical is True
    assert replay.release == decision.release


async def test_another_release_gives_a_difference(mill, tmp_path):
    other = registered(tmp_path, "stone", "basalt")
    async with mill.running(settings_in(tmp_path)) as running:
        decision = await ask(running)
        candidate = running.planner.release("mill", {"stone": other})
        running.stores.releases.add(record_of(candidate))

        replay = await running.replayer.replay(decision.id, release_id=candidate.id[:20])

    assert replay.identical is False
    assert [(each.path, each.before, each.after) for each in replay.differences] == [
        ("output", "rye-jute-granite", "rye-jute-basalt")
    ]


async def test_what_was_not_kept_cannot_be_replayed_but_may_be_given_again(mill, tmp_path):
    settings = settings_in(tmp_path, decisions=type(settings_in(tmp_path).decisions)(inputs="digest"))
    async with mill.running(settings) as running:
        decision = await ask(running)

        with pytest.raises(Conflict, match="not kept"):
            await running.replayer.replay(decision.id)
        assert (await running.replayer.replay(decision.id, question="rye")).identical is True
        assert (await running.replayer.replay(decision.id, question="oats")).identical is False


async def test_what_is_unknown_is_said_to_be(mill, tmp_path):
    async with mill.running(settings_in(tmp_path)) as running:
        decision = await ask(running)
        with pytest.raises(NotFound, match="dec_0"):
            await running.replayer.replay("dec_0")
        with pytest.raises(NotFound, match="not known"):
            await running.replayer.replay(decision.id, release_id="sha256:dead")
        foreign = Release("mill", "sha256:other")
        running.stores.releases.add(record_of(foreign))
        with pytest.raises(InvalidConfiguration, match="made by the code"):
            await running.replayer.replay(decision.id, release_id=foreign.id)


class Reasoned:
    def __init__(self, word) -> None:
        self.word = word

    def body(self):
        return {"word": self.word}

    def text(self):
        return None

    def explanation(self):
        return {"why": Columns({"word": [self.word]})}

    def confidence(self):
        return None


@pipeline
class Reasoner:
    """Gives a word back, and tells why."""

    mood = "calm"

    async def tell(self, word: str) -> Reasoned:
        """The word in this mood."""
        return Reasoned(f"{word}, {self.mood}")


async def test_an_explanation_that_was_lost_is_made_again_where_the_answer_is_the_same(tmp_path, monkeypatch):
    async with Platform(Reasoner).running(Settings(data=str(tmp_path))) as running:
        endpoint = running.endpoints["reasoner/tell"]
        answered = await endpoint.answer("rye", context=Context(), input_digest="")
        kept = await asyncio.to_thread(running.recorder.find, answered.decision.id)
        lost = replace(kept, explanation=LOST)

        assert await running.replayer.explanation(lost) == b'{"why":[{"word":"rye, calm"}]}'
        assert await running.replayer.explanation(replace(kept, explanation=None)) is None
        with pytest.raises(Conflict, match="not kept"):
            await running.replayer.explanation(replace(lost, input=None))
        monkeypatch.setattr(Reasoner, "mood", "angry")
        with pytest.raises(Conflict, match="answers otherwise"):
            await running.replayer.explanation(lost)


class WornService(Service):
    """A stone that is lent out at times, and a mortar."""

    is_lent = False

    @batched(max_size=8)
    async def grind(self, corns: list[str]) -> list[str]:
        if WornService.is_lent:
            raise ServiceFailed("The stone is lent out.")
        return [f"ground {corn}" for corn in corns]

    @fallback("mortar", of=grind)
    async def _pound(self, corn: str) -> str:
        return f"pounded {corn}"


@pipeline
class WornMill:
    def __init__(self) -> None:
        self.stone = WornService()

    async def run(self, corn: str) -> str:
        return await self.stone.grind(corn)


async def test_what_a_lesser_way_answered_is_given_again_by_it_though_the_best_could_answer_now(tmp_path, monkeypatch):
    async with Platform(WornMill).running(settings_in(tmp_path, services={})) as running:
        endpoint = running.endpoints["worn-mill/run"]
        monkeypatch.setattr(WornService, "is_lent", True)
        lesser = (await endpoint.answer("rye", context=Context(), input_digest="")).decision
        monkeypatch.setattr(WornService, "is_lent", False)
        best = (await endpoint.answer("rye", context=Context(), input_digest="")).decision
        replays = [await running.replayer.replay(each.id) for each in (lesser, best)]

    assert [json.loads(each.body)["output"] for each in (lesser, best)] == ["pounded rye", "ground rye"]
    assert [each.identical for each in replays] == [True, True]
