"""Files by URL: from allowed hosts only, and never from inside."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from headrace.domain.address import RefusedAddress
from headrace.errors import DeadlineExceeded, TooLarge, Unreadable, UnsupportedType
from headrace.gateway.fetching import Fetcher
from headrace.gateway.uploads import fetch_nothing


@asynccontextmanager
async def host(answer):
    """A host that gives `answer` to every call."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answer(body=b"content", *, status="200 OK", headers=""):
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


PLACES = {"inside.example": ["127.0.0.1"], "mixed.example": ["93.184.216.34", "10.0.0.1"]}


def fetcher(**wishes: object) -> Fetcher:
    async def resolve(name, _port):
        return PLACES.get(name, ["127.0.0.1"])

    usual = {"hosts": [], "private_hosts": ["files.example"], "limit_bytes": 1000, "timeout_s": 20.0}
    return Fetcher(**usual | wishes, resolve=resolve)


async def test_a_file_of_an_allowed_host_comes_with_its_name_and_type():
    headers = 'Content-Type: text/plain\r\nContent-Disposition: attachment; filename="a b.txt"\r\n'
    async with host(answer(headers=headers)) as port:
        upload = await fetcher()(f"http://files.example:{port}/x/y")

    assert (upload.content, upload.filename, upload.media_type) == (b"content", "a b.txt", "text/plain")


async def test_a_file_without_a_name_has_that_of_its_address():
    async with host(answer()) as port:
        upload = await fetcher()(f"http://files.example:{port}/in/a%20b.pdf?x=1")

    assert upload.filename == "a b.pdf"


@pytest.mark.parametrize(
    ("url", "wishes"),
    [
        ("http://other.example/", {}),
        ("http://inside.example/", {"hosts": ["inside.example"]}),
        ("http://mixed.example/", {"hosts": ["mixed.example"]}),
        ("ftp://files.example/", {}),
        ("http://a:b@files.example/", {}),
        ("file:///etc/passwd", {}),
        ("http://127.0.0.1/", {"hosts": ["127.0.0.1"]}),
        ("http://[::1]/", {"hosts": ["::1"]}),
    ],
)
async def test_what_is_not_allowed_or_not_public_is_refused(url, wishes):
    with pytest.raises(RefusedAddress):
        await fetcher(**wishes)(url)


async def test_a_redirect_is_checked_like_the_first_address():
    async with host(answer(status="302 Found", headers="Location: http://inside.example/\r\n")) as port:
        with pytest.raises(RefusedAddress):
            await fetcher()(f"http://files.example:{port}/")


async def test_a_redirect_in_a_circle_ends():
    async with host(answer(status="302 Found", headers="Location: /again\r\n")) as port:
        with pytest.raises(Unreadable, match="redirects"):
            await fetcher()(f"http://files.example:{port}/")


async def test_a_file_over_the_limit_is_not_read_to_its_end():
    async with host(answer(b"x" * 5000)) as port:
        with pytest.raises(TooLarge):
            await fetcher()(f"http://files.example:{port}/")


async def test_a_host_that_refuses_is_told_by_its_status():
    async with host(answer(status="404 Not Found")) as port:
        with pytest.raises(Unreadable, match="404"):
            await fetcher()(f"http://files.example:{port}/")


async def test_a_host_that_is_not_there_is_told():
    with pytest.raises(Unreadable):
        await fetcher()("http://files.example:9/")


async def test_a_host_that_lingers_is_not_waited_for():
    async with host(b"") as port:
        with pytest.raises((DeadlineExceeded, Unreadable)):
            await fetcher(timeout_s=0.2)(f"http://files.example:{port}/")


async def test_nothing_is_fetched_where_no_host_is_allowed():
    with pytest.raises(UnsupportedType, match="fetches nothing"):
        await fetch_nothing("http://files.example/")
