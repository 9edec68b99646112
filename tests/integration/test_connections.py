"""What one connection makes of its bytes: the order of answers, bodies of every framing, ends, and slow clients."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.gateway import connection as bounds
from headrace.gateway.app import Bounds, Gateway
from headrace.gateway.caller import Access
from headrace.gateway.exchange import UNREAD_BYTES
from headrace.gateway.operation import Operation
from headrace.gateway.place import Place
from headrace.gateway.response import Response, Stream, text_response
from headrace.gateway.route import Route
from headrace.gateway.server import Server
from headrace.telemetry import Metrics

WAIT_S = 60
LIMIT = 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"


class Counter:
    """Handlers that do what a test needs, and what came of them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = 0
        self.sent = 0

    def routes(self):
        handlers = {
            ("POST", "/echo"): self.echo,
            ("POST", "/early"): self.early,
            ("POST", "/tardy"): self.tardy,
            ("POST", "/pieces"): self.pieces,
            ("GET", "/name"): self.name,
            ("GET", "/late"): self.late,
            ("GET", "/rows"): self.rows,
            ("GET", "/broken"): self.broken,
            ("GET", "/wrong"): self.wrong,
            ("GET", "/large"): self.large,
        }
        return [
            Route(method, path, handle, Operation(path, "test"), access=Access.OPEN, body_limit=LIMIT)
            for (method, path), handle in handlers.items()
        ]

    async def echo(self, request):
        return Response(await request.body())

    async def early(self, request):
        return text_response("no need", status=409)

    async def tardy(self, request):
        await asyncio.sleep(request.number("ms", default=200, least=1, most=600_000) / 1000)
        return text_response(f"{len(await request.body())} bytes.")

    async def pieces(self, request):
        class Sink:
            written = 0

            def write(self, piece):
                self.written += len(piece)

        return text_response(str(await request.save(Sink())))

    async def name(self, request):
        return text_response(request.query.get("of", ""))

    async def late(self, request):
        self.begun.set()
        try:
            await asyncio.sleep(request.number("ms", default=50, least=1, most=600_000) / 1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return text_response("late")

    async def rows(self, request):
        async def come():
            for number in range(request.number("count", default=3, least=1, most=100_000)):
                self.sent += 1
                yield b"%06d\n" % number * request.number("times", default=1, least=1, most=10_000)

        return Stream(come())

    async def broken(self, request):
        async def come():
            yield b"begun"
            raise ValueError("in the middle")

        return Stream(come())

    async def wrong(self, request):
        return Response(b"", headers=[("x-evil", "a\r\nset-cookie: b")])

    async def large(self, request):
        return Response(b"x" * request.number("bytes", default=10, least=1, most=100_000_000))


@asynccontextmanager
async def listening():
    counter, told = Counter(), []
    gateway = Gateway(
        counter.routes(), metrics=Metrics(), tell=lambda *facts: told.append(facts), bounds=Bounds(read_s=5)
    )
    place = Place("127.0.0.1", 0)
    place.seat(2)
    server = Server(gateway, place)
    await server.start()
    counter.port, counter.place, counter.server, counter.told = place.port, place, server, told
    try:
        yield counter
    finally:
        await server.stop(within_s=5)
        place.close()


@pytest.fixture
async def it():
    async with listening() as counter:
        yield counter


async def told(it, sent, *, parts=1):
    """All that the server says to `sent`, which comes in so many parts, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    size = -(-len(sent) // parts)
    for start in range(0, len(sent), size):
        writer.write(sent[start : start + size])
        await writer.drain()
        if parts > 1:
            await asyncio.sleep(0.002)
    answer = await asyncio.wait_for(reader.read(), WAIT_S)
    writer.close()
    return answer


def call(method, target, body=b"", headers="", *, closes=False, version="1.1"):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    ending = "Connection: close\r\n" if closes else ""
    return f"{method} {target} HTTP/{version}\r\nHost: localhost\r\n{length}{ending}{headers}\r\n".encode() + body


def bodies(answers):
    """The bodies of answers with a length, one after the other."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        found.append(rest[:length])
        answers = rest[length:]
    return found


async def test_calls_that_come_at_once_are_answered_in_their_order(it):
    sent = call("GET", "/late?ms=80") + b"".join(call("GET", f"/name?of={number}") for number in range(40))

    answers = await told(it, sent + call("GET", "/name?of=last", closes=True))

    assert bodies(answers) == [b"late", *[b"%d" % number for number in range(40)], b"last"]


@pytest.mark.parametrize("parts", [1, 7, 60])
async def test_bodies_come_whole_however_they_were_cut(it, parts):
    first, second = bytes(range(256)) * 3, b"b" * 100

    answers = await told(it, call("POST", "/echo", first) + call("POST", "/echo", second, closes=True), parts=parts)

    assert bodies(answers) == [first, second]


@pytest.mark.parametrize("parts", [1, 20])
async def test_chunks_are_put_together_and_trailers_are_no_headers(it, parts):
    head = call("POST", "/echo", headers="Transfer-Encoding: chunked\r\nConnection: close\r\n")

    answer = await told(it, head + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nx-request-id: late\r\n\r\n", parts=parts)

    assert bodies(answer) == [b"abcdefg"]
    assert b"x-request-id: late" not in answer


async def test_chunks_over_the_limit_are_refused_also_when_all_have_come(it):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    head = call("POST", "/echo", headers="Transfer-Encoding: chunked\r\n")

    answer = await told(it, head + chunk * 40 + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_large_body_may_be_read_as_it_comes(it):
    body = b"y" * (LIMIT - 1)

    assert bodies(await told(it, call("POST", "/pieces", body, closes=True), parts=9)) == [b"%d" % len(body)]


@pytest.mark.parametrize("more", [-1, 1, 40_000, 400_000])
async def test_the_connection_lives_on_behind_a_body_that_had_come_before_it_was_read(it, more):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    body = b"a" * (UNREAD_BYTES + more)

    writer.write(call("POST", "/tardy", body))
    await asyncio.wait_for(reader.readuntil(b"%d bytes." % len(body)), WAIT_S)
    writer.write(call("GET", "/name?of=next", closes=True))

    assert (await asyncio.wait_for(reader.read(), WAIT_S)).endswith(b"next")
    writer.close()


SIZES = (0, 1, 1_000, UNREAD_BYTES - 1, UNREAD_BYTES + 1, UNREAD_BYTES + 70_000, LIMIT - 1)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["/echo", "/early", "/pieces", "/tardy?ms=1", "/tardy?ms=30"]),
        st.sampled_from(SIZES),
        st.integers(1, 4),
        st.booleans(),
    ),
    min_size=2,
    max_size=6,
)


