"""What a strict type checker must see through the author's door; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import assert_type

from headrace import Service, batched, fallback, pipeline


class Doubling(Service):
    @batched(max_size=8)
    async def double(self, numbers: list[int]) -> list[str]:
        return [str(2 * number) for number in numbers]

    async def single(self, number: int) -> str:
        return str(number)

    @fallback("one", of=double)
    async def lesser(self, number: int) -> str:
        return str(number)

    @fallback("many", of=single)
    @batched(max_size=2)
    async def _lesser(self, numbers: list[int]) -> list[str]:
        return [str(number) for number in numbers]

    # A lesser way takes and gives what the method does.
    @fallback("other", of=single)  # type: ignore[arg-type]
    async def _other(self, number: int) -> int:
        return number


@pipeline
class Doubler:
    def __init__(self, start: int = 0) -> None:
        self.doubling = Doubling()
        self.start = start

    async def answer(self, number: int) -> str:
        first = await self.doubling.double(number)
        assert_type(first, str)
        second = await self.doubling.single(number)
        assert_type(second, str)
        return first + second


async def uses() -> None:
    doubler = Doubler(start=1)
    assert_type(doubler, Doubler)
    assert_type(await doubler.answer(3), str)
    method: Callable[[int], Awaitable[str]] = doubler.doubling.double
    assert_type(await method(3), str)
    assert_type(await doubler.doubling.lesser(3), str)
    # Each of these must stay an error, or the unused comment is one.
    await doubler.doubling.double([1])  # type: ignore[arg-type]
    await doubler.doubling.double("1")  # type: ignore[arg-type]
    await doubler.doubling.single("1")  # type: ignore[arg-type]
    await doubler.answer()  # type: ignore[call-arg]
    Doubler(begin=1)  # type: ignore[call-arg]
