"""Rollouts in SQL: one row each, what they have counted, and what was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, and_, bindparam, cast, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headrace.domain.exposure import (
    Count,
    CountOf,
    Exposure,
    Kind,
    Observation,
    SeenAs,
    Tables,
    counted,
    figures_of,
    wanted,
)
from headrace.domain.rollout import IllegalRolloutChange, Rollout
from headrace.domain.rollout_figures import Figures, Judgement
from headrace.domain.rollout_store import Manifests, NewsMove, RolloutListing
from headrace.domain.tally import Measure, Tallies, Tally
from headrace.errors import Conflict, NotFound
from headrace.storage.database import Database, StoreUnavailable
from headrace.storage.multirow import insert_rows, upserting
from headrace.storage.prepared import among, those
from headrace.storage.rollout_tables import (
    rollout_counts,
    rollout_exposures,
    rollout_judgements,
    rollout_keys,
    rollout_tallies,
    rollouts,
    serving_releases,
)

_BETWEEN, _BEHIND = "\t", "\n"
_SEEN = (
    select(
        rollout_keys.c.share,
        func.aggregate_strings(rollout_keys.c.key + _BETWEEN + rollout_keys.c.what, _BEHIND).label("names"),
    )
    .where(and_(rollout_keys.c.rollout_id == bindparam("rollout_id"), among(rollout_keys.c.key, "keys")))
    .group_by(rollout_keys.c.share)
)
_EXPOSURES = select(
    func.json_group_object(rollout_exposures.c.decision_id, func.json(cast(rollout_exposures.c.body, Text)))
).where(among(rollout_exposures.c.decision_id, "ids"))
"""All in one row, for SQLite: see `multirow`."""


class SqlRollouts:
    """Keeps the promise of `RolloutStore` in SQLite and Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, rollout: Rollout, manifests: Manifests) -> None:
        """The unique column lets one of two that begin together win."""
        try:
            with self._database.transaction() as connection:
                self._check_free(connection, rollout.pipeline)
                fixed = {
                    "id": rollout.id, "pipeline": rollout.pipeline, "is_settled": False, "news_cursor": "",
                    "champion_manifest": manifests.champion, "candidate_manifest": manifests.candidate,
                }  # fmt: skip
                connection.execute(insert(rollouts).values(_row(rollout) | fixed))
        except StoreUnavailable as failure:
            if isinstance(failure.__cause__, IntegrityError):
                with self._database.reading() as connection:
                    self._check_free(connection, rollout.pipeline)
            raise

    def change(self, rollout: Rollout, *, judgement: Judgement | None = None) -> None:
        """Compare-and-swap. Of one that is over the keys are forgotten; the counts stay."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                update(rollouts)
                .where(and_(rollouts.c.id == rollout.id, rollouts.c.revision == rollout.revision - 1))
                .values(_row(rollout))
            )
            if changed.rowcount != 1:
                raise _overtaken(rollout, _found(connection, rollout.id))
            if rollout.is_over:
                for table in (rollout_keys, rollout_exposures):
                    connection.execute(delete(table).where(table.c.rollout_id == rollout.id))
            if judgement is not None:
                _note(connection, judgement)

    def find(self, rollout_id: str) -> Rollout | None:
        """One row."""
        with self._database.reading() as connection:
            return _found(connection, rollout_id)

    def manifests(self, rollout_id: str) -> Manifests:
        """As it was begun with."""
        query = select(rollouts.c.champion_manifest, rollouts.c.candidate_manifest).where(rollouts.c.id == rollout_id)
        with self._database.reading() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            raise NotFound(f"There is no rollout {rollout_id!r}.")
        return Manifests(bytes(found[0]), bytes(found[1]))

    def settle(self, rollout_id: str) -> None:
        """One flag."""
        with self._database.transaction() as connection:
            connection.execute(update(rollouts).where(rollouts.c.id == rollout_id).values(is_settled=True))

    def unsettled(self) -> list[Rollout]:
        """Few, if any."""
        query = select(rollouts.c.body).where(and_(rollouts.c.running.is_(None), rollouts.c.is_settled.is_(False)))
        with self._database.reading() as connection:
            return [_rollout(body) for body in connection.scalars(query)]

    def serving(self, pipeline: str) -> bytes | None:
        """One row."""
        with self._database.reading() as connection:
            found = connection.scalar(
                select(serving_releases.c.manifest).where(serving_releases.c.pipeline == pipeline)
            )
        return None if found is None else bytes(found)

    def note_serving(self, pipeline: str, manifest: bytes) -> None:
        """The row, made or replaced, by one statement: processes that start together all write it."""
        row = {"pipeline": pipeline, "manifest": manifest}
        with self._database.transaction() as connection:
            connection.execute(upserting(serving_releases, connection.dialect.name), row)

    def latest(self, pipeline: str) -> Rollout | None:
        """One row by its index."""
        query = select(rollouts.c.body).where(rollouts.c.pipeline == pipeline).order_by(rollouts.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            body = connection.scalar(query)
        return None if body is None else _rollout(body)

    def listed(self, *, cursor: str | None, limit: int) -> RolloutListing:
        """Newest first; ids are sorted by time."""
        query = select(rollouts.c.body).order_by(rollouts.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(rollouts.c.id < cursor)
        with self._database.reading() as connection:
            found = [_rollout(body) for body in connection.scalars(query)]
        return RolloutListing(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    def observe(
        self,
        rollout_id: str,
        observations: Sequence[Observation],
        tallies: Tallies,
        *,
        exposures: Mapping[str, Exposure] | None = None,
        news: NewsMove | None = None,
    ) -> None:
        """Not synced to the disc: after a loss of power the last moments are not counted, and nothing else is lost."""
        with self._database.transaction(durable=False) as connection:
            # The row is locked, so that processes count one after the other.
            lock = (
                select(rollouts.c.running, rollouts.c.news_cursor).where(rollouts.c.id == rollout_id).with_for_update()
            )
            row = connection.execute(lock).one_or_none()
            if row is None:
                raise NotFound(f"There is no rollout {rollout_id!r}.")
            if row.running is None:
                return  # it is over, and its figures stand
            if news is not None:
                if row.news_cursor != news.before:
                    return  # another process has told them
                moved = update(rollouts).where(rollouts.c.id == rollout_id).values(news_cursor=news.after)
                connection.execute(moved)
            before = Tables(_seen(connection, rollout_id, observations), {})
            after = counted(observations, before)
            _keep_seen(connection, rollout_id, before.seen, after.seen)
            _add_counts(connection, rollout_id, after.counts)
            _add_tallies(connection, rollout_id, tallies)
            rows = [
                {"decision_id": decision_id, "rollout_id": rollout_id, "body": msgspec.json.encode(exposure)}
                for decision_id, exposure in (exposures or {}).items()
            ]
            insert_rows(connection, upserting(rollout_exposures, connection.dialect.name), rows)

    def news_cursor(self, rollout_id: str) -> str:
        """One column."""
        with self._database.reading() as connection:
            found = connection.scalar(select(rollouts.c.news_cursor).where(rollouts.c.id == rollout_id))
        return str(found or "")

    def exposures(self, decision_ids: Sequence[str]) -> dict[str, Exposure]:
        """By their primary keys."""
        table = rollout_exposures.c
        query = select(table.decision_id, table.body).where(among(table.decision_id, "ids"))
        with self._database.reading() as connection:
            asked = {"ids": those(connection, decision_ids)}
            if self._database.is_sqlite:
                return msgspec.json.decode(connection.execute(_EXPOSURES, asked).scalar_one(), type=dict[str, Exposure])
            rows = connection.execute(query, asked).all()
        return {row.decision_id: msgspec.json.decode(row.body, type=Exposure) for row in rows}

    def figures(self, rollout_id: str) -> Figures:
        """From a handful of rows a guard and a step."""
        table = rollout_counts.c
        with self._database.reading() as connection:
            rows = connection.execute(select(rollout_counts).where(table.rollout_id == rollout_id)).all()
        counts = {
            CountOf(Kind(row.kind), row.guard, row.step, float(row.share)): Count(
                row.candidate, row.champion, row.bad_candidate, row.bad_champion
            )
            for row in rows
        }
        return figures_of(Tables({}, counts))

    def tallies(self, rollout_id: str) -> dict[Measure, Tally]:
        """By variant and name."""
        query = select(rollout_tallies).where(rollout_tallies.c.rollout_id == rollout_id)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        # The columns go by their place: a row has a method `count` of its own.
        return {Measure(row[1], row[2]): Tally(row[3], row[4], row[5]) for row in rows}

    def note(self, judgement: Judgement) -> None:
        """Adds it to those of its rollout."""
        with self._database.transaction() as connection:
            _note(connection, judgement)

    def judgements(self, rollout_id: str, *, limit: int) -> list[Judgement]:
        """The newest first."""
        table = rollout_judgements.c
        query = select(table.body).where(table.rollout_id == rollout_id).order_by(table.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [msgspec.json.decode(body, type=Judgement) for body in connection.scalars(query)]

    def forget(self, *, before: datetime) -> int:
        """All but the row and the last judgement, which says why it ended."""
        with self._database.reading() as connection:
            over = connection.scalars(select(rollouts.c.body).where(rollouts.c.running.is_(None)))
            old = [each.id for each in map(_rollout, over) if each.changed_at < before]
        gone = 0
        for rollout_id in old:
            with self._database.transaction() as connection:
                table = rollout_judgements.c
                last = select(func.max(table.number)).where(table.rollout_id == rollout_id).scalar_subquery()
                earlier = and_(table.rollout_id == rollout_id, table.number < last)
                removed = connection.execute(delete(rollout_judgements).where(earlier)).rowcount
                for each in (rollout_counts, rollout_tallies):
                    removed += connection.execute(delete(each).where(each.c.rollout_id == rollout_id)).rowcount
            gone += bool(removed)
        return gone

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def _check_free(self, connection: Connection, pipeline: str) -> None:
        body = connection.scalar(select(rollouts.c.body).where(rollouts.c.running == pipeline))
        if body is not None:
            running = _rollout(body)
            raise Conflict(
                f"The rollout {running.id} of {pipeline} is {running.state}.",
                remedy="Promote it or roll it back first.",
            )


def _row(rollout: Rollout) -> dict[str, Any]:
    return {
        "running": None if rollout.is_over else rollout.pipeline,
        "revision": rollout.revision,
        "body": msgspec.json.encode(rollout),
    }


def _rollout(body: bytes) -> Rollout:
    return msgspec.json.decode(body, type=Rollout)


def _found(connection: Connection, rollout_id: str) -> Rollout | None:
    body = connection.scalar(select(rollouts.c.body).where(rollouts.c.id == rollout_id))
    return None if body is None else _rollout(body)


def _overtaken(rollout: Rollout, found: Rollout | None) -> Exception:
    if found is None:
        return NotFound(f"There is no rollout {rollout.id!r}.")
    return IllegalRolloutChange(
        f"Rollout {rollout.id} is {found.state} since {found.changed_at:%Y-%m-%d %H:%M:%S} UTC: {found.reason}",
        remedy="Look again and decide anew.",
    )


def _note(connection: Connection, judgement: Judgement) -> None:
    # The row is locked, so that two processes cannot take the same number.
    connection.execute(select(rollouts.c.id).where(rollouts.c.id == judgement.rollout_id).with_for_update())
    table = rollout_judgements
    last = connection.scalar(
        select(table.c.number)
        .where(table.c.rollout_id == judgement.rollout_id)
        .order_by(table.c.number.desc())
        .limit(1)
    )
    connection.execute(
        insert(table).values(
            rollout_id=judgement.rollout_id,
            number=(last or 0) + 1,
            verdict=judgement.verdict.value,
            body=msgspec.json.encode(judgement),
        )
    )


def _seen(connection: Connection, rollout_id: str, observations: Iterable[Observation]) -> dict[SeenAs, float]:
    """One row for each share, of which there are few: thousands would each wait for the interpreter, see `multirow`."""
    keys = {name.key for name in wanted(observations)}
    rows = connection.execute(_SEEN, {"rollout_id": rollout_id, "keys": those(connection, keys)})
    return {
        SeenAs(what, key): row.share
        for row in rows
        for key, _, what in (each.partition(_BETWEEN) for each in row.names.split(_BEHIND))
    }


def _keep_seen(
    connection: Connection, rollout_id: str, before: Mapping[SeenAs, float], after: Mapping[SeenAs, float]
) -> None:
    rows = [
        {"rollout_id": rollout_id, "key": it.key, "what": it.what, "share": share}
        for it, share in after.items()
        if before.get(it) != share
    ]
    insert_rows(connection, upserting(rollout_keys, connection.dialect.name), rows)


def _add_counts(connection: Connection, rollout_id: str, counts: Mapping[CountOf, Count]) -> None:
    rows = [
        {
            "rollout_id": rollout_id, "kind": what.kind.value, "guard": what.guard, "step": what.step,
            "share": repr(what.share), "candidate": count.candidate, "champion": count.champion,
            "bad_candidate": count.bad_candidate, "bad_champion": count.bad_champion,
        }
        for what, count in counts.items()
    ]  # fmt: skip
    insert_rows(connection, upserting(rollout_counts, connection.dialect.name, is_adding=True), rows)


def _add_tallies(connection: Connection, rollout_id: str, tallies: Tallies) -> None:
    rows = [
        {
            "rollout_id": rollout_id, "variant": measure.variant, "name": measure.name,
            "count": tally.count, "total": tally.total, "squares": tally.squares,
        }
        for measure, tally in tallies.items()
    ]  # fmt: skip
    insert_rows(connection, upserting(rollout_tallies, connection.dialect.name, is_adding=True), rows)
