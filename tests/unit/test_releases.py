"""Several releases side by side: shared where they are the same, never mixed, refused when they do not come to life."""

import asyncio
import hashlib
import json
import shutil

import milled
import pytest
from milled import Mill, settings_in

from headrace.assembly import Platform, vigil
from headrace.domain.release import Release, Variant, differences
from headrace.errors import (
    HeadraceError,
    InvalidConfiguration,
    Overloaded,
    ServiceFailed,
    Unavailable,
    UnreadableArtifact,
)
from headrace.registry.registry import ModelRegistry
from headrace.serving.context import Context
from headrace.serving.releases import Releases
from headrace.serving.shared_work import SharedWork, Shelf
from headrace.storage.memory import MemoryDecisions


def registered(folder, name, word, *, is_champion=False):
    registry = ModelRegistry(settings_in(folder).models_folder)
    version = registry.register(name, {milled.WORD: json.dumps(word).encode()})
    if is_champion:
        registry.move_alias(version, expected=registry.alias(name))
    return version


@pytest.fixture
def running(tmp_path):
    registered(tmp_path, "stone", "granite", is_champion=True)
    registered(tmp_path, "sack", "jute", is_champion=True)
    return Platform(Mill).running(settings_in(tmp_path), decisions=MemoryDecisions())


async def answer_as(running, variant, corn="rye", work=None):
    endpoint = running.endpoints["mill/run"]
    return await endpoint.answer_as(variant, corn, context=Context(work=work), input_digest="")


async def test_two_releases_answer_side_by_side_and_share_what_is_the_same(running, tmp_path):
    other = registered(tmp_path, "stone", "basalt")
    async with running as platform:
        champion = platform.champions["mill"]
        candidate = platform.planner.release("mill", {"stone": other})
        await platform.loaded.load(candidate)

        first = await answer_as(platform, Variant(champion.id))
        second = await answer_as(platform, Variant(candidate.id, "challenger"))

        assert (first.value, second.value) == ("rye-jute-granite", "rye-jute-basalt")
        assert second.decision.release == candidate.id
        assert second.decision.variant == "challenger"
        assert platform.loaded.pool("sack", champion.id) is platform.loaded.pool("sack", candidate.id)
        assert platform.loaded.pool("stone", champion.id) is not platform.loaded.pool("stone", candidate.id)


async def test_a_shadow_computes_only_what_differs(running, tmp_path):
    other = registered(tmp_path, "stone", "basalt")
    async with running as platform:
        candidate = platform.planner.release("mill", {"stone": other})
        await platform.loaded.load(candidate)
        champion = platform.champions["mill"]
        milled.SIEVED.clear()
        milled.FILLED.clear()

        live = await answer_as(platform, Variant(champion.id, is_shadowed=True))
        shadow = await answer_as(platform, Variant(candidate.id), work=live.context.work)

        assert (live.value, shadow.value) == ("rye-jute-granite", "rye-jute-basalt")
        assert milled.FILLED == ["rye"]
        assert milled.SIEVED == ["rye-jute"]
        assert [step.is_cached for step in live.decision.steps] == [False, False]
        assert [(step.service, step.is_cached) for step in shadow.decision.steps] == [("sack", True), ("stone", False)]


@pytest.mark.parametrize("word", ["broken", "cold"])
async def test_a_candidate_that_does_not_come_to_life_never_gets_a_request(running, tmp_path, word):
    async with running as platform:
        champion = platform.champions["mill"]
        version = registered(tmp_path, "stone", word)
        candidate = champion.with_models({"stone": version.digest})

        with pytest.raises(ServiceFailed):
            await platform.loaded.load(candidate)

        assert candidate.id not in platform.loaded
        with pytest.raises(Overloaded, match="not loaded"):
            await answer_as(platform, Variant(candidate.id))
        assert (await answer_as(platform, Variant(champion.id))).value == "rye-jute-granite"
        assert platform.health()["stone"].replicas == 2


async def test_a_candidate_whose_file_was_tampered_with_is_refused(running, tmp_path):
    version = registered(tmp_path, "stone", "basalt")
    file = ModelRegistry(settings_in(tmp_path).models_folder).folder_of(version) / milled.WORD
    file.write_bytes(b'"slate!"')
    async with running as platform:
        candidate = platform.champions["mill"].with_models({"stone": version.digest})

        with pytest.raises(UnreadableArtifact, match="changed"):
            await platform.loaded.load(candidate)

        assert candidate.id not in platform.loaded


