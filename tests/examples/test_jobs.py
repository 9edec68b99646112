"""The how-tos of jobs: their settings, commands and names are what they say."""

import re
import tomllib
from pathlib import Path
from uuid import uuid4

import aio_pika
import msgspec
import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from headrace.assembly.jobs import broker_of
from headrace.assembly.roles import checked_roles
from headrace.cli.main import app
from headrace.jobs.broker import Broker, Ticket
from headrace.settings import Settings, checked

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
DEPLOY = Path(__file__).parents[2] / "deploy"
PAGES = ["jobs-over-redis.md", "jobs-over-rabbitmq.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def settings_of(page: str) -> Settings:
    (block,) = blocks(page, "toml")
    settings: Settings = checked(tomllib.loads(block), Settings, at="")
    return settings


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_on_the_page_are_settings(page):
    settings = settings_of(page)

    assert settings.store.url.startswith("postgresql://")
    assert settings.broker.url.partition("://")[0] in {"redis", "amqp"}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_on_the_page_are_commands(page):
    commands = [line.partition("#")[0].split() for block in blocks(page, "bash") for line in block.splitlines()]
    ours = [words for words in commands if words[:1] == ["headrace"]]

    assert len(ours) == 2
    for words in ours:
        assert CliRunner().invoke(app, [words[1], "--help"]).exit_code == 0
        assert checked_roles(words[words.index("--only") + 1].split(","))


async def test_tickets_lie_in_redis_under_the_names_on_the_page(server_url):
    url, prefix = server_url("redis"), f"headrace-test-{uuid4().hex[:8]}"
    broker = opened("jobs-over-redis.md", url, prefix)
    names = re.findall(r"`<prefix>(:[a-z:]+)`", (DOCS / "jobs-over-redis.md").read_text(encoding="utf-8"))
    await broker.open()
    await broker.publish([Ticket("job_1", "interactive"), Ticket("job_2", "batch")])

    async with Redis.from_url(url) as redis:
        lengths = [await redis.xlen(f"{prefix}{name}") for name in names]
        for name in names:
            await redis.delete(f"{prefix}{name}")
    await broker.close()

    assert lengths == [1, 1]


async def test_tickets_lie_in_rabbitmq_under_the_names_on_the_page(server_url):
    url, prefix = server_url("rabbitmq"), f"headrace-test-{uuid4().hex[:8]}"
    broker = opened("jobs-over-rabbitmq.md", url, prefix)
    names = re.findall(r"`<prefix>(\.[a-z.]+)`", (DOCS / "jobs-over-rabbitmq.md").read_text(encoding="utf-8"))
    await broker.open()

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        found = [(await channel.declare_queue(f"{prefix}{name}", passive=True)).name for name in names]
        for name in names:
            await channel.queue_delete(f"{prefix}{name}")
        await channel.exchange_delete(f"{prefix}.dead")
    await broker.close()

    assert found == [f"{prefix}{name}" for name in (".tickets.interactive", ".tickets.batch", ".dead")]


def opened(page: str, url: str, prefix: str) -> Broker:
    """The broker of a page's settings, at the test's own server; the store is not asked."""
    settings = settings_of(page)
    own = msgspec.structs.replace(settings.broker, url=url, prefix=prefix)
    return broker_of(msgspec.structs.replace(settings, broker=own), None)


def test_what_scales_workers_asks_for_a_metric_that_is_told():
    query = (DEPLOY / "keda.yaml").read_text(encoding="utf-8")
    metrics = (Path(__file__).parents[2] / "src/headrace/telemetry/metrics.py").read_text(encoding="utf-8")

    for name in set(re.findall(r"headrace_\w+", query)):
        assert f'"{name}"' in metrics
