"""The guarded worker: a process that confines itself, loads one replica, and answers one call at a time.

Started by its parent with the search path and a descriptor, on which alone it speaks, in frames.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from headrace.errors import HeadraceError, ServiceFailed, Unreadable
from headrace.serving.context import Context, Progress, within
from headrace.serving.driving import Driver
from headrace.serving.runtimes.confinement import Confinement, allow_cpu, confine
from headrace.serving.runtimes.frames import (
    HEAD,
    Ask,
    Birth,
    CheckpointNote,
    DegradedNote,
    Failure,
    Frame,
    ProgressNote,
    Ready,
    TokensNote,
    framed,
    head,
)
from headrace.serving.service import Here, Method, Service
from headrace.serving.wire import Codec, codecs_of

# What Python, its libraries and the C library read while they work. Nothing of it is secret.
READABLE = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/mime.types",
    "/etc/fonts",
    "/dev/null",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


class Pipe:
    """The descriptor to the parent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, kind: Frame, payload: bytes) -> None:
        """All of a frame."""
        self._write(framed(kind, payload) if len(payload) < HEAD.size << 10 else head(kind, len(payload)))
        if len(payload) >= HEAD.size << 10:
            self._write(payload)

    def receive(self) -> bytearray | None:
        """The payload of the next frame, of which the parent sends one kind at a time; None when it is gone."""
        found = self._exactly(HEAD.size)
        return None if found is None else self._exactly(HEAD.unpack(found)[1])

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _exactly(self, size: int) -> bytearray | None:
        data = bytearray(size)
        view, filled = memoryview(data), 0
        while filled < size:
            count = os.readv(self._descriptor, [view[filled:]])
            if count == 0:
                return None
            filled += count
        return data