async def until_told(told, event):
    async with asyncio.timeout(60):
        while event not in [name for name, _ in told]:
            await asyncio.sleep(0.02)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A platform that looks at its files all the time, what it tells, and a file of its champion."""
    monkeypatch.setattr(vigil, "EVERY_S", 0.02)
    stone = registered(tmp_path, "stone", "granite", is_champion=True)
    registered(tmp_path, "sack", "jute", is_champion=True)
    settings, told = settings_in(tmp_path), []
    file = ModelRegistry(settings.models_folder).folder_of(stone) / milled.WORD
    tell = lambda event, facts: told.append((event, facts))  # noqa: E731
    return Platform(Mill).running(settings, decisions=MemoryDecisions(), tell=tell), told, file


async def test_a_release_whose_file_is_written_over_answers_nothing_more(watched):
    running, told, file = watched
    async with running as platform:
        champion = platform.champions["mill"]
        assert (await answer_as(platform, Variant(champion.id))).value == "rye-jute-granite"
        await asyncio.sleep(0.1)
        with file.open("r+b") as stream:
            stream.write(b'"schist!"')
        await until_told(told, "model_changed")

        with pytest.raises(Unavailable, match=r"A file of stone sha256:\w+ was changed"):
            await answer_as(platform, Variant(champion.id))
        assert platform.health()["stone"].state == "stopped"
        assert "was changed" in platform.health()["stone"].detail


async def test_what_was_written_over_before_the_first_look_is_noticed_too(tmp_path):
    stone = registered(tmp_path, "stone", "granite")
    registry, told = ModelRegistry(settings_in(tmp_path).models_folder), []
    with (registry.folder_of(stone) / milled.WORD).open("r+b") as stream:
        stream.write(b'"schist!"')
    release = Release(pipeline="mill", code="sha256:any", models={"stone": stone.digest}, settings={})
    loaded = Releases(lambda _release: {})
    await loaded.load(release)

    await vigil.Vigil(loaded, registry, tell=lambda event, _facts: told.append(event)).look()

    assert told == ["model_changed"]
    with pytest.raises(Unavailable), loaded.held(release.id):
        pass


async def test_a_registry_that_is_away_neither_ends_the_vigil_nor_the_answers(watched):
    running, told, file = watched
    async with running as platform:
        await asyncio.sleep(0.1)
        shutil.rmtree(file.parents[3])
        await until_told(told, "model_files_missing")

        assert (await answer_as(platform, Variant(platform.champions["mill"].id))).value == "rye-jute-granite"


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_file_that_is_gone_or_another_one_harms_nobody_who_has_it_mapped(watched, is_replaced):
    running, told, file = watched
    async with running as platform:
        champion = platform.champions["mill"]
        await asyncio.sleep(0.1)
        if is_replaced:
            other = file.with_name("other")
            other.write_bytes(b'"schist!"')
            other.replace(file)
        else:
            file.unlink()
        await until_told(told, "model_files_missing")

        assert (await answer_as(platform, Variant(champion.id))).value == "rye-jute-granite"
        assert platform.health()["stone"].state == "ready"


async def test_a_release_of_other_code_is_refused_with_the_remedy(running):
    async with running as platform:
        champion = platform.champions["mill"]
        foreign = Release(pipeline="mill", code="sha256:other", models=champion.models, settings=champion.settings)

        with pytest.raises(InvalidConfiguration, match="other"):
            await platform.loaded.load(foreign)


async def test_a_release_may_change_settings_only(running):
    async with running as platform:
        champion = platform.champions["mill"]
        changed = Release.from_manifest(champion.manifest())
        changed = Release(
            pipeline=changed.pipeline,
            code=changed.code,
            models=changed.models,
            settings={**changed.settings, "stone": {"ending": "!"}},
        )
        await platform.loaded.load(changed)

        assert (await answer_as(platform, Variant(changed.id))).value == "rye-jute-granite!"
        assert (await answer_as(platform, Variant(champion.id))).value == "rye-jute-granite"


async def test_an_unloaded_release_ends_its_requests_first_and_takes_no_new_ones(running, tmp_path):
    other = registered(tmp_path, "stone", "basalt")
    async with running as platform:
        candidate = platform.planner.release("mill", {"stone": other})
        await platform.loaded.load(candidate)
        pool = platform.loaded.pool("stone", candidate.id)

        with platform.loaded.held(candidate.id):
            leaving = asyncio.create_task(platform.loaded.unload(candidate.id))
            await asyncio.sleep(0)
            assert candidate.id not in platform.loaded
            assert not leaving.done()
            assert pool.health().replicas == 2
        await leaving

        with pytest.raises(HeadraceError):
            platform.loaded.pool("stone", candidate.id)
        # Nobody uses it, and it fits the cache: it stays warm for a release that comes back.
        assert pool.health().replicas == 2
        await platform.loaded.load(candidate)
        assert platform.loaded.pool("stone", candidate.id) is pool


async def test_unused_parts_are_evicted_by_bytes_the_oldest_first(tmp_path):
    registered(tmp_path, "stone", "granite", is_champion=True)
    words = [registered(tmp_path, "stone", f"word-{number}") for number in range(3)]
    size = sum(file.size_bytes for file in words[0].files.values())
    settings = settings_in(tmp_path, artifacts=type(settings_in(tmp_path).artifacts)(cache=2 * size))
    async with Platform(Mill).running(settings, decisions=MemoryDecisions()) as platform:
        candidates = [platform.planner.release("mill", {"stone": word}) for word in words]
        pools = []
        for candidate in candidates:
            await platform.loaded.load(candidate)
            pools.append(platform.loaded.pool("stone", candidate.id))
        for candidate in candidates:
            await platform.loaded.unload(candidate.id)

        assert [pool.health().replicas for pool in pools] == [0, 2, 2]
        assert platform.health()["stone"].replicas == 2


async def test_the_reference_that_came_with_models_is_part_of_their_release(running, tmp_path):
    registry = ModelRegistry(settings_in(tmp_path).models_folder)

    def referred(name, examples):
        files = {milled.WORD: b'"slate"', "reference.json": json.dumps({"examples": examples}).encode()}
        return registry.register(name, files)

    stone, sack, other_sack = referred("stone", 1), referred("sack", 2), referred("sack", 3)
    async with running as platform:
        release = platform.planner.release
        alone = release("mill", {"stone": stone})
        both, others = (release("mill", {"stone": stone, "sack": each}) for each in (sack, other_sack))

    assert platform.champions["mill"].reference is None
    assert alone.reference == "sha256:" + hashlib.sha256(b'{"examples": 1}').hexdigest()
    assert len({alone.reference, both.reference, others.reference}) == 3
    assert Release.from_manifest(both.manifest()) == both


def test_differences_name_every_place():
    before = {"models": {"a": "1", "b": "2"}, "list": [1, {"x": 2}]}
    after = {"models": {"a": "1", "b": "3", "c": "4"}, "list": [1, {"x": 2.5}]}

    found = [(each.path, each.before, each.after) for each in differences(before, after)]

    assert found == [("list[1].x", 2, 2.5), ("models.b", "2", "3"), ("models.c", None, "4")]


def test_a_release_survives_its_manifest():
    release = Release("mill", "sha256:c", {"stone": "sha256:m"}, {"stone": {"ending": "é"}}, {"stone": {"labels": [1]}})

    assert Release.from_manifest(release.manifest()) == release
    assert Release.from_manifest(release.manifest()).id == release.id


def test_shared_work_is_done_once_and_a_failure_is_tried_again():
    work = SharedWork()
    tries = []

    def failing():
        tries.append(1)
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        work.once("key", failing)

    assert work.once("key", lambda: 5) == 5
    assert work.once("key", failing) == 5
    assert len(tries) == 1


class Table:
    """A part that may be weakly referred to."""


def test_a_shelf_gives_the_same_part_while_it_lives_and_keeps_some_warm_by_bytes():
    shelf = Shelf(bound_bytes=10)

    held = shelf.shared("held", Table)
    first = id(shelf.shared("first", Table, size_bytes=6))
    assert id(shelf.shared("first", Table, size_bytes=6)) == first
    shelf.shared("second", Table, size_bytes=6)

    assert shelf.shared("held", Table) is held
    assert shelf.warm_bytes == 6
