"""From an answer to an alarm: the witness, the look by the clock, the webhook, the quarantine and the reports."""

import asyncio
import json
import threading
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from types import SimpleNamespace

import httpx
import pytest
from authored import Echo
from receivers import answering, receiver
from standardwebhooks import Webhook as Verifier
from typer.testing import CliRunner

from headrace import Observation, Unreadable, Upload, pipeline
from headrace.assembly import NamedCheck, Platform, QualityRule
from headrace.assembly.control import control
from headrace.assembly.gateway import gateway_of
from headrace.assembly.monitoring import watch_by_the_clock
from headrace.assembly.stores import opened_stores
from headrace.assembly.webhooks import signing_secrets
from headrace.assembly.worker import work
from headrace.cli.monitor import monitor
from headrace.cli.monitor_page import html_page, markdown
from headrace.domain.feedback import outcome_of
from headrace.domain.report import Alert, Severity, WatchState
from headrace.gateway.place import Place
from headrace.gateway.server import Server
from headrace.monitoring.alerts import Change
from headrace.monitoring.memory import memory_from
from headrace.settings import load_settings
from headrace.storage.reports import SqlReports

QUICK = {
    "monitoring.flush_s": 0.05,
    "monitoring.look_s": 0.05,
    "monitoring.share": 1.0,
    "monitoring.reference_decisions": 300,
    "monitoring.learn": 100,
    "webhooks.allowed_hosts": ["127.0.0.1"],
    # A limit that is learned falls below what is asked here at once, when other work keeps the event loop waiting.
    "limits.inflight": 100,
}
DEADLINE_S = 60
DRAW = Random()
"""Begins anew in each test: what is drawn by chance would raise a false alarm by chance."""


@dataclass(frozen=True)
class Flour:
    word: str
    grain: str
    weight: float

    def body(self):
        return {"flour": self.word}

    def text(self):
        return self.word

    def explanation(self):
        return None

    def confidence(self):
        return 0.9

    def facts(self):
        return {"text": self.word, "name": "corn.txt", "moisture": 0.9 if self.word == "wet" else 0.1}

    def observation(self):
        return Observation(
            numbers={"weight": self.weight},
            categories={"label": self.grain},
            contributions={"weight": self.weight, "rest": 1.0},
        )


@pipeline
class Mill:
    def __init__(self) -> None:
        self.echo = Echo()

    async def grind(self, corn: str) -> Flour:
        """Rye is lighter than wheat."""
        grain = corn.partition(" ")[0]
        return Flour(corn, grain, DRAW.gauss(3.0 if grain == "rye" else 10.0, 0.5))


@dataclass(frozen=True)
class Sack:
    content: bytes

    @classmethod
    def from_upload(cls, upload: Upload) -> "Sack":
        return cls(upload.content)

    def facts_of_failure(self, failure):
        return {"name": "sack", "size_bytes": len(self.content), "encrypted": True, "unreadable": failure.detail}


@pipeline
class Store:
    async def open(self, sack: Sack) -> str:
        """Every sack is tied up."""
        raise Unreadable("It is encrypted.", remedy="Untie it.")


DRY = QualityRule(NamedCheck("dry", lambda facts: facts.get("moisture")), "Moisture {value:.0%}.", quarantine=0.5)


@asynccontextmanager
async def watched(tmp_path, overrides=None, *, pipelines=(Mill,)):
    DRAW.seed(7)
    told = []
    settings = load_settings(tmp_path, {}, {"data": str(tmp_path / "data")} | QUICK | (overrides or {}))
    platform = Platform(*pipelines, checks=[DRY])
    with closing(Place("127.0.0.1", 0)) as place:
        async with platform.running(settings, tell=lambda event, facts: told.append((event, dict(facts)))) as running:
            server = Server(gateway_of(running), place)
            await server.start()
            role = asyncio.create_task(control(running))
            try:
                async with httpx.AsyncClient(base_url=place.url, timeout=60, trust_env=False) as client:
                    yield SimpleNamespace(running=running, client=client, told=told, settings=settings)
            finally:
                role.cancel()
                await asyncio.gather(role, return_exceptions=True)
                await server.stop(within_s=30)


