"""Service: one model and its methods, as an author writes it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

from headrace.errors import InvalidConfiguration
from headrace.serving.batch_answers import each_of
from headrace.serving.declaration import argument_of, check_is_endpoint, is_async
from headrace.serving.elsewhere import Elsewhere
from headrace.serving.shared_work import Shelf

Self = TypeVar("Self")
Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Guard:
    """Limits of the guarded worker process that a service runs in; one call at a time in each process.

    `memory_bytes` is the address space, `cpu_s` the processor time of one call, `wall_s` its longest duration whatever
    the caller's deadline (None: as long as the platform allows for a document), `readable` the files and folders it
    may read besides Python and its libraries. A process over a limit is killed with its group and replaced.
    """

    memory_bytes: int = 1536 * 1024 * 1024
    cpu_s: float = 120.0
    wall_s: float | None = None
    readable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """One endpoint of a service: what to run, for how many questions at once, and how long a question is."""

    name: str
    run: Callable[..., Coroutine[Any, Any, Any]]
    max_batch_size: int | None
    size: Callable[[Any], int] | None = None

    @property
    def title(self) -> str:
        """Its name as callers are told it: lesser ways are private methods of their author."""
        return self.name.strip("_").replace("_", " ")


@dataclass(frozen=True, slots=True)
class Rung:
    """A lesser way to answer a method: the name that operators know it by, and the method that answers instead.

    One that is `on_standby` is answered apart from the replicas, by an instance with `load_standby` only.
    """

    name: str
    method: Method
    on_standby: bool


class Binding(Protocol):
    """Where the calls of a service go: its pool of replicas on a platform, itself when unbound."""

    async def call(self, method: Method, question: object) -> Any:
        """The answer of `method` to `question`; raises what the method raises."""
        ...


class Service:
    """Subclass it, load the model in `load`, and write public async methods of one argument: these are its endpoints.

    Unbound, the methods run right here. On a platform every instance that a pipeline holds is bound from outside to a
    pool of replicas, each of which is an instance of the same class with its own `loaded`.
    """

    model: ClassVar[str | None] = None
    """A name in the registry; its champion's files are given to `load`."""

    guard: ClassVar[Guard | None] = None
    """Set for services that touch untrusted bytes: replicas are guarded worker processes instead of threads."""

    preloaded: ClassVar[bool] = False
    """Whether `load` may run before the processes of a server are forked, which then share what it put on the `shelf`.

    Memory, mapped files and runtimes without threads of their own go over a fork; threads, sockets and devices do not.
    """

    options: Any = None
    """A frozen dataclass with the author's settings; `[services.<attribute>]` of headrace.toml replaces its fields."""

    loaded: Any = None
    """What `load` returned; annotate it in the subclass."""

    shelf: Shelf = Shelf()
    """Where `load` finds what other replicas and releases hold already; a platform has one of its own."""

    methods: ClassVar[dict[str, Method]] = {}

    ladders: ClassVar[dict[str, tuple[Rung, ...]]] = {}
    """The lesser ways of each method that has any, best first; see `fallback`."""

    solo: ClassVar[Callable[[Service], Binding] | None] = None
    """Where the calls of a guarded service go that nobody bound; set at the author's door."""

    _binding: Binding | None = None
    _is_loaded: bool = False

    def __init_subclass__(cls) -> None:
        """Every public async method becomes an endpoint that goes through the binding."""
        super().__init_subclass__()
        cls.methods = dict(cls.methods)
        cls.ladders = dict(cls.ladders)
        for name, attribute in list(vars(cls).items()):
            lesser = getattr(attribute, "__headrace_lesser__", None)
            if name.startswith("_") and lesser is None:
                continue
            method = getattr(attribute, "__headrace_method__", None) or cls._method(name, attribute)
            if method is None:
                if lesser is not None:
                    raise InvalidConfiguration(
                        f"{cls.__name__}.{name} is a lesser way, and not async.", remedy="Write async def."
                    )
                continue
            argument_of(cls, name, method.run)
            cls.methods[name] = method
            if lesser is not None:
                cls._add_rung(lesser, method)

    def load(self, artifact: Path | None) -> Any:  # noqa: ARG002 - the argument is for authors
        """What answers need and is slow to make: weights, sessions, tables. Runs once a replica, in its own thread.

        `artifact` is the folder with the files of the model version named by `model`, verified by digest; None when
        the registry has none under that name.
        """
        return None

    def traits(self, artifact: Path | None) -> Mapping[str, Any]:  # noqa: ARG002 - the argument is for authors
        """What people should find in a release's manifest: labels, calibration, thresholds, how answers are explained.

        Plain values of JSON, a function of `artifact` and the options alone.
        """
        return {}

    def load_standby(self, artifact: Path | None) -> Any:  # noqa: ARG002 - the argument is for authors
        """The little that the lesser ways on standby need as `loaded`; None unless the author says otherwise."""
        return None

    def unload(self) -> None:
        """Gives back what `load` took, where the garbage collector does not."""
        return

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """Pairs of (method name, question) that a replica answers before it counts as ready."""
        return ()

    def bind(self, binding: Binding | None) -> None:
        """From now on the calls of this instance go through `binding`; done by whoever builds the platform."""
        self._binding = binding
        if binding is not None and not isinstance(binding, Here) and not self._is_loaded and self.loaded is None:
            self.loaded = Elsewhere(type(self).__name__)
        elif isinstance(self.loaded, Elsewhere):
            del self.loaded

    def ensure_loaded(self) -> None:
        """Loads what an unbound service has not loaded yet, without any registry."""
        if not self._is_loaded and self.loaded is None:
            self.load_once(None)

    def load_once(self, artifact: Path | None) -> None:
        """Keeps what `load` gives as `loaded`; from now on nothing loads it again."""
        self.loaded = self.load(artifact)
        self._is_loaded = True

    def stand_by(self, artifact: Path | None) -> None:
        """Keeps what `load_standby` gives as `loaded`, instead of the model."""
        self.loaded = self.load_standby(artifact)
        self._is_loaded = True

    @classmethod
    def _method(cls, name: str, attribute: Any) -> Method | None:
        """What `attribute` is as an endpoint; None when it is none."""
        check_is_endpoint(cls, name, attribute)
        if not is_async(attribute):
            return None
        if hasattr(Service, name):
            raise InvalidConfiguration(
                f"{cls.__name__}.{name} is async, and Headrace calls it without waiting.", remedy="Write def."
            )
        method = Method(name=name, run=attribute, max_batch_size=None)
        setattr(cls, name, _through_binding(method))
        return method

    @classmethod
    def _add_rung(cls, lesser: _Lesser, method: Method) -> None:
        rungs = cls.ladders.get(lesser.of, ())
        if cls.guard is not None and lesser.on_standby:
            raise InvalidConfiguration(
                f"{cls.__name__}.{method.name} is on standby, and {cls.__name__} is guarded.",
                remedy="What touches untrusted bytes answers in its guarded workers: leave out on_standby.",
            )
        added = Rung(name=lesser.name, method=method, on_standby=lesser.on_standby)
        same = [rung for rung in rungs if rung.name == added.name]
        if same and same[0].method.name != method.name:
            raise InvalidConfiguration(
                f"{cls.__name__}.{lesser.of} has two lesser ways named {added.name!r}.", remedy="Rename one."
            )
        # A subclass that writes a way anew replaces it where it stands.
        kept = tuple(added if rung in same else rung for rung in rungs)
        cls.ladders[lesser.of] = kept if same else (*rungs, added)


