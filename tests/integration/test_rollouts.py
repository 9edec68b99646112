"""Rollouts on a whole platform with its real store: traffic, shadows, feedback, restarts, and who is refused."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import httpx
import pytest
from rolled import app, asked, registered, settings_in

from headrace.assembly.gateway import gateway_of
from headrace.domain.feedback import feedback_on
from headrace.domain.guard_rule import ACCURACY, DEGRADED, DISAGREEMENT, ERRORS, LOW_CONFIDENCE, guards_of
from headrace.domain.model import CHAMPION
from headrace.domain.rollout import CHALLENGER, RolloutPlan, RolloutState
from headrace.errors import InvalidConfiguration, ServiceFailed
from headrace.gateway.place import Place
from headrace.gateway.server import Server

DEADLINE_S = 60
WATCHED = {ERRORS, DEGRADED, LOW_CONFIDENCE, ACCURACY, DISAGREEMENT}
# Latency is not watched here: the machine that runs the tests is busy with other things.
PLAN = RolloutPlan(
    steps=(0.5,), guards=tuple(replace(rule, margin=0.1) for rule in guards_of([]) if rule.name in WATCHED)
)


async def until(holds, *, ask=None):
    """Asks on until `holds` gives something."""
    number = 0
    async with asyncio.timeout(DEADLINE_S):
        while not (found := holds()):
            number += 1
            await (asyncio.sleep(0.02) if ask is None else ask(number))
        return found


@asynccontextmanager
async def platform_in(folder):
    async with app.running(settings_in(folder)) as running:
        yield running


def started(running, plan=PLAN, release="oracle@challenger"):
    from headrace.assembly.candidates import RolloutOffice  # noqa: PLC0415

    rolled = running.rollouts
    office = RolloutOffice(rolled.desk, running.planner, rolled.store, running.stores.releases)
    return office.start(release, None, plan)


async def ready(running):
    traffic = running.rollouts.traffic["mill"]
    await until(lambda: traffic.is_ready)


def state_of(running, rollout):
    return running.rollouts.desk.found(rollout.id).state


def asking(running, answers=None):
    """A caller of its own each time; failures are the caller's to bear."""

    async def ask(number):
        try:
            answered = await asked(running, f"customer-{number}")
        except ServiceFailed:
            return
        if answers is not None:
            answers.append(answered.decision)

    return ask


