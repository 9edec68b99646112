"""Servers that the contract suites talk to. Missing ones are skipped loudly; with CI=true that is a failure."""

import os
import socket
from urllib.parse import urlsplit

import pytest
from stores import emptied, postgres_database

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


@pytest.fixture(scope="session")
def postgres_url():
    """The address of a database of this session's own."""
    with postgres_database() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request, tmp_path):
    """An empty store of each kind."""
    if request.param == "memory":
        return "sqlite://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/headrace.db"
    url = request.getfixturevalue("postgres_url")
    emptied(url)
    return url
