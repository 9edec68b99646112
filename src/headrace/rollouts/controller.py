"""Controller: keeps one pipeline's traffic as its newest rollout says, judges that rollout, and acts on the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol, TypeVar

from headrace.domain.guard_rule import LATENCY
from headrace.domain.model import CHAMPION
from headrace.domain.rollout import CHALLENGER, IllegalRolloutChange, Rollout, RolloutState
from headrace.domain.rollout_figures import Judgement, Verdict
from headrace.domain.rollout_store import RolloutStore
from headrace.domain.tally import DURATION, quantile_ms
from headrace.errors import HeadraceError, ServiceFailed
from headrace.rollouts.judge import judged
from headrace.rollouts.news import NewsReader
from headrace.rollouts.traffic import Traffic

Result = TypeVar("Result")
Tell = Callable[[str, Mapping[str, Any]], None]

POLL_S, QUIET_POLL_S = 0.25, 1.0
"""How often the row is looked at while a rollout goes on, and else: servers without any are to spend little on them.

A change is followed within this and the time that one row takes: well under a second.
"""

JUDGE_S = 0.5
NEWS_S = 1.0
NOTE_S = 5.0
SETTLE_S = 5.0
STORE_S = 5.0
LOAD_S = 900.0
USUAL_ANSWERS = 200
"""How many answers say what latency is usual."""

USUAL_QUANTILE = 0.95


class Stage(Protocol):
    """Where releases live in this process, and who has to know how a rollout ended."""

    async def load(self, manifest: bytes) -> None:
        """Returns when the release is warm; raises what loading or warming up raised, and leaves nothing behind."""
        ...

    async def unload(self, release: str) -> None:
        """Lets what is in flight end; safe to call for one that is not there."""
        ...

    def make_default(self, release: str) -> None:
        """It answers what comes by no rollout."""
        ...

    async def is_named(self, rollout: Rollout) -> bool:
        """Whether the registry names the candidate's models as those that answer."""
        ...

    async def settle(self, rollout: Rollout) -> None:
        """The registry names the winner and everybody is told; safe to call twice."""
        ...