class PipeCheckpoints:
    """What the parent told of earlier attempts; what is finished now is sent to it. The release is the parent's."""

    def __init__(self, kept: dict[str, bytes], pipe: Pipe) -> None:
        self._kept = kept
        self._pipe = pipe

    def find(self, release: str, name: str) -> bytes | None:  # noqa: ARG002 - see above
        """The part, if it was finished."""
        return self._kept.get(name)

    def found(self, release: str, prefix: str) -> dict[str, bytes]:  # noqa: ARG002 - see above
        """All finished parts whose names begin so."""
        return {name: value for name, value in self._kept.items() if name.startswith(prefix)}

    def save(self, release: str, name: str, value: bytes) -> None:  # noqa: ARG002 - see above
        """Sent to the parent, which keeps it."""
        self._kept[name] = value
        self._pipe.send(Frame.CHECKPOINT, msgspec.msgpack.encode(CheckpointNote(name=name, value=value)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method with the codecs of its question and its answer."""

    method: Method
    question: Codec
    answer: Codec


def main() -> None:
    """Lives until the parent is gone."""
    pipe = Pipe(int(sys.argv[2]))
    received = pipe.receive()
    if received is None:
        return
    birth = msgspec.msgpack.decode(received, type=Birth)
    with Driver() as driver:
        try:
            service, protections = _born(birth)
            answering = Answering(driver, pipe, service, birth)
            for name, question in service.warm_up():
                _run(driver, service, service.methods[name], question)
        # The parent tells the author; a traceback on stderr goes to its log.
        except Exception as error:  # noqa: BLE001
            traceback.print_exc()
            pipe.send(Frame.ERROR, _birth_failure(error))
            return
        # What lives now lives as long as the process: collections need not look at it again.
        gc.freeze()
        pipe.send(Frame.READY, msgspec.msgpack.encode(Ready(protections=protections)))
        answering.live()


def _born(birth: Birth) -> tuple[Service, list[str]]:
    module, _, name = birth.service.partition(":")
    cls = getattr(importlib.import_module(module), name)
    service: Service = cls()
    service.bind(Here(service))
    if service.options is not None:
        service.options = Codec(type(service.options)).decode(birth.options)
    readable = (*READABLE, *birth.readable, *_code(), sys.prefix, sys.base_prefix, birth.artifact or "")
    protections = confine(
        Confinement(
            memory_bytes=birth.memory_bytes,
            readable=tuple(path for path in readable if path),
            writable=birth.folder,
            parent=birth.parent,
        )
    )
    service.load_once(Path(birth.artifact) if birth.artifact else None)
    return service, protections


def _code() -> set[str]:
    """Where the code lies that is imported already: the folder of each package, the file of each single module."""
    found: set[str] = set()
    for name, module in list(sys.modules.items()):
        if "." not in name and name != "__main__":
            found.update(str(folder) for folder in getattr(module, "__path__", ()))
            found.add(str(getattr(module, "__file__", None) or ""))
    site = {path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}}
    return found | site


class Answering:
    """The life of a worker that is warm."""

    def __init__(self, driver: Driver, pipe: Pipe, service: Service, birth: Birth) -> None:
        self._driver = driver
        self._pipe = pipe
        self._service = service
        self._birth = birth
        self._endpoints = {name: Endpoint(method, *codecs_of(method)) for name, method in service.methods.items()}

    def live(self) -> None:
        """Answers one call after the other until the parent is gone."""
        while (asked := self._pipe.receive()) is not None:
            question = self._pipe.receive()
            if question is None:
                return
            # From here on a death is held against the question.
            self._pipe.send(Frame.BEGUN, b"")
            allow_cpu(self._birth.cpu_s)
            try:
                answer = self._answer(msgspec.msgpack.decode(asked, type=Ask), question)
            except MemoryError:
                # What a parser left behind after this is not to be trusted: the parent replaces the process.
                spent = Unreadable("It needs more memory than a reader may use.", remedy="Split it, or save it anew.")
                self._pipe.send(Frame.ERROR, msgspec.msgpack.encode(Failure.of(spent, is_last=True)))
                return
            # The author's code may raise anything: the parent is told, and this worker lives on.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                self._pipe.send(Frame.ERROR, _failure(error))
            else:
                self._pipe.send(Frame.ANSWER, answer)

    def _answer(self, ask: Ask, question: bytearray) -> bytes:
        endpoint = self._endpoints[ask.method]
        deadline = None if ask.remaining_s is None else monotonic() + ask.remaining_s
        kept = None if ask.checkpoints is None else PipeCheckpoints(ask.checkpoints, self._pipe)
        with within(Context(deadline=deadline, progress=self._report, checkpoints=kept)) as context:
            try:
                value = _run(self._driver, self._service, endpoint.method, endpoint.question.decode(question))
            finally:
                # Of a call that failed too: it is paid for all the same.
                for spent in context.spent:
                    counted = TokensNote(service=spent.service, prompt=spent.prompt, completion=spent.completion)
                    self._pipe.send(Frame.TOKENS, msgspec.msgpack.encode(counted))
        for each in context.degraded:
            note = DegradedNote(service=each.service, reason=each.reason, used=each.used)
            self._pipe.send(Frame.DEGRADED, msgspec.msgpack.encode(note))
        return endpoint.answer.encode(value)

    def _report(self, progress: Progress) -> None:
        note = ProgressNote(stage=progress.stage, done=progress.done, total=progress.total)
        self._pipe.send(Frame.PROGRESS, msgspec.msgpack.encode(note))


def _run(driver: Driver, service: Service, method: Method, question: object) -> Any:
    if method.max_batch_size is None:
        return driver.run(method.run, service, question, variables=copy_context())
    return driver.run(method.run, service, [question], variables=copy_context())[0]


def _failure(error: BaseException) -> bytes:
    if isinstance(error, HeadraceError):
        return msgspec.msgpack.encode(Failure.of(error))
    traceback.print_exception(error)
    # The text of a foreign error may hold paths or content: its kind alone goes on.
    failed = ServiceFailed(f"The service failed: {type(error).__name__}.", remedy="The log has the trace.")
    return msgspec.msgpack.encode(Failure.of(failed))


def _birth_failure(error: Exception) -> bytes:
    if not isinstance(error, HeadraceError):
        error = ServiceFailed(f"A replica could not be loaded: {type(error).__name__}: {error}")
    return msgspec.msgpack.encode(Failure.of(error))
