"""What passes below the library: tickets and confirmations are taken out of the stream, all else goes through."""

import asyncio
from itertools import pairwise

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from headrace.jobs.brokers.frames import Confirms, TicketReader, acknowledged, handed_back, published

OURS, OTHER = 3, 1


def delivery(channel: int, tag: int, *bodies: bytes) -> bytes:
    frames = [
        commands.Basic.Deliver("ctag", tag, False, "", "queue"),
        ContentHeader(body_size=sum(map(len, bodies)), properties=commands.Basic.Properties(delivery_mode=2)),
        *map(ContentBody, bodies),
    ]
    return b"".join(pamqp.frame.marshal(each, channel) for each in frames)


def returned(channel: int, body: bytes) -> bytes:
    frames = [
        commands.Basic.Return(312, "NO_ROUTE", "", "queue"),
        ContentHeader(body_size=len(body)),
        ContentBody(body),
    ]
    return b"".join(pamqp.frame.marshal(each, channel) for each in frames)


def sent(frame: object, channel: int = OTHER) -> bytes:
    return pamqp.frame.marshal(frame, channel)


async def read(stream: bytes, *, cuts=(), confirms: Confirms | None = None):
    """What the library gets of the stream, and what our line gets; the stream comes in pieces."""
    source, got = asyncio.StreamReader(), []
    reader = TicketReader(source)
    reader.lines[OURS] = lambda tag, body: got.append((tag, body))
    if confirms is not None:
        reader.confirms[OTHER] = confirms

    async def feed() -> None:
        places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        for begin, end in pairwise(places):
            if end > begin:
                source.feed_data(stream[begin:end])
            await asyncio.sleep(0)
        source.feed_eof()

    feeding = asyncio.create_task(feed())
    passed = bytearray()
    try:
        while True:
            passed += await reader.readexactly(1)
    except asyncio.IncompleteReadError:
        await feeding
    return bytes(passed), got


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_tickets_go_to_their_line_and_all_else_to_the_library_wherever_the_stream_is_cut(cuts):
    others = [
        sent(commands.Basic.ConsumeOk("ctag"), OURS),
        delivery(OTHER, 7, b"of another channel"),
        sent(commands.Queue.DeclareOk("queue", 5, 1)),
    ]
    ours = [delivery(OURS, 1, b"job_1"), delivery(OURS, 2, b"job", b"_2"), delivery(OURS, 3)]
    stream = others[0] + ours[0] + others[1] + ours[1] + ours[2] + others[2]

    passed, got = asyncio.run(read(stream, cuts=cuts))

    assert got == [(1, b"job_1"), (2, b"job_2"), (3, b"")]
    signs = sent(Heartbeat(), 0)
    assert passed.replace(signs, b"") == b"".join(others)


async def test_the_library_is_shown_that_a_busy_connection_lives():
    passed, _ = await read(delivery(OURS, 1, b"job_1"))

    assert passed == sent(Heartbeat(), 0)


async def test_what_is_no_frame_is_left_for_the_library_to_refuse():
    assert await read(b"AMQP\x00\x00\x09\x01") == (b"AMQP\x00\x00\x09\x01", [])


async def test_a_publication_is_confirmed_when_all_its_messages_are():
    confirms = Confirms()
    first, second, third = (confirms.expected(count) for count in (2, 3, 1))

    await read(sent(commands.Basic.Ack(2)) + sent(commands.Basic.Ack(6)), confirms=confirms)
    assert [each.done() for each in (first, second, third)] == [False, False, True]
    await read(sent(commands.Basic.Ack(5, True)), confirms=confirms)

    assert first.result() is second.result() is third.result() is None


@pytest.mark.parametrize("refusal", [sent(commands.Basic.Nack(1)), returned(OTHER, b"job_1")], ids=["nack", "return"])
async def test_what_the_server_does_not_keep_is_not_confirmed(refusal):
    confirms = Confirms()
    publication = confirms.expected(1)

    passed, _ = await read(refusal + sent(commands.Basic.Ack(1)), confirms=confirms)

    with pytest.raises(ConnectionError):
        publication.result()
    assert passed.replace(sent(Heartbeat(), 0), b"") == b""


def test_what_is_written_is_what_the_library_reads():
    frames = read_by_the_library(published(4, "queue", [b"job_1", b"job_22"]))
    answers = read_by_the_library(acknowledged(4, [5], is_multiple=True) + acknowledged(4, [9]) + handed_back(4, [7]))

    publish, header, body = frames[:3]
    assert (publish.name, publish.routing_key, publish.mandatory) == ("Basic.Publish", "queue", True)
    assert (header.body_size, header.properties.delivery_mode, body.value) == (5, 2, b"job_1")
    assert frames[5].value == b"job_22"
    assert [(each.name, each.delivery_tag) for each in answers] == [
        ("Basic.Ack", 5), ("Basic.Ack", 9), ("Basic.Nack", 7),
    ]  # fmt: skip
    assert [answers[0].multiple, answers[1].multiple, answers[2].requeue] == [True, False, True]


def read_by_the_library(stream: bytes) -> list:
    frames = []
    while stream:
        size, channel, frame = pamqp.frame.unmarshal(stream)
        assert channel == 4
        frames.append(frame)
        stream = stream[size:]
    return frames
