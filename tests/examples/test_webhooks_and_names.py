"""The how-tos on webhooks and on names for calls are true: their code runs, their commands exist, their codes come."""

import re
import tomllib
from pathlib import Path

import pytest
from receivers import answering, receiver
from served import served
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.domain.address import AddressRules
from headrace.domain.webhook import EVENTS
from headrace.jobs.deliveries import Deliverer
from headrace.jobs.webhooks import WebhookSender
from headrace.settings import Settings, checked

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
HOOKS, ONCE = (DOCS / name for name in ("receive-webhooks.md", "send-a-document-once.md"))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


async def loopback(host, port):
    return ["127.0.0.1"]


@pytest.mark.parametrize("page", [HOOKS, ONCE])
def test_the_commands_on_the_page_are_commands(page):
    lines = [line for block in blocks(page, "bash") for line in block.splitlines() if line.startswith("headrace")]

    for line in lines:
        words = line.split()
        assert CliRunner().invoke(app, [*words[1:3], "--help"]).exit_code == 0, line
    for name in set(re.findall(r"headrace\.(?:job|batch)\.\w+", page.read_text(encoding="utf-8"))):
        assert name in EVENTS


def test_the_settings_on_the_page_are_settings():
    (block,) = blocks(HOOKS, "toml")

    settings = checked(tomllib.loads(block), Settings, at="")

    assert settings.webhooks.allowed_hosts == ("hooks.internal",)


async def test_the_receiver_of_the_page_verifies_what_is_sent_and_passes_repetitions_over(tmp_path):
    (code,) = blocks(HOOKS, "python")
    page = {}
    exec(compile(code, "page", "exec"), page)
    overrides = {"webhooks.allowed_hosts": ["receiver.example"]}
    async with served(tmp_path, overrides=overrides) as mill, receiver(answering("200 OK")) as (url, requests):
        hook = (await mill.client.post("/v1/webhooks", json={"url": url})).json()
        job = (await later(mill.client, "wheat")).json()
        await mill.client.delete(f"/v1/jobs/{job['id']}")
        rules = mill.running.settings.webhooks.allowed_hosts
        await delivered(mill.running.jobs.webhooks, frozenset(rules))

    (headers, body), = requests  # fmt: skip
    seen = set()
    assert page["received"](headers, body, hook["secret"], seen) == job["id"]
    assert page["received"](headers, body, hook["secret"], seen) is None


async def delivered(store, hosts):
    sender = WebhookSender(secrets=[], rules=AddressRules(hosts), resolve=loopback)
    deliverer = Deliverer(store, sender, secrets=[], jitter=lambda: 0.5)
    await deliverer.deliver_due()
    await deliverer.idle()
    await sender.close()


async def later(client, corn, name=None):
    headers = {"Prefer": "respond-async"} | ({"Idempotency-Key": name} if name else {})
    return await client.post("/v1/mill/grind", json={"corn": corn}, headers=headers)


async def test_the_codes_of_the_page_are_given(tmp_path):
    text = ONCE.read_text(encoding="utf-8")
    async with served(tmp_path) as mill:
        first = await later(mill.client, "wheat", "order-7")
        again = await later(mill.client, "wheat", "order-7")
        other = await later(mill.client, "rye", "order-7")
        now = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"Idempotency-Key": "order-7"})

    assert first.json()["id"] == again.json()["id"]
    assert f"`{other.status_code} {other.json()['code']}`" in text
    assert f"`{now.status_code} {now.json()['code']}`" in text