async def test_a_good_candidate_is_promoted_while_callers_ask_and_everybody_is_told(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    better = registered(tmp_path, "challenger", word="wheat")
    answers = []
    async with platform_in(tmp_path) as running:
        before = running.champions["mill"].id
        rollout = started(running)
        await ready(running)
        await until(lambda: state_of(running, rollout) is RolloutState.PROMOTED, ask=asking(running, answers))
        await until(lambda: running.rollouts.traffic["mill"].champion == rollout.candidate)
        last = (await asked(running, "customer-1")).decision
        await until(lambda: not running.rollouts.store.unsettled())

        assert last.release == rollout.candidate
        assert last.variant == CHAMPION
        met = {(each.release, each.variant) for each in answers}
        assert met >= {(before, CHAMPION), (rollout.candidate, CHALLENGER)}
        assert met <= {(before, CHAMPION), (rollout.candidate, CHALLENGER), (rollout.candidate, CHAMPION)}
        assert running.registry.alias("oracle") == better.digest
        assert running.stores.releases.find(rollout.candidate) is not None


async def test_a_candidate_that_changes_a_service_of_another_host_is_refused_when_it_is_named(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    async with platform_in(tmp_path) as running:
        far = replace(running.planner.parts["oracle"], url="http://far.example:8001")
        running.planner.parts["oracle"] = far

        with pytest.raises(InvalidConfiguration, match=r"changes oracle, which http://far.example:8001"):
            started(running)

        assert not running.rollouts.desk.listed().items


async def test_a_failing_candidate_is_rolled_back_by_itself(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", fails=True)
    async with platform_in(tmp_path) as running:
        rollout = started(running)
        await ready(running)

        await until(lambda: state_of(running, rollout) is RolloutState.ROLLED_BACK, ask=asking(running))
        await until(lambda: running.rollouts.traffic["mill"].rollout is None)

        assert ERRORS in running.rollouts.desk.found(rollout.id).reason
        for number in range(40):
            assert (await asked(running, f"customer-{number}")).decision.release == rollout.champion


@pytest.mark.parametrize("saying", [{"is_broken": True}, {"is_cold": True}])
async def test_a_candidate_that_does_not_come_to_life_never_gets_a_question(tmp_path, saying):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", **saying)
    answers = []
    async with platform_in(tmp_path) as running:
        rollout = started(running)

        await until(lambda: state_of(running, rollout) is RolloutState.ROLLED_BACK, ask=asking(running, answers))

        assert "does not come to life" in running.rollouts.desk.found(rollout.id).reason
        assert {each.release for each in answers} <= {rollout.champion}


async def test_shadows_answer_out_of_sight_are_compared_and_judged_by_feedback(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="chaff")
    answers = []
    async with platform_in(tmp_path) as running:
        rollout = started(
            running,
            replace(PLAN, is_shadowed=True, fewest_keys=10**6, guards=guards_of(["accuracy", "disagreement=0.99"])),
        )
        await ready(running)
        report = None

        async def ask_at_leisure(number):
            # News are read five hundred a second, and what is shadowed of many answers is little.
            await asking(running, answers)(number)
            await asyncio.sleep(0.01)

        def shadow_of():
            nonlocal report
            tallies = running.rollouts.desk.status(rollout.id).tallies
            report = {measure.name: tally for measure, tally in tallies.items() if measure.variant == "shadow"}
            return "agreed" in report and report["agreed"].count >= 5

        await until(shadow_of, ask=ask_at_leisure)
        assert report["agreed"].total == 0
        assert {(each.release, each.variant) for each in answers} == {(rollout.champion, CHAMPION)}

        await until(lambda: running.decisions.find(answers[0].id))
        said = [feedback_on(each, "rye", by="", now=each.created_at) for each in answers]
        running.stores.feedback.add(said)
        await until(lambda: running.rollouts.desk.status(rollout.id).figures.of(ACCURACY).pairs.only_candidate >= 3)


async def test_a_restart_sends_every_key_where_it_was(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    places = []
    for number in range(2):
        async with platform_in(tmp_path) as running:
            if not number:
                started(running, replace(PLAN, fewest_keys=10**6))
            await ready(running)
            places.append([(await asked(running, f"customer-{each}")).decision.release for each in range(30)])

    assert places[0] == places[1]
    assert len(set(places[0])) == 2


async def test_a_rollback_in_one_process_is_followed_in_the_other(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    async with platform_in(tmp_path) as here, platform_in(tmp_path) as there:
        rollout = started(here, replace(PLAN, fewest_keys=10**6))
        await ready(here)
        await ready(there)
        both = [(await asked(each, "customer-1")).decision.release for each in (here, there)]

        here.rollouts.desk.decide("rollback", rollout.id, reason="It sounds odd.")

        await until(lambda: there.rollouts.traffic["mill"].rollout is None)
        assert both[0] == both[1]
        for number in range(20):
            assert (await asked(there, f"customer-{number}")).decision.release == rollout.champion


@asynccontextmanager
async def http_to(running):
    with closing(Place("127.0.0.1", 0)) as place:
        server = Server(gateway_of(running), place)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=place.url, timeout=30, trust_env=False) as client:
                yield client
        finally:
            await server.stop(within_s=30)


async def test_over_http_one_starts_decides_and_is_refused_with_the_reason(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    wanted = {"release": "oracle@challenger", "steps": [10, 50]}
    async with platform_in(tmp_path) as running, http_to(running) as client:
        begun = await client.post("/v1/rollouts", json=wanted)
        again = await client.post("/v1/rollouts", json=wanted)
        path = f"/v1/rollouts/{begun.json()['id']}"
        shown = (await client.get(path)).json()
        both = await asyncio.gather(
            client.post(f"{path}/promote", json={"reason": "first"}), client.post(f"{path}/rollback")
        )
        listed = (await client.get("/v1/rollouts")).json()
        judged = await client.get(f"{path}/judgements")
        metrics = (await client.get("/metrics")).text

    assert begun.status_code == 201
    assert again.status_code == 409
    assert begun.json()["id"] in again.json()["detail"]
    assert (shown["percent"], shown["next_percent"], shown["steps"]) == (10.0, 50.0, [10.0, 50.0])
    assert {each["guard"] for each in shown["guards"]} >= {ERRORS, "latency"}
    assert sorted(each.status_code for each in both) == [200, 409]
    refused = next(each for each in both if each.status_code == 409).json()
    assert "first" in refused["detail"] or "An operator decided to rollback" in refused["detail"]
    assert listed["items"][0]["state"] in {"promoted", "rolled_back"}
    assert judged.status_code == 200
    assert 'headrace_rollout_share_ratio{pipeline="mill"}' in metrics


async def commanded(*arguments: str, code=0):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from headrace.cli.main import run; run()", "rollouts", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        told, complained = await process.communicate()
    assert process.returncode == code, complained.decode()
    return told.decode() or complained.decode()


async def test_a_server_far_away_is_told_by_the_command_line(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    async with platform_in(tmp_path) as running, http_to(running) as client:
        server = ("--server", str(client.base_url))
        begun = json.loads(await commanded("start", "oracle@challenger", "--steps", "10,50", "--json", *server))
        again = await commanded("start", "oracle@challenger", *server, code=1)
        shown = json.loads(await commanded("status", "--json", *server))
        held = await commanded("hold", "--reason", "lunch", *server)
        back = await commanded("rollback", begun["id"], *server)
        listed = await commanded("list", *server)
        none = await commanded("promote", *server, code=1)

    assert begun["id"] in again
    assert (shown["id"], shown["percent"], shown["steps"]) == (begun["id"], 10.0, [10.0, 50.0])
    assert "held" in held
    assert "rolled_back" in back
    assert "rolled_back" in listed
    assert "No rollout runs" in none


@pytest.mark.parametrize(
    ("wanted", "status", "told"),
    [
        ({"release": "oracle@nobody"}, 404, "nobody"),
        ({"release": "sha256:0123456789"}, 404, "0123456789"),
        ({"release": "oracle@champion"}, 422, "already"),
        ({"release": "oracle@challenger", "steps": [50, 10]}, 422, "do not grow"),
        ({"release": "oracle@challenger", "steps": []}, 422, "steps"),
        ({"release": "oracle@challenger", "guards": ["speed"]}, 422, "speed"),
        ({"release": "oracle@challenger", "alpha": 2}, 422, "alpha"),
        ({"release": "oracle@challenger", "margin": 0}, 422, "margin"),
        ({"release": "oracle@challenger", "pipeline": "bakery"}, 404, "bakery"),
        ({"release": "oracle@challenger", "colour": "red"}, 400, "colour"),
    ],
)
async def test_what_cannot_be_rolled_out_is_refused_with_its_value(tmp_path, wanted, status, told):
    registered(tmp_path, CHAMPION, word="rye")
    registered(tmp_path, "challenger", word="wheat")
    async with platform_in(tmp_path) as running, http_to(running) as client:
        refused = await client.post("/v1/rollouts", json=wanted)
        unknown = await client.get("/v1/rollouts/rol_none")

    assert (refused.status_code, unknown.status_code) == (status, 404)
    assert told in refused.json()["detail"]


async def test_a_model_whose_file_was_changed_is_no_candidate(tmp_path):
    registered(tmp_path, CHAMPION, word="rye")
    version = registered(tmp_path, "challenger", word="wheat")
    async with platform_in(tmp_path) as running, http_to(running) as client:
        (running.registry.folder_of(version) / "saying.json").write_text('{"word": "weed"}')

        refused = await client.post("/v1/rollouts", json={"release": "oracle@challenger"})
        listed = (await client.get("/v1/rollouts")).json()

    assert refused.status_code >= 400
    assert "changed since it was registered" in refused.json()["detail"]
    assert listed["items"] == []