async def ground(client, corn, times, *, source="river"):
    for start in range(0, times, 20):
        answers = await asyncio.gather(
            *(
                client.post("/v1/mill/grind", json={"corn": corn}, headers={"X-Headrace-Tags": f"source={source}"})
                for _ in range(min(20, times - start))
            )
        )
        assert {answer.status_code for answer in answers} == {200}


async def until(claim, what):
    async with asyncio.timeout(DEADLINE_S):
        while not (found := await claim()):
            await asyncio.sleep(0.05)
    assert found, what
    return found


async def seen(client, decisions):
    async def claim():
        items = (await client.get("/v1/monitors")).json()["items"]
        return items and items[0]["decisions"] >= decisions

    await until(claim, f"{decisions} decisions were seen")


async def test_a_change_raises_an_alarm_that_names_it_and_tells_a_webhook_that_can_be_verified(tmp_path):
    async with receiver(answering("200 OK")) as (address, requests), watched(tmp_path) as mill:
        here = address.replace("receiver.example", "127.0.0.1")
        made = await mill.client.post("/v1/webhooks", json={"url": here, "events": ["headrace.alert.raised"]})
        await ground(mill.client, "wheat", 700)
        await seen(mill.client, 700)
        calm = (await mill.client.get("/v1/alerts")).json()["items"]

        await ground(mill.client, "rye", 200, source="hill")

        async def alarm():
            return (await mill.client.get("/v1/alerts?state=open")).json()["items"]

        (alert,) = await until(alarm, "an alarm")
        await until(lambda: _there(requests), "a webhook")
        decision = (await mill.client.get(f"/v1/decisions/{alert['cause']['decisions'][0]}")).json()

    assert calm == []
    assert alert["cause"]["feature"] in {"label", "weight", "source", "characters"}
    assert any(word in alert["detail"] for word in ("rye new", "hill new", "median 9.98", "characters"))
    assert len(alert["cause"]["decisions"]) == 10
    assert decision["answer"]["flour"] == "rye"
    headers, body = requests[0]
    secret = made.json()["secrets"][0] if "secrets" in made.json() else made.json().get("secret")
    event = Verifier(secret or signing_secrets(mill.settings)[0]).verify(body, headers)
    assert event["type"] == "headrace.alert.raised"
    assert event["data"]["id"] == alert["id"]


async def _there(requests):
    return list(requests)


async def test_what_is_kept_back_is_listed_and_answered_once_it_is_released(tmp_path):
    async with watched(tmp_path) as mill:
        refused = await mill.client.post(
            "/v1/mill/grind", json={"corn": "wet"}, headers={"X-Headrace-Tags": "source=x"}
        )
        (kept,) = (await mill.client.get("/v1/quarantine?state=held")).json()["items"]
        released = await mill.client.post(f"/v1/quarantine/{kept['id']}/release")
        again = await mill.client.post(f"/v1/quarantine/{kept['id']}/release")
        answer = (await mill.client.get(f"/v1/decisions/{released.json()['decision_id']}")).json()["answer"]
        left = (await mill.client.get("/v1/quarantine?state=held")).json()["items"]
        unknown = await mill.client.get("/v1/quarantine/qua_none")

    assert (refused.status_code, refused.json()["code"]) == (422, "quarantined")
    assert kept["id"] in refused.json()["detail"]
    assert kept["findings"][0] == {"code": "dry", "detail": "Moisture 90%.", "page": None}
    assert kept["tags"] == [["source", "x"]]
    (facts,) = [facts for event, facts in mill.told if event == "quarantined"]
    assert (facts["quarantine_id"], facts["request_id"]) == (kept["id"], refused.headers["x-request-id"])
    assert facts["trace_id"] == refused.headers["traceparent"].split("-")[1]
    assert kept["input_digest"] == f"sha256:{sha256(refused.request.content).hexdigest()}"
    assert released.json()["state"] == "released"
    assert answer["flour"] == "wet"
    assert answer["quality"]["verdict"] == "suspect"
    assert left == []
    assert again.status_code == 409
    assert unknown.status_code == 404


