"""Clients that misbehave: slow, half closed, lying about lengths, idle by the thousand, gone in mid-call."""

import asyncio
import resource

import httpx
import pytest
from raised import raised

HEAD = "POST /v1/mill/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHEAT = b'{"corn": "wheat"}'
DEADLINE_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with raised(tmp_path_factory.mktemp("clients"), "--only", "gateway", HEADRACE_LIMITS__UPLOAD="1 MiB") as it:
        yield it


@pytest.fixture
def port(server):
    return int(server.url.rpartition(":")[2])


def head(endpoint, length):
    return (HEAD.format(endpoint) + f"Content-Length: {length}\r\n\r\n").encode()


async def opened(port, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def answers(port):
    """The server answers somebody else."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, trust_env=False) as client:
        response = await client.post("/v1/mill/grind", json={"corn": "rye"})
    return response.status_code == 200


async def in_flight(port):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S, trust_env=False) as client:
        metrics = (await client.get("/metrics")).text
    line = next(line for line in metrics.splitlines() if line.startswith("headrace_in_flight_requests"))
    return float(line.split()[1])


async def until(claim):
    async with asyncio.timeout(DEADLINE_S):
        while not await claim():
            await asyncio.sleep(0.05)


async def test_heads_and_bodies_that_trickle_hold_nobody_up(port):
    heads = [await opened(port, b"GET /livez HTT") for _ in range(100)]
    bodies = [await opened(port, head("grind", 1000) + b'{"corn') for _ in range(100)]

    assert await answers(port)

    for _, writer in heads + bodies:
        writer.close()
    assert await answers(port)


async def test_a_head_that_never_ends_is_cut_off(port):
    reader, writer = await opened(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

    # The server closes, with or without an answer; it does not keep the connection for ever.
    rest = await asyncio.wait_for(reader.read(), DEADLINE_S)

    writer.close()
    assert b" 200 " not in rest


async def test_a_body_shorter_than_said_is_not_answered_as_if_it_were_whole(port):
    reader, writer = await opened(port, head("grind", len(WHEAT) + 10) + WHEAT)
    writer.write_eof()

    rest = await asyncio.wait_for(reader.read(), DEADLINE_S)

    writer.close()
    assert b" 200 " not in rest.partition(b"\r\n")[0]
    assert await answers(port)


async def test_a_body_longer_than_said_ends_where_it_was_said_to(port):
    reader, writer = await opened(port, head("grind", len(WHEAT)) + WHEAT + b"garbage that is no request\r\n\r\n")

    first = await asyncio.wait_for(reader.readline(), DEADLINE_S)

    writer.close()
    assert b" 200 " in first
    assert await answers(port)


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "10, 20", "abc"])
async def test_a_length_that_is_none_is_refused(port, length):
    reader, writer = await opened(port, head("grind", length) + WHEAT)

    first = await asyncio.wait_for(reader.readline(), DEADLINE_S)

    writer.close()
    assert not first or b" 4" in first
    assert await answers(port)


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(port):
    reader, writer = await opened(port, head("measure", 10**9))

    first = await asyncio.wait_for(reader.readline(), DEADLINE_S)

    writer.close()
    assert b" 413 " in first


async def test_a_chunked_body_over_the_limit_is_refused_in_mid_body(port):
    start = (HEAD.format("measure") + "Transfer-Encoding: chunked\r\n\r\n").encode()
    reader, writer = await opened(port, start)

    async def send():
        for _ in range(64):
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    sending = asyncio.create_task(send())
    first = await asyncio.wait_for(reader.readline(), DEADLINE_S)

    await asyncio.gather(sending, return_exceptions=True)
    writer.close()
    assert b" 413 " in first
    assert await answers(port)


async def test_a_client_that_closes_its_half_leaves_nothing_behind(port):
    """HTTP has no half-closed callers: one that closes its side has gone, whatever it still reads."""
    body = b'{"seconds": 600}'
    reader, writer = await opened(port, head("linger", len(body)) + body)
    writer.write_eof()

    async def has_ended():
        return await in_flight(port) == 0

    await asyncio.wait_for(reader.read(), DEADLINE_S)
    writer.close()
    await until(has_ended)


async def test_the_work_for_clients_that_go_away_is_cancelled(port):
    body = b'{"seconds": 600}'
    gone = [await opened(port, head("linger", len(body)) + body) for _ in range(8)]

    async def all_begun():
        return await in_flight(port) >= len(gone)

    async def all_ended():
        return await in_flight(port) == 0

    await until(all_begun)
    for _, writer in gone:
        writer.close()

    await until(all_ended)


async def test_thousands_of_idle_connections_leave_room_for_those_who_ask(port):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 500)), hard))
    idle = []
    try:
        while len(idle) < count:
            batch = [asyncio.open_connection("127.0.0.1", port) for _ in range(min(250, count - len(idle)))]
            idle += await asyncio.gather(*batch)

        assert await answers(port)
    finally:
        for _, writer in idle:
            writer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(idle) == count
    assert await answers(port)
