"""Servers that tests talk to. Missing ones are skipped loudly; with CI=true that is a failure."""

import os
import socket
from urllib.parse import urlsplit

import pytest

ADDRESSES = {
    "redis": "redis://127.0.0.1:6379/9",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672/",
}


@pytest.fixture
def server_url():
    """The address of a real server by name."""

    def url(name: str) -> str:
        address = ADDRESSES[name]
        parts = urlsplit(address)
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=2).close()
        except OSError:
            reason = f"No {name} server answers at its default port: what needs it was NOT tested."
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return address

    return url
