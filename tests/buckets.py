"""A server of the S3 protocol for tests, on a port of its own, with buckets that are empty at first."""

import logging
from uuid import uuid4

import httpx
import pytest
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def s3_server():
    """The address of a server that lives as long as the session."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server, monkeypatch):
    """The url of a new bucket; its server and keys stand in the environment, as they do for users."""
    environment = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"headrace-{uuid4().hex[:12]}"
    httpx.put(f"{s3_server}/{bucket}", trust_env=False).raise_for_status()
    return f"s3://{bucket}/models"