async def conversation(it, calls):
    """Asks one call after the other, on one connection as long as it lasts; the paths that were answered wrongly."""
    wrong, reader, writer = [], None, None
    for path, size, parts, is_chunked in calls:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        body = b"a" * size
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        step = -(-size // parts) or 1
        for start in range(0, size, step):
            piece = body[start : start + step]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n" if is_chunked else b"")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        answer = await asyncio.wait_for(reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1])), WAIT_S)
        right = {"/echo": body, "/early": b"no need", "/pieces": b"%d" % size}.get(path, b"%d bytes." % size)
        wrong += [path] if answer != right else []
        if b"connection: close" in head:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    return wrong


@settings(deadline=None, max_examples=40)
@given(talks=st.lists(CALLS, min_size=1, max_size=4))
def test_every_call_on_a_kept_connection_is_answered_whatever_came_before_it(talks):
    async def all_of_them():
        async with listening() as it:
            return await asyncio.gather(*(conversation(it, calls) for calls in talks))

    assert asyncio.run(all_of_them()) == [[] for _ in talks]


async def test_an_answer_before_the_body_ends_the_connection_and_can_be_read(it):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("POST", "/early", b"x" * (LIMIT - 1))[:-1000])

    answer = await asyncio.wait_for(reader.read(), WAIT_S)

    writer.close()
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert b"connection: close" in answer
    assert answer.endswith(b"no need")


