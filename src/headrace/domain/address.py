"""Which addresses that a caller names may be called: pure rules against requests that are forged through us (SSRF).

A name is checked where it is resolved, each time, and the connection is pinned to what was checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from headrace.errors import InvalidInput

Address = IPv4Address | IPv6Address

LONGEST_URL = 2048
_WHOLE = "Give a full URL."
NAT64 = IPv6Network("64:ff9b::/96")


class RefusedAddress(InvalidInput):
    """The address is none that anything of ours may be sent to, or fetched from."""

    code = "refused_address"


def checked_url(url: str) -> str:
    """`url`, if its form is one that may be called: http or https, a host, no user and password.

    Raises:
        RefusedAddress: naming what is wrong with it.
    """
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise RefusedAddress(f"The address {url[:100]!r} is too long, or has characters that none has.", remedy=_WHOLE)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedAddress(f"The address {url!r} is no URL: {error}.", remedy=_WHOLE) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise RefusedAddress(f"The address {url!r} is no http or https URL.", remedy=_WHOLE)
    if not _is_host(parts.hostname):
        raise RefusedAddress(
            f"The host {parts.hostname[:100]!r} cannot be looked up.", remedy="Write its name in ASCII (xn--...)."
        )
    if parts.username or parts.password:
        raise RefusedAddress(f"The address of {parts.hostname} holds a password.", remedy="Leave it out.")
    return url


def _is_host(name: str) -> bool:
    """Whether a resolver takes the name: it raises errors of its own kind for labels that are empty or too long."""
    try:
        return name.isascii() and bool(name.encode("idna"))
    except UnicodeError:
        return False


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, also when an IPv6 address wraps an IPv4 one."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        # NAT64 (RFC 6052) leads to the IPv4 address in the last 32 bits.
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Public addresses may be called, and the hosts of one's own network that are allowed by name."""

    allowed_hosts: frozenset[str] = frozenset()

    def check(self, host: str, address: str) -> None:
        """Raises `RefusedAddress` when `host`, which resolved to `address`, must not be called."""
        if host not in self.allowed_hosts and not is_public(ip_address(address.split("%", maxsplit=1)[0])):
            raise RefusedAddress(
                f"The host {host} has the address {address}, which is not public.",
                remedy="Have the host allowed by name if it is yours: allowed_hosts in headrace.toml.",
            )

    def checked(self, url: str) -> str:
        """`url`, as far as can be seen without resolving its name; raises `RefusedAddress`."""
        host = urlsplit(checked_url(url)).hostname or ""
        try:
            address = ip_address(host)
        except ValueError:
            return url
        self.check(host, str(address))
        return url
