"""Replicas on another host, asked in the Open Inference Protocol over connections that are pooled and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

import httpx
import msgspec

from headrace import errors
from headrace.errors import DeadlineExceeded, HeadraceError, NotFound, Overloaded, ServiceFailed
from headrace.serving.context import Context, Degraded, Progress, Tokens
from headrace.serving.inference import CONTENT_TYPE, MSGPACK, Face, face_of
from headrace.serving.runtime import Health, ReplicaState, Reply, Unreachable
from headrace.serving.runtimes.remote_host import Far, RemoteHost
from headrace.serving.service import Method
from headrace.serving.tensors import Question, Scalar, entries_of, joined, reply_in
from headrace.serving.tensors import Reply as Answer

CONNECTIONS, START_S = 64, 60.0
HEADER_LENGTH = "inference-header-content-length"
KINDS: Mapping[str, type[HeadraceError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HeadraceError)
}
BY_STATUS: Mapping[int, type[HeadraceError]] = {
    400: errors.Malformed, 404: NotFound, 413: errors.TooLarge, 415: errors.UnsupportedType,
    422: errors.InvalidInput, 429: Overloaded, 503: Overloaded, 504: DeadlineExceeded,
}  # fmt: skip


class _Failure(msgspec.Struct):
    error: str = ""
    parameters: dict[str, Scalar] = {}


class RemoteReplicas:
    """One service at one or more `urls`: Headrace, Triton, KServe or any other host of the protocol.

    Each call goes to the host that is well and has the fewest. `model` is the digest that has to answer; a Headrace
    that answers by another one is refused, for a release is never mixed. `at_once` is how many calls there are at most,
    and as many connections to each host; more are turned away. What is left of the caller's time goes along.
    """

    def __init__(
        self,
        urls: Sequence[str],
        name: str,
        methods: Mapping[str, Method],
        *,
        model: str | None = None,
        at_once: int = CONNECTIONS,
        key: str = "",
        start_s: float = START_S,
    ) -> None:
        self._name = name
        self._faces = {method: face_of(each) for method, each in methods.items()}
        self._open = partial(RemoteHost, name=name, model=model, connections=at_once, key=key)
        self._urls = [url.strip().rstrip("/") for url in urls]
        self._at_once = at_once
        self._start_s = start_s
        self._hosts: list[RemoteHost] = []
        self._calls: set[asyncio.Task[httpx.Response]] = set()
        self._state = ReplicaState.STOPPED

    async def start(self) -> None:
        """Waits until every host is ready, and opens its first connection; raises `ServiceFailed` when one is not."""
        self._state = ReplicaState.STARTING
        self._hosts = [self._open(url) for url in self._urls]
        outcomes = await asyncio.gather(
            *(host.start(within_s=self._start_s) for host in self._hosts), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.close()
                raise outcome
        self._state = ReplicaState.READY

    async def ask(self, method: Method, question: object, context: Context) -> Reply:
        """The answer of a host, within the caller's time; its work is dropped when the caller goes away.

        Raises:
            Overloaded: as many calls as may be are under way, or the host is full.
            DeadlineExceeded: the caller's time is over.
            Unreachable: the host is away.
            ServiceFailed: the host failed, or answered wrongly.
        """
        context.check()
        if self._state is not ReplicaState.READY:
            raise Overloaded("The service has stopped.", remedy="Ask again in a moment.")
        if len(self._calls) >= self._at_once:
            raise Overloaded(f"{self._at_once} calls to {self._name} are under way.", remedy="Ask again in a moment.")
        host = min(self._hosts, key=lambda each: (not each.is_well, each.in_flight))
        face = self._face(method)
        body, headers = _request(host.far, face, question, context)
        begun = monotonic()
        response = await self._answered(host, body, headers, context)
        return _reply(host, face, response, context, took_ms=(monotonic() - begun) * 1000)

    async def close(self) -> None:
        """Ends the calls that are under way, and closes all connections. Safe to call twice."""
        self._state = ReplicaState.STOPPED
        for call in list(self._calls):
            call.cancel()
        hosts, self._hosts = self._hosts, []
        await asyncio.gather(*(host.close() for host in hosts))

    def health(self) -> Health:
        """As the hosts were when they were last asked; each counts as one replica."""
        well = sum(host.is_well for host in self._hosts)
        detail = next((host.detail for host in self._hosts if host.detail), "")
        return Health(state=self._state, replicas=well, queued=len(self._calls), detail=detail)

    async def _answered(
        self, host: RemoteHost, body: bytes, headers: dict[str, str], context: Context
    ) -> httpx.Response:
        call = asyncio.create_task(host.post(body, headers))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            done, _ = await asyncio.wait({call}, timeout=context.remaining_s())
        finally:
            call.cancel()
        if not done:
            raise DeadlineExceeded(
                f"{self._name} did not answer within the caller's time.", remedy="Give more time or send less."
            )
        if call.cancelled():
            raise Overloaded("The service has stopped.", remedy="Ask again in a moment.")
        failure = call.exception()
        if failure is not None:
            kind = Unreachable if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout) else ServiceFailed
            raise kind(
                f"{self._name} at {host.url} did not answer: {failure or type(failure).__name__}.",
                remedy="Is it up? `headrace doctor` looks.",
            ) from failure
        return call.result()

    def _face(self, method: Method) -> Face:
        face = self._faces.get(method.name)
        if face is None:
            face = self._faces[method.name] = face_of(method)
        return face


def _request(far: Far, face: Face, question: object, context: Context) -> tuple[bytes, dict[str, str]]:
    is_headrace = far.is_headrace
    tensor = face.asked(question, as_msgpack=is_headrace)
    is_binary = is_headrace or tensor.array is not None
    entries, rest = entries_of([tensor], binary=[is_binary])
    if not is_headrace and far.input_name:
        # A foreign host has its own name for the input; it takes one, or this could not be asked.
        entries[0].name = far.input_name
    parameters: dict[str, Scalar] = {"method": face.method.name, CONTENT_TYPE: MSGPACK} if is_headrace else {}
    body, length = joined(Question(entries, parameters=parameters), rest)
    headers = {"content-type": "application/json" if length is None else "application/octet-stream"}
    headers |= {} if length is None else {HEADER_LENGTH: str(length)}
    headers["x-headrace-priority"] = context.priority.value
    if (left_s := context.remaining_s()) is not None:
        headers["x-request-timeout-ms"] = str(max(1, int(left_s * 1000)))
    if context.trace_parent:
        headers["traceparent"] = context.trace_parent
    elif context.trace_id:
        headers["traceparent"] = f"00-{context.trace_id}-{context.trace_id[:16]}-01"
    if context.request_id:
        headers["x-request-id"] = context.request_id
    return body, headers


def _reply(host: RemoteHost, face: Face, response: httpx.Response, context: Context, *, took_ms: float) -> Reply:
    if not response.is_success:
        raise _failure(response, host.url)
    length = response.headers.get(HEADER_LENGTH, "")
    try:
        answer, tensors = reply_in(response.content, int(length) if length.isdecimal() else None)
    except HeadraceError as error:
        raise ServiceFailed(f"{host.url} gave no answer of the protocol: {error}") from error
    if len(tensors) != 1:
        raise ServiceFailed(f"{host.url} gave {len(tensors)} outputs, and one is wanted.")
    _report(answer, context)
    compute_ms = _number(answer, "compute_ms", took_ms)
    return Reply(
        value=face.answered(tensors[0]),
        # The way there and back is waiting, as its caller sees it.
        queued_ms=max(0.0, took_ms - compute_ms),
        compute_ms=compute_ms,
        batch_size=int(_number(answer, "batch_size", 1)),
    )


def _failure(response: httpx.Response, name: str) -> HeadraceError:
    """What the host said, as the error that it was there where it is one of ours."""
    try:
        told = msgspec.json.decode(response.content, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Failure()
    kind = KINDS.get(str(told.parameters.get("code"))) or BY_STATUS.get(response.status_code, ServiceFailed)
    detail = str(told.parameters.get("detail") or told.error or f"{name} said {response.status_code}.")
    return kind(detail, remedy=str(told.parameters.get("remedy", "")))


def _report(answer: Answer, context: Context) -> None:
    """What happened on the way over there is told as if it had happened here."""
    for each in _told(answer, "progress", list[Progress]):
        context.progress(each)
    for lesser in _told(answer, "degraded", list[Degraded]):
        context.report_degraded(lesser.service, reason=lesser.reason, used=lesser.used)
    for spent in _told(answer, "tokens", list[Tokens]):
        context.report_tokens(spent.service, prompt=spent.prompt, completion=spent.completion)


def _told(answer: Answer, name: str, kind: Any) -> Sequence[Any]:
    told = answer.parameters.get(name)
    if not isinstance(told, str):
        return ()
    try:
        found: Sequence[Any] = msgspec.json.decode(told, type=kind)
    except msgspec.DecodeError:
        return ()
    return found


def _number(answer: Answer, name: str, default: float) -> float:
    told = answer.parameters.get(name)
    return float(told) if isinstance(told, int | float) else default