async def test_who_asks_whether_to_go_on_is_told_to(it):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("POST", "/echo", b"12345", "Expect: 100-continue\r\n")[:-5])
    first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    writer.write(b"12345")
    answer = await asyncio.wait_for(reader.readuntil(b"12345"), WAIT_S)
    writer.close()

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(OK)


async def test_who_asks_whether_to_go_on_is_refused_without_sending(it):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("POST", "/early", b"12345", "Expect: 100-continue\r\n")[:-5])

    answer = await asyncio.wait_for(reader.read(), WAIT_S)

    writer.close()
    assert answer.startswith(b"HTTP/1.1 409 ")


async def test_old_clients_know_the_end_by_that_of_the_connection(it):
    whole = await told(it, call("GET", "/name?of=a", version="1.0"))
    streamed = await told(it, call("GET", "/rows?count=2", version="1.0"))

    assert b"connection: close" in whole
    assert bodies(whole) == [b"a"]
    assert b"transfer-encoding" not in streamed
    assert streamed.endswith(b"\r\n\r\n000000\n000001\n")


async def test_what_is_left_to_a_process_that_never_takes_it_is_taken_all_the_same(it):
    it.place.tell(1, 0)
    call_and_end = call("GET", "/name?of=a", headers="Connection: close\r\n")
    streams = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(100)]

    for _, writer in streams:
        writer.write(call_and_end)
    answers = [await asyncio.wait_for(reader.read(), WAIT_S) for reader, _ in streams]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    for _, writer in streams:
        writer.close()


async def test_old_clients_may_ask_to_be_kept(it):
    kept = call("GET", "/name?of=a", headers="Connection: keep-alive\r\n", version="1.0")

    answers = await told(it, kept + call("GET", "/name?of=b", version="1.0"))

    assert b"connection: keep-alive" in answers
    assert bodies(answers) == [b"a", b"b"]


async def test_pieces_are_framed_and_the_connection_lives_on(it):
    answers = await told(it, call("GET", "/rows?count=2") + call("GET", "/name?of=b", closes=True))

    first, _, second = answers.partition(b"0\r\n\r\n")
    assert first.endswith(b"7\r\n000000\n\r\n7\r\n000001\n\r\n")
    assert bodies(second) == [b"b"]


async def test_a_head_alone_has_the_length_and_no_body(it):
    answers = await told(it, call("HEAD", "/large?bytes=70000") + call("GET", "/name?of=b", closes=True))

    head, _, rest = answers.partition(b"\r\n\r\n")
    assert b"content-length: 70000" in head
    assert bodies(rest) == [b"b"]


async def test_a_stream_that_fails_ends_without_its_end(it):
    answer = await told(it, call("GET", "/broken") + call("GET", "/name?of=never"))

    assert answer.startswith(OK)
    assert b"begun" in answer
    assert b"0\r\n\r\n" not in answer
    assert b"never" not in answer


async def test_a_header_with_a_line_break_never_goes_out(it):
    answer = await told(it, call("GET", "/wrong"))

    assert b"set-cookie" not in answer
    assert [event for event, _ in it.told] == ["request_failed"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Null: a\x00b\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    ],
)
async def test_what_is_no_call_is_told_so(it, garbage):
    answer = await told(it, garbage)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"malformed"' in answer
    assert b"connection: close" in answer


async def test_garbage_behind_a_call_does_not_harm_its_answer(it):
    answer = await told(it, call("GET", "/late?ms=100") + b"\x00\x00garbage\r\n\r\n")

    assert bodies(answer) == [b"late"]


async def test_a_head_without_end_is_refused(it):
    answer = await told(it, b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 4 * bounds.HEAD_BYTES, parts=8)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The head of the call has more than 65536 bytes." in answer


async def test_the_end_of_a_large_body_is_no_part_of_the_next_head(it):
    body = b"y" * (LIMIT - 1)
    second = call("GET", "/name?of=b", closes=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("POST", "/echo", body) + second[:20])
    await reader.readuntil(b"\r\n\r\n")
    echoed = await asyncio.wait_for(reader.readexactly(len(body)), WAIT_S)
    writer.write(second[20:])

    answer = await asyncio.wait_for(reader.read(), WAIT_S)

    writer.close()
    assert echoed == body
    assert bodies(answer) == [b"b"]