class Controller:
    """Polls one row and follows it; every process has one for each pipeline, and they need not know each other.

    While the store is away the split stays as it is, nothing is judged and nothing promoted. Durations are taken from
    a clock that does not jump; a process that begins anew counts the time at a step from its own beginning.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        store: RolloutStore,
        stage: Stage,
        traffic: Traffic,
        tell: Tell,
        news: NewsReader | None = None,
        on_judgement: Callable[[Judgement], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.pipeline = pipeline
        self.traffic = traffic
        self.judgement: Judgement | None = None
        self.failure = ""
        self._store = store
        self._stage = stage
        self._tell = tell
        self._news = news
        self._on_judgement = on_judgement
        self._clock = clock
        self._now = now
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rollouts")
        self._known: tuple[str, int] | None = None
        self._warm: str | None = None
        self._preparing: tuple[str, asyncio.Task[None]] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._step_since: tuple[tuple[str, int], float] = (("", 0), 0.0)
        self._due: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._goes_on = True

    async def live(self) -> None:
        """Follows and judges until it is cancelled; what fails is told once and tried again."""
        try:
            while True:
                await self.look()
                try:
                    async with asyncio.timeout(POLL_S if self._goes_on else QUIET_POLL_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
        finally:
            await self._end()

    def look_now(self) -> None:
        """Something was changed here: no need to wait for the next look."""
        self._wake.set()

    async def look(self) -> None:
        """One look at the row, and at the figures when it is time; the loop above does nothing else."""
        try:
            rollout = await self._asked(self._store.latest, self.pipeline)
            self._goes_on = rollout is not None and not rollout.is_over
            if rollout is not None:
                await self._follow(rollout)
                # The verdict first: news may be many, and those that are late are none that it has to wait for.
                if not rollout.is_over and self._is_due("judge", JUDGE_S):
                    await self._judge(rollout)
                if not rollout.is_over and self._news is not None and self._is_due("news", NEWS_S):
                    await self._asked(self._news.read, rollout)
            if self._is_due("settle", SETTLE_S):
                await self._settle()
        except HeadraceError as failure:
            self._note_failure(str(failure))
        # The loop must live whatever a driver raises: a rollback that nobody follows is worse than any error.
        except Exception as failure:  # noqa: BLE001
            self._note_failure(f"{type(failure).__name__}: {failure}")
        else:
            self.failure = ""

    def _note_failure(self, failure: str) -> None:
        if failure != self.failure:
            self._tell("rollout_store_failed", {"pipeline": self.pipeline, "error": failure})
        self.failure = failure

    async def _follow(self, rollout: Rollout) -> None:
        """Routes by `rollout` from the next question on."""
        if self._known == (rollout.id, rollout.revision):
            return
        is_first_look, self._known = self._known is None, (rollout.id, rollout.revision)
        if is_first_look and rollout.is_over and not await self._is_news(rollout):
            return
        if not rollout.is_over:
            self._prepare(rollout)
            self.traffic.follow(rollout, champion=self.traffic.champion, is_ready=self._warm == rollout.id)
        elif rollout.state is RolloutState.ROLLED_BACK:
            self.traffic.follow(None, champion=self.traffic.champion, is_ready=False)
            self._leave(rollout.candidate)
        elif self._warm == rollout.id:
            self._crown(rollout)
        else:
            self._prepare(rollout)
        self._due["settle"] = 0.0

    async def _is_news(self, rollout: Rollout) -> bool:
        """Whether a rollout that was over at the first look was promoted while this process was starting."""
        if rollout.state is not RolloutState.PROMOTED or rollout.candidate == self.traffic.champion:
            return False
        return await self._stage.is_named(rollout)

    def _crown(self, rollout: Rollout) -> None:
        before = self.traffic.champion
        self.traffic.follow(None, champion=rollout.candidate, is_ready=False)
        self._stage.make_default(rollout.candidate)
        if before != rollout.candidate:
            self._leave(before)

    def _leave(self, release: str) -> None:
        self._warm = None
        task = asyncio.ensure_future(self._stage.unload(release))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _prepare(self, rollout: Rollout) -> None:
        if self._warm == rollout.id or (self._preparing is not None and self._preparing[0] == rollout.id):
            return
        self._preparing = (rollout.id, asyncio.ensure_future(self._prepared(rollout)))

    async def _prepared(self, rollout: Rollout) -> None:
        """Loads both releases; then they get their traffic here, or the rollout ends because they cannot."""
        try:
            manifests = await self._asked(self._store.manifests, rollout.id)
            if self.traffic.champion != rollout.champion and not rollout.is_over:
                await self._loaded(manifests.champion, rollout)
            if await self._loaded(manifests.candidate, rollout):
                self._warm = rollout.id
                self._begin_from(rollout)
        except HeadraceError as failure:
            self._note_failure(str(failure))
        finally:
            # The row may have moved on meanwhile, or has to be tried again: it is looked at as if it were new.
            self._preparing = None
            self._known = ("", 0)
            self.look_now()

    def _begin_from(self, rollout: Rollout) -> None:
        """What is compared with is what the rollout was started from, whatever the registry has been told since."""
        if self.traffic.champion != rollout.champion and not rollout.is_over:
            self.traffic.follow(None, champion=rollout.champion, is_ready=False)
            self._stage.make_default(rollout.champion)

    async def _loaded(self, manifest: bytes, rollout: Rollout) -> bool:
        try:
            async with asyncio.timeout(LOAD_S):
                await self._stage.load(manifest)
        except TimeoutError:
            await self._refuse(rollout, f"It was not warm after {LOAD_S:.0f} s.")
        # A candidate may raise anything while it is loaded; whatever it is, it never gets traffic.
        except Exception as failure:  # noqa: BLE001
            await self._refuse(rollout, str(failure))
        else:
            return True
        return False

    async def _refuse(self, rollout: Rollout, failure: str) -> None:
        self._tell("candidate_failed", {"rollout": rollout.id, "release": rollout.candidate, "error": failure})
        latest = await self._asked(self._store.find, rollout.id)
        if latest is not None and not latest.is_over:
            reason = f"The candidate does not come to life: {failure}"
            await self._change(latest.rolled_back(reason, now=self._now()), None)

    async def _judge(self, rollout: Rollout) -> None:
        if self._warm != rollout.id:
            return
        if rollout.slow_ms is None and rollout.plan.guard(LATENCY) is not None:
            await self._learn_latency(rollout)
        figures = await self._asked(self._store.figures, rollout.id)
        at_step_s = self._at_step_s(rollout)
        before = self.judgement
        is_same = before is not None and (before.rollout_id, before.revision) == (rollout.id, rollout.revision)
        if is_same and before is not None and before.figures == figures and before.at_step_s >= rollout.plan.step_s:
            return
        loop = asyncio.get_running_loop()
        self.judgement = judgement = await loop.run_in_executor(
            self._threads, lambda: judged(rollout, figures, at=self._now(), at_step_s=at_step_s)
        )
        self._on_judgement(judgement)
        changed = self._changed(rollout, judgement)
        if changed is not None:
            await self._change(changed, judgement)
        elif self._is_due("note", NOTE_S):
            await self._asked(self._store.note, judgement)

    def _changed(self, rollout: Rollout, judgement: Judgement) -> Rollout | None:
        """The rollout as the verdict wants it; None where it stays as it is."""
        now, reason = self._now(), judgement.reason
        if judgement.verdict is Verdict.ROLL_BACK:
            return rollout.rolled_back(reason, now=now)
        if rollout.state is RolloutState.HELD:
            return None
        if judgement.verdict is Verdict.HOLD:
            return rollout.held(reason, now=now)
        if judgement.verdict in {Verdict.STEP, Verdict.PROMOTE}:
            return rollout.stepped(reason, now=now)
        return None

    async def _change(self, changed: Rollout, judgement: Judgement | None) -> None:
        try:
            await self._asked(lambda rollout: self._store.change(rollout, judgement=judgement), changed)
        except IllegalRolloutChange:
            pass  # another process, or an operator, was first: the next look follows that
        else:
            facts = {"pipeline": self.pipeline, "rollout": changed.id, "state": changed.state.value}
            self._tell("rollout_changed", facts | {"share": changed.share, "reason": changed.reason})
        self.look_now()

    async def _learn_latency(self, rollout: Rollout) -> None:
        """What is slow follows from what was usual, over both releases; those answers are not judged by it."""
        tallies = await self._asked(self._store.tallies, rollout.id)
        variants = (CHAMPION, CHALLENGER)
        answers = sum(
            tally.count
            for measure, tally in tallies.items()
            if measure.variant in variants and measure.name.startswith(DURATION)
        )
        usual = quantile_ms(tallies, variants, at=USUAL_QUANTILE)
        rule = rollout.plan.guard(LATENCY)
        if answers >= USUAL_ANSWERS and usual is not None and rule is not None:
            await self._change(rollout.with_slow_ms(usual * rule.limit), None)

    async def _settle(self) -> None:
        for rollout in await self._asked(self._store.unsettled):
            if rollout.pipeline == self.pipeline:
                await self._stage.settle(rollout)
                await self._asked(self._store.settle, rollout.id)

    def _at_step_s(self, rollout: Rollout) -> float:
        step = (rollout.id, rollout.step)
        if self._step_since[0] != step:
            self._step_since = (step, self._clock())
        return self._clock() - self._step_since[1]

    def _is_due(self, what: str, every_s: float) -> bool:
        if self._clock() < self._due.get(what, 0.0):
            return False
        self._due[what] = self._clock() + every_s
        return True

    async def _asked(self, ask: Callable[..., Result], *arguments: object) -> Result:
        """What the store says, in threads of our own: others may have filled the usual ones."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STORE_S):
                return await loop.run_in_executor(self._threads, lambda: ask(*arguments))
        except TimeoutError as late:
            raise ServiceFailed(f"The store did not answer within {STORE_S:g} s.") from late

    async def _end(self) -> None:
        tasks = [*self._leaving, *([] if self._preparing is None else [self._preparing[1]])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
