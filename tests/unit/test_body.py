"""How long a body is waited for, whatever else took time before it."""

import asyncio
from types import SimpleNamespace

import pytest

from headrace.errors import Malformed
from headrace.gateway.request import Request


class Slow(SimpleNamespace):
    """A client that begins to send and never ends."""

    def received(self) -> None:
        return None

    async def whole(self) -> bytes:
        await asyncio.Event().wait()
        return b""


def request(*, read_s):
    exchange = Slow(method="POST", path="/v1/a", headers={"content-length": "5"})
    return Request(exchange, {}, body_limit=100, read_s=read_s)


async def test_a_body_that_does_not_come_is_given_up_and_the_call_goes_on():
    asked = request(read_s=0.05)

    async with asyncio.timeout(30):
        with pytest.raises(Malformed, match=r"did not come within 0\.05 s"):
            await asked.body()
        # The cancellation was the body's own: the call may still wait for other things.
        await asyncio.sleep(0.01)

    assert not asyncio.current_task().cancelling()


async def test_the_time_for_a_body_counts_from_when_it_is_asked_for():
    asked = request(read_s=0.05)
    await asyncio.sleep(0.6)

    async with asyncio.timeout(30):
        with pytest.raises(Malformed, match="did not come"):
            await asked.body()


async def test_a_call_that_is_cancelled_while_it_reads_is_cancelled():
    reading = asyncio.create_task(request(read_s=30).body())
    await asyncio.sleep(0.01)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