class SlowTransport:
    """What a connection asks of its transport when it is looked at."""

    unsent_bytes = 0
    is_aborted = False

    def get_write_buffer_size(self):
        return self.unsent_bytes

    def abort(self):
        self.is_aborted = True


async def test_who_takes_something_between_two_looks_is_waited_for(it):
    transport = SlowTransport()
    connection = bounds.Connection(it.server, asyncio.get_running_loop())
    connection.connection_made(transport)
    begun = asyncio.get_running_loop().time()
    for after_s, unsent_bytes in ((30, 0), (71, 9000), (125, 9000), (126, 5000), (180, 5000)):
        transport.unsent_bytes = unsent_bytes
        connection.look(begun + after_s)
    assert not transport.is_aborted

    connection.look(begun + 187)

    assert transport.is_aborted
    connection.connection_lost(None)


async def test_another_protocol_is_not_begun(it):
    asked = call("GET", "/name?of=a", headers="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")

    answer = await told(it, asked)

    assert answer.startswith(OK)
    assert bodies(answer) == [b"a"]


@pytest.mark.parametrize("target", ["http://localhost/name?of=a", "/name?of=a#part"])
async def test_targets_may_be_whole_addresses(it, target):
    assert bodies(await told(it, call("GET", target, closes=True))) == [b"a"]


@pytest.mark.parametrize("target", ["*", "localhost:80", "/%00/../\xff"])
async def test_targets_that_are_no_paths_lead_nowhere(it, target):
    head = f"OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await told(it, head.encode("latin-1"))

    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))


async def test_who_goes_away_has_his_call_cancelled_at_once(it):
    _, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("GET", "/late?ms=600000") + call("GET", "/late?ms=600000"))
    await asyncio.wait_for(it.begun.wait(), WAIT_S)
    writer.close()

    async with asyncio.timeout(WAIT_S):
        while not it.cancelled:
            await asyncio.sleep(0.01)
    # The second had not begun, and never does.
    await asyncio.sleep(0.05)
    assert it.cancelled == 1


async def test_a_stream_waits_for_a_slow_client_and_loses_nothing(it):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=2**16)
    writer.write(call("GET", "/rows?count=3000&times=2000", closes=True))
    await asyncio.sleep(0.3)
    sent_meanwhile = it.sent

    answer = await asyncio.wait_for(reader.read(), WAIT_S)

    writer.close()
    assert sent_meanwhile < 3000
    assert answer.count(b"\n") - answer.count(b"\r\n") == 3000 * 2000


async def test_a_client_that_takes_nothing_is_given_up(it, monkeypatch):
    monkeypatch.setattr(bounds, "TAKING_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=2**10)
    writer.write(call("GET", "/large?bytes=50000000"))
    await asyncio.sleep(4)

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(50_000_000), WAIT_S)
    writer.close()


async def test_connections_that_idle_are_closed(it, monkeypatch):
    monkeypatch.setattr(bounds, "IDLE_S", 0.1)

    assert bodies(await told(it, call("GET", "/name?of=a"))) == [b"a"]


async def test_who_is_being_answered_when_the_server_stops_is_answered(it):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    idle, idler = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("GET", "/late?ms=300") + call("GET", "/name?of=second"))
    await asyncio.wait_for(it.begun.wait(), WAIT_S)

    stopped = await it.server.stop(within_s=30)

    assert stopped
    assert bodies(await reader.read()) == [b"late", b"second"]
    assert await idle.read() == b""
    writer.close()
    idler.close()


async def test_what_takes_too_long_when_the_server_stops_is_cut_off(it):
    _, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(call("GET", "/late?ms=600000"))
    await asyncio.wait_for(it.begun.wait(), WAIT_S)

    assert not await it.server.stop(within_s=0.1)

    async with asyncio.timeout(WAIT_S):
        while not it.cancelled:
            await asyncio.sleep(0.01)
    writer.close()
