"""Where rollouts are decided about: at the store that the settings name, or at a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from headrace.assembly import kept_settings, rollout_office
from headrace.assembly.candidates import RolloutOffice
from headrace.cli.application import load_application
from headrace.client import Client
from headrace.client.messages import part
from headrace.domain.rollout import RolloutState
from headrace.errors import InvalidInput, NotFound
from headrace.gateway.rollouts import NewRollout, RolloutLine, line_of, plan_of
from headrace.rollouts.desk import Act
from headrace.rollouts.report import RolloutReport, report_of

MOST = 200


class Office(Protocol):
    """What a command needs of rollouts."""

    def start(self, wanted: NewRollout) -> RolloutLine:
        """Begins one."""
        ...

    def newest(self) -> list[RolloutLine]:
        """The newest first."""
        ...

    def report(self, rollout_id: str) -> RolloutReport:
        """How one stands, and why; raises `NotFound`."""
        ...

    def decide(self, act: Act, rollout_id: str, reason: str) -> RolloutLine:
        """As it stands after `act`."""
        ...


class OfficeHere:
    """At the store."""

    def __init__(self, office: RolloutOffice) -> None:
        self._office = office

    def start(self, wanted: NewRollout) -> RolloutLine:
        """With the plan checked and the candidate's files verified."""
        return line_of(self._office.start(wanted.release, wanted.pipeline, plan_of(wanted)))

    def newest(self) -> list[RolloutLine]:
        """One page."""
        return [line_of(each) for each in self._office.desk.listed(limit=MOST).items]

    def report(self, rollout_id: str) -> RolloutReport:
        """From what was counted."""
        return report_of(self._office.desk.status(rollout_id), at=datetime.now(UTC))

    def decide(self, act: Act, rollout_id: str, reason: str) -> RolloutLine:
        """One compare-and-swap."""
        return line_of(self._office.desk.decide(act, rollout_id, reason=reason))


class OfficeAfar:
    """At a server, over HTTP."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self, wanted: NewRollout) -> RolloutLine:
        """By a call that needs the admin's key, where keys are needed."""
        return msgspec.convert(self._client.post("/v1/rollouts", wanted), RolloutLine)

    def newest(self) -> list[RolloutLine]:
        """One page."""
        return msgspec.convert(self._client.get("/v1/rollouts", limit=str(MOST))["items"], list[RolloutLine])

    def report(self, rollout_id: str) -> RolloutReport:
        """As the server tells it."""
        return msgspec.convert(self._client.get(f"/v1/rollouts/{part(rollout_id)}"), RolloutReport)

    def decide(self, act: Act, rollout_id: str, reason: str) -> RolloutLine:
        """Followed by that server at once, by others within a second."""
        return msgspec.convert(
            self._client.post(f"/v1/rollouts/{part(rollout_id)}/{act.value}", {"reason": reason}), RolloutLine
        )


@contextmanager
def opened_office(*, server: str, key: str, data: str | None, app: str) -> Iterator[Office]:
    """At `server`, where one is named; else at the store of the settings."""
    if server:
        with Client(server, key=key) as client:
            yield OfficeAfar(client)
    else:
        with rollout_office(load_application(app).platform, kept_settings(data)) as office:
            yield OfficeHere(office)


def running_one(office: Office) -> str:
    """The id of the one that runs; raises `NotFound` when none does, and `InvalidInput` when several do."""
    running = [each.id for each in office.newest() if not RolloutState(each.state).is_final]
    if not running:
        raise NotFound("No rollout runs.", remedy="Start one: headrace rollouts start RELEASE.")
    if len(running) > 1:
        raise InvalidInput(f"{len(running)} rollouts run: {', '.join(running)}.", remedy="Name the one that you mean.")
    return running[0]


def meant(office: Office, rollout_id: str | None) -> str:
    """The one named, else the one that runs, else the newest."""
    if rollout_id is not None:
        return rollout_id
    newest = office.newest()
    is_over = bool(newest) and all(RolloutState(each.state).is_final for each in newest)
    return newest[0].id if is_over else running_one(office)
