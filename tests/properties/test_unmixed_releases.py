"""No decision mixes two releases, whatever is loaded, chosen, unloaded and batched meanwhile: asserted from the log."""

import asyncio
import json
import tempfile
from pathlib import Path

import milled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from milled import Mill, settings_in

from headrace.assembly import Platform
from headrace.domain.release import Variant
from headrace.errors import Overloaded
from headrace.registry.registry import ModelRegistry
from headrace.serving.context import Context
from headrace.storage.memory import MemoryDecisions

STONES, SACKS = ("granite", "basalt", "slate"), ("jute", "linen")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 5), st.integers(1, 12)),
        st.tuples(st.just("load"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("unload"), st.integers(1, 5), st.just(0)),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_no_decision_mixes_two_releases(actions):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder), actions))


async def _run(folder, actions):
    registry = ModelRegistry(settings_in(folder).models_folder)
    versions = {
        name: [registry.register(name, {milled.WORD: json.dumps(word).encode()}) for word in words]
        for name, words in (("stone", STONES), ("sack", SACKS))
    }
    for each in versions.values():
        registry.move_alias(each[0], expected=None)
    store = MemoryDecisions()
    async with Platform(Mill).running(settings_in(folder), decisions=store) as platform:
        releases = [
            platform.planner.release("mill", {"stone": stone, "sack": sack})
            for sack in versions["sack"]
            for stone in versions["stone"]
        ]
        said = {
            release.id: f"corn-{sack}-{stone}"
            for release, (sack, stone) in zip(releases, [(k, s) for k in SACKS for s in STONES], strict=True)
        }
        endpoint = platform.endpoints["mill/run"]
        endpoint._choose = Variant
        asked: list[asyncio.Task] = []
        others: list[asyncio.Task] = []
        for action, which, times in actions:
            release = releases[which]
            if action == "ask":
                contexts = [Context(key=release.id) for _ in range(times)]
                asked += [
                    asyncio.create_task(endpoint.answer("corn", context=context, input_digest=""))
                    for context in contexts
                ]
            elif action == "load":
                others.append(asyncio.create_task(platform.loaded.load(release)))
            else:
                others.append(asyncio.create_task(platform.loaded.unload(release.id)))
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.gather(*others)
        by_id = {release.id: release for release in releases}
        answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        turned_away = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(outcome, Overloaded) and "not loaded" in str(outcome) for outcome in turned_away)
    # The log alone has to show it: each step's model is the one that the decision's release names.
    logged = store.listed(cursor=None, limit=10_000).items
    assert len(logged) == len(answered)
    for decision in logged:
        models = by_id[decision.release].models
        assert {step.service: step.model for step in decision.steps} == models
        assert json.loads(decision.body)["output"] == said[decision.release]