async def test_of_two_who_release_at_once_one_is_told_that_it_is_done(tmp_path):
    async with watched(tmp_path) as mill:
        await mill.client.post("/v1/mill/grind", json={"corn": "wet"})
        (kept,) = (await mill.client.get("/v1/quarantine?state=held")).json()["items"]
        path = f"/v1/quarantine/{kept['id']}/release"
        answers = await asyncio.gather(*(mill.client.post(path) for _ in range(3)))
        (decision_id,) = {answer.json()["decision_id"] for answer in answers if answer.status_code == 200}
        left = (await mill.client.get(f"/v1/quarantine/{kept['id']}")).json()

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert (left["state"], left["decision_id"]) == ("released", decision_id)


async def test_a_job_keeps_the_tags_of_its_request(tmp_path):
    async with watched(tmp_path) as mill:
        worker = asyncio.create_task(work(mill.running))
        tags = {"Prefer": "respond-async", "X-Headrace-Tags": "source=river, tenant=7"}
        made = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers=tags)

        async def answered():
            return (await mill.client.get(f"/v1/jobs/{made.json()['id']}")).json()["decision_id"]

        decision_id = await until(answered, "an answer")
        decision = (await mill.client.get(f"/v1/decisions/{decision_id}")).json()
        await seen(mill.client, 1)
        report = await asyncio.to_thread(mill.running.monitoring.reporter.report, mill.running.champions["mill"].id)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    assert decision["answer"]["tags"] == {"source": "river", "tenant": "7"}
    assert {"all", "source=river", "tenant=7"} <= {each.segment for each in report.estimates}


async def test_without_a_reference_the_watch_says_so_and_raises_nothing(tmp_path):
    async with watched(tmp_path) as mill:
        await ground(mill.client, "wheat", 40)
        await seen(mill.client, 40)
        (status,) = (await mill.client.get("/v1/monitors")).json()["items"]
        report = (await mill.client.get("/v1/monitors/latest")).json()
        nothing = await mill.client.get("/v1/monitors/sha256:none")

    assert status["state"] == "learning"
    assert "no reference yet" in status["notes"][0]
    assert report["drift"]["state"] == "learning"
    assert report["drift"]["window"]["decisions"] == 40
    assert nothing.status_code == 404


async def test_the_report_survives_a_restart_and_can_be_read_as_a_page(tmp_path):
    async with watched(tmp_path) as mill:
        await ground(mill.client, "wheat", 400)
        await seen(mill.client, 400)
    async with watched(tmp_path) as mill:
        await ground(mill.client, "rye", 100)
        await seen(mill.client, 500)
        reporter = mill.running.monitoring.reporter
        report = await asyncio.to_thread(reporter.report, reporter.releases()[0])
        alerts = reporter.status()[0].open_alerts

    assert report.drift.state is WatchState.WATCHING
    assert report.drift.window.decisions == 500
    labels = next(effect for effect in report.drift.effects if effect.feature == "label" and effect.segment == "all")
    assert "rye new" in labels.words
    terms = next(each for each in report.drift.explanations if each.of == "mean score of the answer")
    assert terms.causes[0].name == "weight"
    assert "<svg" in html_page(report, alerts)
    assert "| label | all |" in markdown(report, alerts)


async def test_what_cannot_be_read_is_refused_and_kept_where_operators_see_why(tmp_path):
    async with watched(tmp_path, pipelines=(Store,)) as mill:
        refused = await mill.client.post("/v1/store/open", files={"file": ("sack", b"wheat")})
        kept = (await mill.client.get("/v1/quarantine")).json()["items"]

    assert (refused.status_code, refused.json()["code"]) == (422, "unreadable")
    assert [finding["code"] for finding in kept[0]["findings"]] == ["encrypted", "unreadable"]
    assert kept[0]["state"] == "held"


