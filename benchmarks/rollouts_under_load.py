"""Many rollouts of a loaded server, one after the other: no answer may have parts of two releases.

    python benchmarks/rollouts_under_load.py [--quick]

`headrace up` with two processes answers callers with many keys over HTTP. A pipeline of two services has three
versions of either model; each rollout brings in another version, half of the traffic gets it, and an operator promotes
it or rolls it back. Then every decision in the log is held against the release that it names: each step has the model
of that release, and the answer has the words of those models. How long the caller's next answers still came from the
wrong release after the operator decided is measured at the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from time import monotonic

import httpx
from decision_log import ANSWER_S, CALLERS, server, settings_in
from figures import Figures

from headrace import Service, batched, pipeline
from headrace.assembly import Platform, opened_registry, opened_stores
from headrace.domain.decision import Decision
from headrace.domain.release import Release

WORD = "word.json"
STONES, SACKS = ("granite", "basalt", "slate"), ("jute", "linen", "hemp")
KEYS = 200
FOLLOW_S = 60.0


class _Worded(Service):
    """Answers with the word of its model behind the question."""

    loaded: str

    def load(self, artifact: Path | None) -> str:
        """The word."""
        assert artifact is not None
        return str(json.loads((artifact / WORD).read_bytes()))


class StoneService(_Worded):
    """Several questions share a call."""

    model = "stone"

    @batched(max_size=16)
    async def grind(self, corns: list[str]) -> list[str]:
        """Each with the word."""
        return [f"{corn}-{self.loaded}" for corn in corns]


class SackService(_Worded):
    """One question a call."""

    model = "sack"

    async def fill(self, flour: str) -> str:
        """With the word."""
        return f"{flour}-{self.loaded}"


@pipeline
class Mill:
    """Grinds, then fills."""

    def __init__(self) -> None:
        self.stone = StoneService()
        self.sack = SackService()

    async def run(self, corn: str) -> str:
        """Both words."""
        return await self.sack.fill(await self.stone.grind(corn))


app = Platform(Mill)


@dataclass(slots=True)
class Load:
    """What callers see: the newest releases they were answered by, and how many answers came."""

    answers: int = 0
    failed: Counter[int] = field(default_factory=Counter)
    seen: dict[str, tuple[float, str]] = field(default_factory=dict)

    def releases_since(self, moment: float) -> set[str]:
        """The releases of the answers to questions that were sent after `moment`, by the newest of each caller."""
        return {release for asked_at, release in self.seen.values() if asked_at > moment}

    async def live(self, url: str) -> None:
        """Asks on until it is cancelled."""
        numbers = count()

        async def caller(name: int) -> None:
            async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False) as client:
                for number in numbers:
                    asked_at = monotonic()
                    headers = {"X-Headrace-Key": f"customer-{number % KEYS}"}
                    response = await client.post("/v1/mill/run", json={"corn": f"corn {number}"}, headers=headers)
                    if response.status_code == 200:
                        self.answers += 1
                        self.seen[f"{name}-{number % 16}"] = (asked_at, response.headers["X-Headrace-Release"])
                    else:
                        self.failed[response.status_code] += 1

        await asyncio.gather(*map(caller, range(CALLERS)))


def registered(folder: str) -> dict[str, str]:
    """The words by the digest of the model that says them; the first of each are champions."""
    registry, said = opened_registry(settings_in(folder)), {}
    for name, words in (("stone", STONES), ("sack", SACKS)):
        versions = [registry.register(name, {WORD: json.dumps(word).encode()}) for word in words]
        registry.move_alias(versions[0], expected=None)
        said |= {version.digest: word for version, word in zip(versions, words, strict=True)}
    return said


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(FOLLOW_S):
        while not holds():  # noqa: ASYNC110 - what is waited for is seen by others, and this is no hot path
            await asyncio.sleep(0.01)


async def rolled(url: str, said: dict[str, str], rollouts: int) -> tuple[Load, list[float]]:
    """What the load met during so many rollouts, and how long each decision took to be followed, in seconds."""
    load, follow_s = Load(), []
    loading = asyncio.create_task(load.live(url))
    candidates = cycle([*(digest for digest in said)])
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False) as client:
        for number in range(rollouts):
            begun = await started(client, candidates)
            moment = monotonic()
            await until(lambda begun=begun, moment=moment: begun["candidate"] in load.releases_since(moment))
            act, stays = ("promote", "candidate") if number % 2 else ("rollback", "champion")
            await decided_by_operator(client, begun["id"], act)
            decided = monotonic()
            follow_s.append(await _followed(load, begun[stays], decided))
            assert not loading.done(), loading.exception()
    loading.cancel()
    with suppress(asyncio.CancelledError):
        await loading
    return load, follow_s


async def decided_by_operator(client: httpx.AsyncClient, rollout: str, act: str) -> None:
    """Again where the controller has just changed the row, as it does when it learns what latency is usual."""
    while (response := await client.post(f"/v1/rollouts/{rollout}/{act}")).status_code == 409:
        state = (await client.get(f"/v1/rollouts/{rollout}")).json()
        assert state["state"] == "canary", f"{rollout} was {state['state']} by itself: {state['reason']}"
    response.raise_for_status()


async def _followed(load: Load, release: str, decided: float) -> float:
    """How long after `decided` the last question was sent that another release answered; until 0.5 s are clean."""
    last_wrong, clean_since = decided, decided
    async with asyncio.timeout(FOLLOW_S):
        while monotonic() - clean_since < 0.5:
            await asyncio.sleep(0.01)
            wrong = [at for at, each in load.seen.values() if at > decided and each != release]
            if wrong and max(wrong) > last_wrong:
                last_wrong = clean_since = max(wrong)
    return last_wrong - decided


async def started(client: httpx.AsyncClient, candidates: Iterator[str]) -> dict[str, str]:
    """A rollout of the next model that does not answer already."""
    async with asyncio.timeout(FOLLOW_S):
        while True:
            wanted = {"release": next(candidates), "pipeline": "mill", "steps": [50], "step_s": 86400, "alpha": 1e-6}
            response = await client.post("/v1/rollouts", json=wanted)
            if response.status_code == 201:
                return dict(response.json())
            assert response.status_code in {409, 422}, response.text
            await asyncio.sleep(0.05)


def mixed(decision: Decision, release: Release, said: dict[str, str]) -> bool:
    """Whether any part of the answer is of another release than the decision names."""
    steps = {step.service: step.model for step in decision.steps}
    words = [said[release.models[service]] for service in ("stone", "sack")]
    answer = str(json.loads(decision.body)["output"])
    return steps != dict(release.models) or answer.split("-")[1:] != words


def held_against_the_log(folder: str, said: dict[str, str], figures: Figures, *, rollouts: int) -> None:
    cursor, seen, wrong = None, 0, 0
    by_release: Counter[str] = Counter()
    releases: dict[str, Release] = {}
    with closing(opened_stores(settings_in(folder))) as stores:
        while True:
            page = stores.decisions.listed(cursor=cursor, limit=200)
            for each in page.items:
                decision = stores.decisions.find(each.id)
                assert decision is not None
                if decision.release not in releases:
                    record = stores.releases.find(decision.release)
                    assert record is not None, f"the release {decision.release} of {decision.id} is not known"
                    releases[decision.release] = record.release
                seen, by_release[decision.release] = seen + 1, by_release[decision.release] + 1
                wrong += mixed(decision, releases[decision.release], said)
            cursor = page.next
            if cursor is None:
                break
        missing = stores.decisions.missing()
    figures.tell("decisions_looked_at", seen, unit="decisions", rollouts=rollouts, releases=len(by_release))
    figures.tell("decisions_with_parts_of_two_releases", wrong, unit="decisions", rollouts=rollouts)
    figures.tell("accounting_difference", missing, unit="decisions", rollouts=rollouts)
    assert not wrong


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rollouts, for a check that it works")
    is_quick = parser.parse_args().quick
    figures = Figures("rollouts_under_load", is_quick=is_quick)
    rollouts = 10 if is_quick else 200
    with tempfile.TemporaryDirectory() as folder:
        said = registered(folder)
        async with server(folder, "rollouts_under_load:app") as (_, url):
            begun = monotonic()
            load, follow_s = await rolled(url, said, rollouts)
            took_s = monotonic() - begun
        figures.tell(
            "rollouts", rollouts, unit="rollouts", promoted=rollouts // 2, rolled_back=rollouts - rollouts // 2
        )
        figures.tell("answers_meanwhile", load.answers, unit="answers", per_s=round(load.answers / took_s, 1),
                     failed=dict(load.failed))  # fmt: skip
        figures.tell("followed_after_median", statistics.median(follow_s), unit="s")
        figures.tell("followed_after_at_most", max(follow_s), unit="s")
        held_against_the_log(folder, said, figures, rollouts=rollouts)


if __name__ == "__main__":
    asyncio.run(main())