class Here:
    """The binding of a replica: its calls to its own methods run in place and never leave it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def call(self, method: Method, question: object) -> Any:
        """The answer, computed by the caller itself."""
        self._service.ensure_loaded()
        if method.max_batch_size is None:
            return await method.run(self._service, question)
        return each_of(await method.run(self._service, [question]), method.title, asked=1)[0]


def batched(
    *, max_size: int, size: Callable[[Any], int] | None = None
) -> Callable[
    [Callable[[Self, list[Question]], Coroutine[Any, Any, list[Answer]]]],
    Callable[[Self, Question], Coroutine[Any, Any, Answer]],
]:
    """The method is written for a list of up to `max_size` questions and called with one; answers keep their order.

    How many questions share a call is learned from what calls take: where company does not pay, each is asked alone.
    `size` says how long a question is (tokens, characters, pages; cheap, it runs on the event loop), and then only
    questions of like length share a call, so that none is padded for another.

    An answer must not depend on its company. Warm-up questions are answered alone and together before the first
    caller; a method whose answers differ then is asked one question at a time.
    """
    if not isinstance(max_size, int) or max_size < 1:
        raise InvalidConfiguration(
            f"batched was given max_size={max_size!r}.", remedy="It is how many questions share a call: 1 or more."
        )

    def decorate(
        run: Callable[[Self, list[Question]], Coroutine[Any, Any, list[Answer]]],
    ) -> Callable[[Self, Question], Coroutine[Any, Any, Answer]]:
        if not is_async(run):
            raise InvalidConfiguration(
                f"{cast(Any, run).__qualname__} is batched, and not async.", remedy="Write async def."
            )
        method = Method(name=cast(Any, run).__name__, run=run, max_batch_size=max_size, size=size)
        return cast("Callable[[Self, Question], Coroutine[Any, Any, Answer]]", _through_binding(method))

    return decorate


@dataclass(frozen=True, slots=True)
class _Lesser:
    """What `fallback` notes on a method."""

    name: str
    of: str
    on_standby: bool


def fallback(
    name: str, *, of: Callable[[Self, Question], Coroutine[Any, Any, Answer]], on_standby: bool = False
) -> Callable[
    [Callable[[Self, Question], Coroutine[Any, Any, Answer]]],
    Callable[[Self, Question], Coroutine[Any, Any, Answer]],
]:
    """A lesser way of the method `of`, which answers when the best cannot; those written first are tried first.

    ```python
    class SummarizationService(Service):
        @batched(max_size=32)
        async def summarize(self, texts: list[Text]) -> list[Summary]: ...

        @fallback("extractive", of=summarize)
        async def _extractive(self, text: Text) -> Summary: ...

        @fallback("lead", of=summarize, on_standby=True)
        async def _lead(self, text: Text) -> Summary: ...
    ```

    It takes and gives what the method does, may be `batched` itself (put `fallback` above), and may be private. It is
    asked when the method failed, was overloaded, or took so long that the caller's time would run out; when its
    breaker is open it is asked at once. Wrong input descends no ladder. The answer names it: `degraded` has the
    service, the `reason` (`failed`, `overloaded`, `deadline`, `slow`, `breaker_open`) and `used`, this `name`.

    Operators choose and order the ways: `[services.summarizer] fallback = ["lead"]`; `[]` is none, and without the
    setting all are used in the order in which they are written. Unbound, in a notebook or a test, a service answers
    in its best way or raises.

    A way that is `on_standby` runs apart from the replicas, on an instance whose `loaded` is what `load_standby`
    gave: it answers also while no replica lives, while they hang, or while their host is away. It has to be quick and
    light. The other ways run on the service's replicas.
    """

    def decorate(
        run: Callable[[Self, Question], Coroutine[Any, Any, Answer]],
    ) -> Callable[[Self, Question], Coroutine[Any, Any, Answer]]:
        cast(Any, run).__headrace_lesser__ = _Lesser(name=name, of=cast(Any, of).__name__, on_standby=on_standby)
        return run

    return decorate


def _through_binding(method: Method) -> Callable[[Service, Any], Coroutine[Any, Any, Any]]:
    @wraps(method.run)
    async def call(self: Service, question: Any = _BY_NAME, **named: Any) -> Any:
        if self._binding is None:
            solo = None if self.guard is None else Service.solo
            self._binding = Here(self) if solo is None else solo(self)
        if named or question is _BY_NAME:
            question = _named(method, question, named)
        return await self._binding.call(method, question)

    cast(Any, call).__headrace_method__ = method
    return call


def _named(method: Method, question: Any, named: Mapping[str, Any]) -> Any:
    """The one question of a call that names it; raises `TypeError` where it names another, or has one by place too."""
    name = [*signature(method.run).parameters][1]
    if [*named] != [name] or question is not _BY_NAME:
        by_place = [] if question is _BY_NAME else ["one by place"]
        given = ", ".join([*by_place, *named]) or "none"
        raise TypeError(f"{method.name}() takes one argument, {name}, and was given {given}.")
    return named[name]


_BY_NAME = object()
"""In place of a question that the call names."""
