"""The load: raw HTTP/1.1 over kept-alive sockets in one epoll loop, closed (callers wait) or open (a fixed rate).

One process of it makes some 30,000 requests a second, several times what the servers here answer.
"""

from __future__ import annotations

import random
import select
import socket
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter

DEGRADED = b'"degraded":[{'


@dataclass
class Outcome:
    """What came of a load: `latencies_s` of answers that were right, by status what came at all.

    When answers came that a lesser way gave, and when what was no right answer, stands in `degraded_at`, `failed_at`.
    """

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    offered: int = 0
    finished_at: list[tuple[float, float]] = field(default_factory=list)
    degraded_at: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Of the right answers; NaN without any."""
        return _percentile(self.latencies_s, percent) * 1000

    def refusal_ms(self, percent: float) -> float:
        """Of the answers that said: not now."""
        return _percentile(self.refusals_s, percent) * 1000


def _percentile(values: list[float], percent: float) -> float:
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass(frozen=True)
class Target:
    """Where requests go: their bytes, and what a right answer to each contains."""

    host: str
    port: int
    requests: list[bytes]
    expected: list[bytes]


def post(path: str, body: bytes, *, media_type: str = "application/json", headers: str = "") -> bytes:
    """One request."""
    fields = f"Host: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{headers}"
    head = f"POST {path} HTTP/1.1\r\n{fields}\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    """One request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


class _Caller:
    """One connection, and the request that it waits for."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.received = bytearray()
        self.number = -1
        self.due = 0.0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection((self.target.host, self.target.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received.clear()

    def send(self, number: int, due: float) -> None:
        self.number, self.due = number, due
        request = self.target.requests[number]
        sent = 0
        while sent < len(request):
            try:
                sent += self.socket.send(request[sent:] if sent else request)
            except BlockingIOError:
                select.select([], [self.socket], [], 5)

    def response(self) -> tuple[str, bytes] | None:
        """Status and body, when all of it is there; raises `ConnectionError` when the other side has gone."""
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return None
        if not piece:
            raise ConnectionError
        self.received += piece
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        at = self.received.find(b"ontent-", 0, end)
        while at >= 0 and self.received[at + 7 : at + 14].lower() != b"length:":
            at = self.received.find(b"ontent-", at + 1, end)
        length = int(self.received[at + 14 : self.received.find(b"\r", at)]) if at >= 0 else 0
        if len(self.received) < end + 4 + length:
            return None
        status, body = self.received[9:12].decode(), bytes(self.received[end + 4 : end + 4 + length])
        self.received.clear()
        return status, body


def closed_loop(target: Target, *, callers: int, seconds: float, warm_s: float = 1.0) -> Outcome:
    """`callers` connections, each of which asks again as soon as it is answered; the first `warm_s` do not count."""
    outcome = Outcome(seconds=seconds)
    fleet = {caller.socket.fileno(): caller for caller in (_Caller(target) for _ in range(callers))}
    poll = select.epoll()
    for descriptor in fleet:
        poll.register(descriptor, select.EPOLLIN)
    begun = perf_counter()
    counts_from, ends = begun + warm_s, begun + warm_s + seconds
    for caller in fleet.values():
        caller.send(random.randrange(len(target.requests)), perf_counter())
    now = begun
    while now < ends:
        for descriptor, _ in poll.poll(0.1):
            caller = fleet[descriptor]
            try:
                response = caller.response()
            except (ConnectionError, OSError):
                outcome.statuses["gone"] += 1
                poll.unregister(descriptor)
                del fleet[descriptor]
                caller.socket.close()
                caller.connect()
                fleet[caller.socket.fileno()] = caller
                poll.register(caller.socket.fileno(), select.EPOLLIN)
                caller.send(random.randrange(len(target.requests)), perf_counter())
                continue
            if response is None:
                continue
            now = perf_counter()
            if counts_from <= now < ends:
                _note(outcome, caller, response, now)
            caller.send(random.randrange(len(target.requests)), now)
        now = perf_counter()
    for caller in fleet.values():
        caller.socket.close()
    return outcome


def open_loop(
    target: Target, *, rate: float, seconds: float, connections: int = 256, patience_s: float = 10.0
) -> Outcome:
    """`rate` requests a second at random times, whether answers come or not; a latency counts from when it was due."""
    outcome = Outcome(seconds=seconds)
    fleet = {caller.socket.fileno(): caller for caller in (_Caller(target) for _ in range(connections))}
    idle = deque(fleet.values())
    waiting: deque[float] = deque()
    poll = select.epoll()
    for descriptor in fleet:
        poll.register(descriptor, select.EPOLLIN)
    begun = perf_counter()
    due = begun + random.expovariate(rate)
    ends = begun + seconds
    while True:
        now = perf_counter()
        while due <= now and due < ends:
            waiting.append(due)
            outcome.offered += 1
            due += random.expovariate(rate)
        while waiting and idle:
            idle.popleft().send(random.randrange(len(target.requests)), waiting.popleft())
        if now >= ends and (len(idle) == len(fleet) or now > ends + patience_s):
            break
        timeout = max(0.0, min(0.05, (due if due < ends else now + 0.05) - now))
        for descriptor, _ in poll.poll(timeout):
            caller = fleet[descriptor]
            try:
                response = caller.response()
            except (ConnectionError, OSError):
                outcome.statuses["gone"] += 1
                poll.unregister(descriptor)
                del fleet[descriptor]
                caller.socket.close()
                caller.connect()
                fleet[caller.socket.fileno()] = caller
                poll.register(caller.socket.fileno(), select.EPOLLIN)
                idle.append(caller)
                continue
            if response is not None:
                _note(outcome, caller, response, perf_counter())
                idle.append(caller)
    outcome.statuses["unanswered"] += len(waiting) + len(fleet) - len(idle)
    for caller in fleet.values():
        caller.socket.close()
    return outcome


def _note(outcome: Outcome, caller: _Caller, response: tuple[str, bytes], now: float) -> None:
    status, body = response
    if status == "200" and caller.target.expected[caller.number] not in body:
        status = "wrong"
    outcome.statuses[status] += 1
    if status == "200":
        outcome.latencies_s.append(now - caller.due)
        outcome.finished_at.append((now, now - caller.due))
        if DEGRADED in body:
            outcome.degraded_at.append(now)
        return
    outcome.failed_at.append(now)
    if status in {"429", "503"}:
        outcome.refusals_s.append(now - caller.due)
