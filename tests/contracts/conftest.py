"""The servers and stores that the contract suites run against."""

import pytest
from buckets import s3_server, s3_url
from servers import server_url
from stores import emptied, postgres_database

__all__ = ["s3_server", "s3_url", "server_url"]


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
