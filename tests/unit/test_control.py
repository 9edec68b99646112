"""The parts of the role control: none ends without all hearing of it."""

import asyncio

import pytest

from headrace.assembly.control import together
from headrace.errors import ServiceFailed

WAIT_S = 10


async def lives(seen: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        seen.append("ended")


async def returns() -> None:
    return None


async def is_cancelled_from_within() -> None:
    raise asyncio.CancelledError


async def breaks() -> None:
    raise StopAsyncIteration


@pytest.mark.parametrize("ends", [returns, is_cancelled_from_within, breaks])
async def test_a_part_that_ends_in_any_way_ends_all_with_a_failure(ends):
    seen: list[str] = []

    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(together({"lives": lives(seen), "ends": ends()}), WAIT_S)

    (failure,) = failed.value.exceptions
    assert isinstance(failure, StopAsyncIteration if ends is breaks else ServiceFailed)
    assert seen == ["ended"]


async def test_all_parts_end_when_the_role_is_told_to():
    seen: list[str] = []
    role = asyncio.create_task(together({"one": lives(seen), "two": lives(seen)}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    role.cancel()
    await asyncio.wait({role}, timeout=WAIT_S)

    assert role.cancelled()
    assert seen == ["ended", "ended"]
