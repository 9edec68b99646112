"""Replicas in threads of this process: for models, whose runtimes release the interpreter lock while they compute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from time import monotonic, thread_time

from headrace.errors import Overloaded
from headrace.serving.batcher import Call, Line
from headrace.serving.context import Context
from headrace.serving.driving import Driver
from headrace.serving.replica import Replica, settle, unloadable
from headrace.serving.runtime import Health, ReplicaState, Reply
from headrace.serving.runtimes.aside import Aside
from headrace.serving.runtimes.turnstile import Turn, Turnstile
from headrace.serving.service import Here, Method, Service
from headrace.serving.turns import Turns

JOIN_S = 10.0
COMPUTES = 0.3
"""What has a core for less of its time waits for a device or another host, and what it takes is how long it waits."""

GRACE_S = 2.0
"""A replica that computes on so long after its last caller has given up counts as hanging."""


class ThreadReplicas:
    """`count` threads, each with a replica of its own that `make` gives it loaded, on one line of calls.

    The author's coroutines run in the replica's thread and never on the caller's event loop, so they may compute;
    only what is learned to take less than a change of threads is answered on the loop itself, if it `may_stay_aside`.
    A replica that hangs is left behind and replaced, up to `count` times at once. Without `warms` no warm-up questions
    are asked.
    """

    def __init__(
        self,
        make: Callable[[], Service],
        *,
        count: int,
        queue_bound: int = 1024,
        warms: bool = True,
        may_stay_aside: bool = True,
        turns: Turns | None = None,
    ) -> None:
        self._make = make
        self._count = count
        self._warms = warms
        self._line = Line(bound=queue_bound)
        self._aside = Aside(self._line, bound=queue_bound, on_lined_up=self._set_alarm) if may_stay_aside else None
        self._turnstile = Turnstile(turns)
        self._seats: list[_Seat] = []
        self._hanging: list[_Seat] = []
        self._births: set[asyncio.Future[None]] = set()
        self._state = ReplicaState.STOPPED
        self._restarts = 0
        self._detail = ""
        self._is_warm = False

    async def start(self) -> None:
        """Loads one replica after the other in their threads: the second finds the files in memory already."""
        self._state = ReplicaState.STARTING
        for _ in range(self._count):
            try:
                await self._birth()
            except BaseException:
                await self.close()
                raise
        self._state = ReplicaState.READY

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """Waits in line until the deadline; a call whose caller has gone is dropped before it begins."""
        context.check()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        call = Call(method, question, context, future)
        owed = 0
        if self._aside is None or self._state is not ReplicaState.READY or not self._aside.takes(call):
            self._line.put(call)
            owed = self._turnstile.owe(call)
            self._set_alarm(call)
        if future.done():
            return future.result()
        try:
            return await future
        except asyncio.CancelledError:
            self._line.withdraw(call)
            raise
        finally:
            if owed:
                self._turnstile.settle(owed)
            if call.alarm is not None:
                call.alarm.cancel()

    async def close(self) -> None:
        """Ends the threads after what they are computing; those who still wait are told. Safe to call twice."""
        if self._state is ReplicaState.STOPPED:
            return
        self._state = ReplicaState.DRAINING
        stopped = Overloaded("The service has stopped.", remedy="Ask again in a moment.")
        left = self._line.close() + ([] if self._aside is None else self._aside.close())
        settle([(call.future, stopped) for call in left])
        for birth in self._births:
            birth.cancel()
        deadline = monotonic() + JOIN_S
        for seat in self._seats:
            # A replica that computes on past this is left behind as a daemon: no one can end a thread from outside.
            await asyncio.to_thread(seat.thread.join, max(0.0, deadline - monotonic()))
        self._seats.clear()
        self._state = ReplicaState.STOPPED

    def health(self) -> Health:
        """Ready while every thread lives."""
        alive = sum(seat.thread.is_alive() for seat in self._seats)
        return Health(
            state=self._state, replicas=alive, queued=len(self._line), restarts=self._restarts, detail=self._detail
        )

    def _set_alarm(self, call: Call) -> None:
        """Its future fails at the deadline by itself: a timeout around it would cost more than many a model."""
        left_s = call.context.remaining_s()
        if left_s is not None:
            call.alarm = call.future.get_loop().call_later(left_s, self._give_up, call)

    def _give_up(self, call: Call) -> None:
        """The caller's time is over."""
        if call.future.done():
            return
        self._line.withdraw(call)
        asyncio.get_running_loop().call_later(GRACE_S, self._replace_the_hanging)
        call.give_up()

    def _birth(self) -> asyncio.Future[None]:
        """A thread that loads a replica; what is awaited is that the replica is warm."""
        is_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        seat = _Seat(self, is_ready, name=f"replica-{len(self._seats)}")
        self._seats.append(seat)
        seat.thread.start()
        return is_ready

    def _replace_the_hanging(self) -> None:
        """Leaves behind what computes for nobody, and raises others in its place; its thread ends when it returns."""
        if self._state is not ReplicaState.READY:
            return
        self._hanging = [seat for seat in self._hanging if seat.thread.is_alive()]
        for seat in [seat for seat in self._seats if seat.hangs]:
            if len(self._hanging) >= self._count:
                self._detail = f"{len(self._hanging)} replicas hang; the process has to be restarted."
                return
            self._seats.remove(seat)
            seat.is_left_behind = True
            seat.turn.give_back()
            self._hanging.append(seat)
            self._restarts += 1
            if self._aside is not None and seat.replica is not None:
                self._aside.forget(seat.replica)
            birth = self._birth()
            self._births.add(birth)
            birth.add_done_callback(self._born)

    def _born(self, birth: asyncio.Future[None]) -> None:
        self._births.discard(birth)
        if not birth.cancelled() and (failure := birth.exception()) is not None:
            self._detail = str(failure)

    def _warm(self, service: Service, replica: Replica) -> None:
        if not self._warms:
            return
        if self._is_warm:
            replica.warm_again()
            return
        for name in replica.warm():
            self._line.answer_alone(service.methods[name])
        self._is_warm = True

    def live(self, seat: _Seat, is_ready: asyncio.Future[None]) -> None:
        """The life of one thread."""
        with Driver() as driver:
            try:
                service = self._make()
                service.bind(Here(service))
                replica = Replica(service, driver)
                self._warm(service, replica)
            # Whatever the author's loading raises belongs to whoever starts the platform, not to this thread.
            except BaseException as error:  # noqa: BLE001
                settle([(is_ready, unloadable(error))])
                return
            seat.replica = replica
            if self._aside is not None:
                self._aside.offer(replica)
            settle([(is_ready, None)])
            while not seat.is_left_behind and (calls := self._next_of(seat)):
                seat.turn = self._turnstile.enter(calls, seat.turn)
                # Callers may have given up while their questions waited for a turn.
                if not (calls := [call for call in calls if call.is_wanted]):
                    continue
                with replica.turn:
                    begun, computed = monotonic(), thread_time()
                    outcomes = replica.answer(calls)
                    self._line.learn(calls, _cost_s(monotonic() - begun, thread_time() - computed))
                self._turnstile.leave(seat.turn, calls, next_since=self._line.since)
                settle(outcomes)
            replica.unload()

    def _next_of(self, seat: _Seat) -> list[Call]:
        """The next calls; while there are none the thread has no turn."""
        calls = self._line.take(waits=False) if seat.turn.is_held else []
        if calls:
            return calls
        seat.turn.give_back()
        return self._line.take()


class _Seat:
    """A thread and the replica that lives in it."""

    def __init__(self, replicas: ThreadReplicas, is_ready: asyncio.Future[None], *, name: str) -> None:
        self.replica: Replica | None = None
        self.turn = Turn(None)
        self.is_left_behind = False
        self.thread = Thread(target=replicas.live, args=(self, is_ready), name=name, daemon=True)

    @property
    def hangs(self) -> bool:
        """Whether it computes on though all who asked for it have given up, some time ago."""
        until = None if self.replica is None else self.replica.until
        return until is not None and monotonic() > until + GRACE_S / 2


def _cost_s(wall_s: float, computed_s: float) -> float:
    """What a call took: of one that computes the time on a core, for the rest of its time others had it."""
    return computed_s if computed_s >= COMPUTES * wall_s else wall_s