async def test_what_cannot_be_read_is_only_told_of_where_settings_say_so(tmp_path):
    rules = {"quality.rules": {"encrypted": {"suspect": 1.0}, "unreadable": {"suspect": 1.0}}}
    async with watched(tmp_path, rules, pipelines=(Store,)) as mill:
        refused = await mill.client.post("/v1/store/open", files={"file": ("sack", b"wheat")})
        kept = (await mill.client.get("/v1/quarantine")).json()["items"]

    assert refused.status_code == 422
    assert kept == []
    assert ("input_failed", "encrypted") in [(event, facts.get("reason")) for event, facts in mill.told]


async def test_a_store_that_is_away_costs_no_answer(tmp_path):
    async with watched(tmp_path) as mill:
        recorder = mill.running.monitoring.recorder
        recorder._hand_on = _refuse
        await ground(mill.client, "wheat", 60)
        answer = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"})
        await until(lambda: _failure(recorder), "a failure")
        recorder._hand_on = mill.running.monitoring.store.add_batch
        await seen(mill.client, 61)

    assert answer.status_code == 200


def _refuse(_content):
    raise OSError("the store is away")


async def _failure(recorder):
    return recorder.failure


@pytest.mark.parametrize("tags", ["source", "source=", "Source=x", ",".join(f"t{i}=1" for i in range(9))])
async def test_tags_that_are_none_are_refused(tmp_path, tags):
    async with watched(tmp_path, {"monitoring.enabled": False}) as mill:
        refused = await mill.client.post("/v1/mill/grind", json={"corn": "x"}, headers={"X-Headrace-Tags": tags})

    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")


WORTH = {
    "outcomes.minutes_saved.unit": "min",
    "outcomes.minutes_saved.worth": 0.5,
    "outcomes.minutes_saved.currency": "EUR",
    "outcomes.minutes_saved.cost_of_a_person": 2.0,
}


async def test_what_decisions_were_worth_is_told_by_variant_and_segment(tmp_path):
    async with watched(tmp_path, WORTH) as mill:
        await ground(mill.client, "wheat", 3, source="river")
        await ground(mill.client, "rye", 2, source="hill")
        await seen(mill.client, 5)
        decided = await stored(mill.client, 5)
        for each in decided:
            value = 6.0 if (await told_flour(mill.client, each["decision_id"])) == "wheat" else 1.0
            for told in (99.0, value):
                await outcome(mill.client, each["decision_id"], "minutes_saved", told)
            await outcome(mill.client, each["decision_id"], "undeclared", 7.0)
        report = (await mill.client.get("/v1/monitors/latest")).json()
        hills = (await mill.client.get("/v1/monitors/latest?segment=source")).json()

    (card,) = report["scorecards"]
    rows = {row["group"]: row for row in card["rows"]}
    assert (card["metric"], card["unit"], card["direction"], card["late"]) == ("minutes_saved", "EUR", "up", 0)
    assert {name: (row["decisions"], row["outcomes"]) for name, row in rows.items()} == {
        "all": (5, 5),
        "source=hill": (2, 2),
        "source=river": (3, 3),
        "variant=champion": (5, 5),
    }
    # Three that are equal: a value that was not seen may come as often as 71 % of the time, and be worth nothing.
    assert rows["source=river"]["value"]["value"] == 3.0
    assert rows["source=river"]["value"]["low"] == pytest.approx(3.0 * 0.025 ** (1 / 3))
    assert rows["source=hill"]["value"]["value"] == 0.5
    assert rows["all"]["value"]["value"] == pytest.approx((3 * 3.0 + 2 * 0.5) / 5)
    assert rows["all"]["cost_s"] > 0
    # Every answer was given at 0.9: at 0.95 all five would have gone to people, for 2 EUR each.
    worth = {each["threshold"]: (each["answered"], each["handed_over"], each["worth"]) for each in card["thresholds"]}
    assert (worth[0.9], worth[0.95]) == ((5, 0, 10.0), (0, 5, -10.0))
    assert [row["group"] for row in hills["scorecards"][0]["rows"]] == ["all", "source=hill", "source=river"]


