"""Fetches a file from an address that a caller names: from allowed hosts only, and never from inside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from email.message import Message
from urllib.parse import unquote, urlsplit

import httpx

from headrace.domain.address import AddressRules, RefusedAddress, checked_url
from headrace.errors import DeadlineExceeded, TooLarge, Unreadable
from headrace.serving.upload import Upload

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
MOST_REDIRECTS = 3


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of `host` by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Fetcher:
    """Fetches from `hosts`, whose addresses have to be public, and from `private_hosts`, which may be one's own.

    A name is resolved once and its address is checked and pinned, so that it cannot change between the two; each
    redirect is checked like the first address.
    """

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        private_hosts: Sequence[str],
        limit_bytes: int,
        timeout_s: float,
        resolve: Resolve = resolved,
    ) -> None:
        self._hosts = frozenset(host.lower() for host in (*hosts, *private_hosts))
        self._rules = AddressRules(frozenset(host.lower() for host in private_hosts))
        self._limit_bytes = limit_bytes
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, url: str) -> Upload:
        """The file.

        Raises:
            RefusedAddress: the host is not allowed, or its address is private.
            TooLarge: it is over the limit.
            Unreadable: the host did not give it.
            DeadlineExceeded: it did not come in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._followed(url)
        except TimeoutError as late:
            raise DeadlineExceeded(
                f"{url[:200]} did not give the file within {self._timeout_s:g} s.", remedy="Send the file itself."
            ) from late
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            raise Unreadable(
                f"{url[:200]} cannot be fetched: {failure or type(failure).__name__}.", remedy="Send the file itself."
            ) from failure

    async def close(self) -> None:
        """Closes all connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _followed(self, url: str) -> Upload:
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._asked(url)
            try:
                if response.next_request is None:
                    return await self._upload(response, url)
                url = str(httpx.URL(url).join(response.headers["location"]))
            finally:
                await response.aclose()
        raise Unreadable(f"{url[:200]} redirects more than {MOST_REDIRECTS} times.", remedy="Name the file's own URL.")

    async def _asked(self, url: str) -> httpx.Response:
        parts = urlsplit(checked_url(url))
        host = (parts.hostname or "").lower()
        if host not in self._hosts:
            raise RefusedAddress(
                f"Files are not fetched from {host[:200]!r}.", remedy="Allow it in [server] allowed_url_hosts."
            )
        address = await self._address(host, parts.port or (443 if parts.scheme == "https" else 80))
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=self._timeout_s, trust_env=False)
        request = self._client.build_request(
            "GET",
            httpx.URL(url).copy_with(host=address),
            headers={"host": parts.netloc, "user-agent": "headrace/1", "accept-encoding": "identity"},
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(self._timeout_s).as_dict()},
        )
        return await self._client.send(request, stream=True)

    async def _address(self, host: str, port: int) -> str:
        found = await self._resolve(host, port)
        for each in found:
            # One private address among public ones is refused too: it is how rebinding looks.
            self._rules.check(host, each)
        if not found:
            raise RefusedAddress(f"{host} has no address.", remedy="Check its name.")
        return found[0]

    async def _upload(self, response: httpx.Response, url: str) -> Upload:
        if not response.is_success:
            raise Unreadable(f"{url[:200]} answered {response.status_code}.", remedy="Check the address.")
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > self._limit_bytes:
                raise TooLarge(
                    f"{url[:200]} has more than {self._limit_bytes} bytes.", remedy="Send less, or raise [limits]."
                )
        return Upload(bytes(content), _name(response, url), response.headers.get("content-type"))


def _name(response: httpx.Response, url: str) -> str | None:
    message = Message()
    message["content-disposition"] = response.headers.get("content-disposition", "")
    name = message.get_filename() or unquote(urlsplit(url).path)
    return name.replace("\\", "/").rsplit("/", 1)[-1] or None
