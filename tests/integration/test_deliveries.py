"""The loop that delivers webhooks, with a real store and real receivers."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from receivers import answering, receiver, silent
from standardwebhooks import Webhook as Verifier

from headrace.domain.address import AddressRules
from headrace.domain.webhook import DeliveryState, Webhook, WebhookState, new_secret
from headrace.jobs.deliveries import Bounds, Deliverer
from headrace.jobs.webhooks import WebhookSender
from headrace.storage.schema import opened_database
from headrace.storage.webhooks import SqlWebhooks

EVENT = "headrace.job.succeeded"
HOST = "receiver.example"


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def store(tmp_path):
    database = opened_database(f"sqlite:///{tmp_path}/hooks.db")
    yield SqlWebhooks(database)
    database.close()


@asynccontextmanager
async def delivering(store, *, bounds=None, now=lambda: datetime.now(UTC), timeout_s=5.0, told=None):
    rules = AddressRules(frozenset({HOST, "slow.example"}))
    sender = WebhookSender(secrets=[], rules=rules, timeout_s=timeout_s, resolve=loopback)
    outcomes = [] if told is None else told
    yield Deliverer(
        store,
        sender,
        secrets=[new_secret()],
        jitter=lambda: 0.5,
        bounds=bounds,
        now=now,
        on_outcome=lambda *outcome: outcomes.append(outcome),
    )
    await sender.close()


async def hooked(store, url):
    webhook = Webhook("whk_1", url, datetime.now(UTC), secrets=(new_secret(),))
    await store.add(webhook)
    return webhook


async def announced(store, *, count=1):
    for number in range(count):
        await store.announce(EVENT, subject=f"job_{number}", data=b'{"id":"job"}', now=datetime.now(UTC))


async def test_an_event_is_delivered_once_signed_by_the_secret_of_its_webhook(store):
    async with receiver(answering("200 OK")) as (url, requests), delivering(store) as deliverer:
        webhook = await hooked(store, url)
        await announced(store)

        await deliverer.deliver_due()
        await deliverer.idle()
        await deliverer.deliver_due()
        await deliverer.idle()

    ((headers, body),) = requests
    assert Verifier(webhook.secrets[0]).verify(body, headers)["type"] == EVENT
    (kept,) = await store.deliveries(webhook_id="whk_1", state=None, cursor=None, limit=10)
    assert (kept.state, kept.tries, kept.last.status) == (DeliveryState.DELIVERED, 1, 200)


async def test_a_receiver_that_fails_is_told_again_later_under_the_same_id(store):
    moment = [datetime.now(UTC) + timedelta(seconds=1)]
    async with (
        receiver(answering("503 Busy", "retry-after: 120")) as (url, requests),
        delivering(store, now=lambda: moment[0]) as deliverer,
    ):
        await hooked(store, url)
        await announced(store)
        await deliverer.deliver_due()
        await deliverer.idle()
        moment[0] += timedelta(seconds=60)
        assert await deliverer.deliver_due() == 0, "Retry-After is honoured"
        moment[0] += timedelta(seconds=61)
        assert await deliverer.deliver_due() == 1
        await deliverer.idle()

    assert [headers["webhook-id"] for headers, _ in requests] == [requests[0][0]["webhook-id"]] * 2
    assert requests[0][1] == requests[1][1], "the signature covers the same bytes"


async def test_gone_disables_the_webhook_and_nothing_more_is_sent(store):
    async with receiver(answering("410 Gone")) as (url, requests), delivering(store) as deliverer:
        await hooked(store, url)
        await announced(store, count=1)
        await deliverer.deliver_due()
        await deliverer.idle()
        await announced(store, count=3)
        await deliverer.deliver_due()
        await deliverer.idle()

    assert len(requests) == 1
    assert [each.state for each in await store.listed()] == [WebhookState.DISABLED]


async def test_a_receiver_that_is_slow_delays_no_other(store):
    async with (
        receiver(silent) as (slow, _),
        receiver(answering("200 OK")) as (url, requests),
        delivering(store, bounds=Bounds(at_once=8, a_host=2), timeout_s=20) as deliverer,
    ):
        await store.add(Webhook("whk_slow", slow.replace(HOST, "slow.example"), datetime.now(UTC)))
        await announced(store, count=20)
        await hooked(store, url)
        await announced(store, count=2)
        loop = asyncio.create_task(deliverer.run())
        async with asyncio.timeout(15):
            while len(requests) < 2:
                await asyncio.sleep(0.02)
        loop.cancel()
        for task in deliverer._sending:
            task.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    assert sorted(json.loads(body)["subject"] for _, body in requests) == ["job_0", "job_1"]


async def test_a_delivery_that_a_dying_process_had_taken_is_due_again(store):
    moment = datetime.now(UTC) + timedelta(seconds=1)
    await hooked(store, f"http://{HOST}:1/hook")
    await announced(store)

    taken = await store.due(now=moment, limit=10, hold_s=30)
    at_once = await store.due(now=moment, limit=10, hold_s=30)
    later = await store.due(now=moment + timedelta(seconds=31), limit=10, hold_s=30)

    assert (len(taken), len(at_once), len(later)) == (1, 0, 1)
    assert taken[0].id == later[0].id