async def stored(client, decisions):
    async def claim():
        items = (await client.get("/v1/decisions")).json()["items"]
        return items if len(items) == decisions else None

    return await until(claim, f"{decisions} decisions are stored")


async def told_flour(client, decision_id):
    return (await client.get(f"/v1/decisions/{decision_id}")).json()["answer"]["flour"]


async def outcome(client, decision_id, metric, value):
    told = await client.post(f"/v1/decisions/{decision_id}/outcomes", json={"metric": metric, "value": value})
    assert told.status_code == 201


async def test_outcomes_that_come_too_late_are_counted_apart_and_shown_by_the_command(tmp_path, monkeypatch):
    async with watched(tmp_path, WORTH) as mill:
        await ground(mill.client, "wheat", 2)
        await seen(mill.client, 2)
        first, second = await stored(mill.client, 2)
        await outcome(mill.client, first["decision_id"], "minutes_saved", 4.0)
        stores = mill.running.stores
        late = outcome_of(stores.decisions.find(second["decision_id"]), "minutes_saved", 8.0, now=datetime.now(UTC))
        stores.feedback.add([replace(late, created_at=late.created_at + timedelta(days=31))])
    (tmp_path / "headrace.toml").write_text('[outcomes.minutes_saved]\nunit = "min"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_SHARED", raising=False)

    shown = CliRunner().invoke(monitor, ["report", "--json", "--data", "data"])
    page = CliRunner().invoke(monitor, ["report", "--data", "data", "--out", "report.html"])
    glance = CliRunner().invoke(monitor, ["status", "--data", "data"])
    elsewhere = CliRunner().invoke(monitor, ["report", "--data", "data", "--segment", "moon"])

    (card,) = json.loads(shown.stdout)["scorecards"]
    assert (card["rows"][0]["outcomes"], card["rows"][0]["value"]["value"], card["late"]) == (1, 4.0, 1)
    assert "No decision in the window tells of 'moon'." in elsewhere.stderr
    assert page.exit_code == 0
    assert "4.00 min" in (tmp_path / "report.html").read_text()
    assert "minutes_saved: 4.00 min, 1 outcomes" in glance.output


async def test_what_was_noted_before_the_end_is_looked_at_before_the_end(tmp_path):
    slow = {"monitoring.flush_s": 3600.0, "monitoring.look_s": 3600.0}
    async with watched(tmp_path, slow) as mill:
        await ground(mill.client, "wheat", 20)

    stores = opened_stores(mill.settings)
    with closing(stores):
        store = SqlReports(stores.database)
        waiting, memory = store.batches(after=0, limit=10), memory_from(store.checkpoint())
    assert waiting == []
    assert list(memory.seen.values()) == [20]


async def test_what_a_look_found_is_told_though_the_server_ends_meanwhile(tmp_path):
    begun, goes_on, told = threading.Event(), threading.Event(), []
    alert = Alert(
        id="alt_1", key="k", rule="drift", severity=Severity.WARNING, title="t", detail="d", raised_at=datetime.now(UTC)
    )

    def look(*, is_last=False):
        if is_last:
            return []
        begun.set()
        goes_on.wait(DEADLINE_S)
        return [Change("raised", alert)]

    async with watched(tmp_path) as mill:
        running = mill.running
        watching = asyncio.create_task(
            watch_by_the_clock(
                running.monitoring,
                lambda: SimpleNamespace(look=look),
                running.jobs.webhooks,
                every_s=0.0,
                metrics=running.metrics,
                tell=lambda event, facts: told.append((event, facts["id"])),
            )
        )
        await asyncio.to_thread(begun.wait, DEADLINE_S)
        watching.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        await asyncio.gather(watching, return_exceptions=True)

    assert told == [("alert_raised", "alt_1")]
