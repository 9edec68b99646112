"""Replays, feedback, outcomes, releases and models by a real server and a real client."""

import pytest
from milled import WORD, Mill
from served import served

from headrace.assembly import record_of
from headrace.registry.registry import ModelRegistry


@pytest.fixture
async def mill(tmp_path):
    registry = ModelRegistry(tmp_path / "data" / "models")
    for name, word in (("stone", b'"granite"'), ("sack", b'"jute"')):
        registry.move_alias(registry.register(name, {WORD: word}, metrics={"weight": 1.5}), expected=None)
    async with served(tmp_path, pipelines=(Mill,)) as it:
        yield it


async def answered(mill):
    return (await mill.client.post("/v1/mill/run", json={"corn": "rye"})).json()


async def test_a_replay_is_identical_and_says_so_at_once(mill):
    answer = await answered(mill)

    replayed = await mill.client.post(f"/v1/decisions/{answer['decision_id']}/replay")

    assert replayed.status_code == 200
    report = replayed.json()
    assert (report["identical"], report["differences"]) == (True, [])
    assert report["release"] == answer["release"]
    assert report["analysis"]["output"] == answer["output"]
    assert report["analysis"]["decision_id"] != answer["decision_id"]


async def test_a_replay_by_another_release_tells_the_difference(mill):
    answer = await answered(mill)
    other = mill.running.registry.register("stone", {WORD: b'"basalt"'})
    candidate = mill.running.planner.release("mill", {"stone": other})
    mill.running.stores.releases.add(record_of(candidate))

    report = (
        await mill.client.post(f"/v1/decisions/{answer['decision_id']}/replay", json={"release": candidate.id})
    ).json()

    assert report["identical"] is False
    assert report["differences"] == [{"path": "output", "before": "rye-jute-granite", "after": "rye-jute-basalt"}]


async def test_what_cannot_be_replayed_is_a_problem(mill):
    answer = await answered(mill)

    unknown = await mill.client.post("/v1/decisions/dec_0/replay")
    no_release = await mill.client.post(f"/v1/decisions/{answer['decision_id']}/replay", json={"release": "sha256:-"})
    malformed = await mill.client.post(f"/v1/decisions/{answer['decision_id']}/replay", content=b"{")

    assert [each.status_code for each in (unknown, no_release, malformed)] == [404, 404, 400]


async def test_feedback_and_outcomes_are_kept_and_the_last_one_holds(mill):
    path = f"/v1/decisions/{(await answered(mill))['decision_id']}"

    for label in ("invoice", "letter"):
        given = await mill.client.post(f"{path}/feedback", json={"label": label, "by": "Ada"})
        assert given.status_code == 201
    for value in (4.5, -1):
        told = await mill.client.post(f"{path}/outcomes", json={"metric": "minutes_saved", "value": value})
        assert told.status_code == 201
    shown = (await mill.client.get(f"{path}/feedback")).json()

    assert (shown["label"], shown["values"]) == ("letter", {"minutes_saved": -1.0})
    assert [each["label"] for each in shown["feedback"]] == ["invoice", "letter"]
    assert {each["release"] for each in shown["feedback"]} == {mill.running.champions["mill"].id}


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("feedback", {"label": ""}, 422),
        ("feedback", {"label": "x" * 300}, 422),
        ("feedback", {}, 400),
        ("feedback", {"label": "a", "more": 1}, 400),
        ("outcomes", {"metric": "", "value": 1}, 422),
        ("outcomes", {"metric": "m", "value": "many"}, 400),
        ("outcomes", {"metric": "m"}, 400),
    ],
)
async def test_feedback_that_is_none_is_refused(mill, what, body, status):
    path = f"/v1/decisions/{(await answered(mill))['decision_id']}/{what}"

    assert (await mill.client.post(path, json=body)).status_code == status


async def test_feedback_for_an_unknown_decision_is_not_found(mill):
    for what, body in (("feedback", {"label": "a"}), ("outcomes", {"metric": "m", "value": 1})):
        refused = await mill.client.post(f"/v1/decisions/dec_0/{what}", json=body)
        assert refused.status_code == 404
        assert refused.json()["code"] == "not_found"


async def test_releases_and_their_differences_are_looked_up(mill):
    champion = mill.running.champions["mill"]
    other = mill.running.registry.register("stone", {WORD: b'"basalt"'})
    candidate = mill.running.planner.release("mill", {"stone": other})
    mill.running.stores.releases.add(record_of(candidate))

    listed = (await mill.client.get("/v1/releases", params={"limit": 1})).json()
    rest = (await mill.client.get("/v1/releases", params={"cursor": listed["next"]})).json()
    shown = (await mill.client.get(f"/v1/releases/{champion.id}")).json()
    told = (await mill.client.get(f"/v1/releases/{champion.id}/diff/{candidate.id[:25]}")).json()

    assert [each["id"] for each in (*listed["items"], *rest["items"])] == [candidate.id, champion.id]
    assert (shown["answers"], listed["items"][0]["answers"]) == (True, False)
    assert shown["manifest"]["models"] == dict(champion.models)
    assert {each["path"] for each in told["differences"]} == {"models.stone", "traits.stone.word"}
    assert (await mill.client.get("/v1/releases/sha256:none")).status_code == 404


async def test_models_are_looked_up_in_every_way(mill):
    listed = (await mill.client.get("/v1/models")).json()["items"]
    stone = (await mill.client.get("/v1/models/stone@champion")).json()

    assert {each["name"] for each in listed} == {"stone", "sack"}
    assert stone in listed
    assert (stone["aliases"], stone["metrics"]) == (["champion"], {"weight": 1.5})
    assert (await mill.client.get(f"/v1/models/{stone['digest']}")).json() == stone
    assert (await mill.client.get("/v1/models/stone@other")).status_code == 404
