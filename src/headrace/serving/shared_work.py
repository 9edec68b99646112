"""Work done once for several: for all releases that answer a request, for all replicas of a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

Made = TypeVar("Made")


class SharedWork:
    """What was computed for one question, for the other releases that answer it too; ends with the question.

    May be asked from several threads: the second to want the same waits for the first.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, Future[Any]] = {}
        self._lock = Lock()

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, computed by whoever asks first; a failure is its own, and the next one tries again.

        `key` has to say all that the result depends on, and is kept alive as long as the result.
        """
        made: Future[Any] = Future()
        while True:
            with self._lock:
                known = self._made.setdefault(key, made)
            if known is made:
                break
            if known.exception() is None:
                found: Made = known.result()
                return found
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._made[key]
            made.set_exception(error)
            raise
        made.set_result(value)
        return value

    def keep(self, key: Hashable, value: object) -> None:
        """Notes what was computed already."""
        made: Future[Any] = Future()
        made.set_result(value)
        with self._lock:
            self._made.setdefault(key, made)

    def kept(self, key: Hashable) -> Any | None:
        """What is there already under `key`; never waits."""
        known = self._made.get(key)
        return known.result() if known is not None and known.done() and known.exception() is None else None


class Shelf:
    """The parts of models that the replicas and releases of one process share, by content.

    A part lives while anybody uses it. The least recently used ones that nobody uses are kept up to `bound_bytes`, so
    that a release that comes back finds them warm. Safe for threads; a part that is being made is waited for.
    """

    def __init__(self, *, bound_bytes: int = 0) -> None:
        self._bound_bytes = bound_bytes
        self._living: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._warm: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._making: dict[str, Lock] = {}
        self._lock = Lock()

    def shared(self, key: str, make: Callable[[], Made], *, size_bytes: int = 0) -> Made:
        """The part known by `key`, made by whoever asks first. `key` names its content: a digest stands in it."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:
            part: Made | None = self._living.get(key)
            if part is None:
                part = make()
                self._living[key] = part
            self._keep_warm(key, part, size_bytes)
        return part

    @property
    def warm_bytes(self) -> int:
        """The sizes, as told, of what is kept whether it is used or not."""
        return sum(size for _, size in self._warm.values())

    def _keep_warm(self, key: str, part: object, size_bytes: int) -> None:
        with self._lock:
            if size_bytes:
                self._warm[key] = (part, size_bytes)
                self._warm.move_to_end(key)
            while self._warm and self.warm_bytes > self._bound_bytes:
                self._warm.popitem(last=False)
