"""Deliveries over real connections to receivers that behave well, and to those that do not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from receivers import answering, endless, receiver, silent
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from headrace.domain.address import AddressRules, RefusedAddress, checked_url, is_public
from headrace.domain.webhook import Delivery, DeliveryState, Patience, Receipt, asked_wait_s
from headrace.jobs.posting import RESPONSE_BYTES
from headrace.jobs.webhooks import WebhookSender

OLD, NEW, OTHER = ("whsec_b2xkb2xkb2xkb2xkb2xkb2xk", "whsec_bmV3bmV3bmV3bmV3bmV3bmV3", "whsec_b3RoZXJvdGhlcm90aGVy")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def delivery(url: str) -> Delivery:
    return Delivery(
        id="evt_1",
        url=url,
        type="headrace.job.succeeded",
        subject="job_1",
        sequence=7,
        created_at=NOW,
        data={"job_id": "job_1"},
    )


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def sender(*, allowed: bool = True, timeout_s: float = 5, resolve=loopback) -> AsyncIterator[WebhookSender]:
    hosts = frozenset({"receiver.example"}) if allowed else frozenset()
    made = WebhookSender(secrets=[NEW, OLD], rules=AddressRules(hosts), timeout_s=timeout_s, resolve=resolve)
    try:
        yield made
    finally:
        await made.close()


async def test_an_independent_verifier_accepts_each_secret_during_rotation_and_no_other():
    now = datetime.now(UTC)
    async with receiver(answering("200 OK")) as (url, requests), sender() as webhooks:
        receipt = await webhooks.send(delivery(url), now=now)

    headers, body = requests[0]
    assert receipt.is_success
    for secret in (OLD, NEW):
        assert Verifier(secret).verify(body, headers)["type"] == "headrace.job.succeeded"
    with pytest.raises(WebhookVerificationError):
        Verifier(OTHER).verify(body, headers)


async def test_the_body_is_a_cloud_event_and_the_host_is_the_one_that_was_named():
    async with receiver(answering("204 No Content", body=b"")) as (url, requests), sender() as webhooks:
        await webhooks.send(delivery(url), now=NOW)

    headers, body = requests[0]
    event = json.loads(body)
    assert {
        "specversion": "1.0",
        "id": "evt_1",
        "sequence": "7",
        "time": "2026-01-01T12:00:00Z",
    }.items() <= event.items()
    assert headers["host"].startswith("receiver.example:")
    assert headers["content-type"].startswith("application/cloudevents+json")


async def test_a_name_that_leads_to_a_private_address_is_refused():
    async with receiver(answering("200 OK")) as (url, requests), sender(allowed=False) as webhooks:
        receipt = await webhooks.send(delivery(url), now=NOW)

    assert receipt.status is None
    assert "127.0.0.1, which is not public" in receipt.detail
    assert requests == []


async def test_a_name_with_one_private_address_among_public_ones_is_refused():
    async def rebinding(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    async with sender(allowed=False, resolve=rebinding) as webhooks:
        receipt = await webhooks.send(delivery("http://receiver.example/hook"), now=NOW)

    assert "10.0.0.1" in receipt.detail


async def test_a_redirect_is_not_followed():
    async with receiver(answering("302 Found", "location: http://127.0.0.1:1/")) as (url, requests):
        async with sender() as webhooks:
            receipt = await webhooks.send(delivery(url), now=NOW)

    assert (receipt.status, receipt.is_success, len(requests)) == (302, False, 1)


async def test_an_answer_of_ten_gigabytes_is_read_for_a_moment_only():
    async with receiver(endless) as (url, _), sender() as webhooks:
        receipt = await webhooks.send(delivery(url), now=NOW)

    assert receipt.status == 200
    assert len(receipt.detail) == RESPONSE_BYTES


async def test_a_receiver_that_hangs_is_left_and_delays_nobody():
    async with receiver(silent) as (slow, _), receiver(answering("200 OK")) as (quick, _):
        async with sender(timeout_s=3) as webhooks:
            hanging = asyncio.create_task(webhooks.send(delivery(slow), now=NOW))
            receipt = await webhooks.send(delivery(quick), now=NOW)
            was_waiting = not hanging.done()
            left = await hanging

    assert receipt.is_success
    assert was_waiting
    assert left == Receipt(None, "No answer within 3 s.")


def test_a_failed_delivery_is_tried_again_with_growing_waits_until_the_patience_ends():
    patience = Patience()
    failing, waits, now = delivery("http://receiver.example/hook"), [], NOW
    while failing.state is DeliveryState.WAITING:
        failing = failing.after(Receipt(500, "broken"), now=now, patience=patience, jitter=0.5)
        if failing.due_at is not None:
            waits.append((failing.due_at - now).total_seconds())
            now = failing.due_at

    assert waits == sorted(waits)
    assert failing.state is DeliveryState.GIVEN_UP
    assert timedelta(days=2.5) < now - NOW <= timedelta(days=3)


def test_the_receivers_wish_to_wait_is_honoured():
    asked = delivery("u").after(Receipt(503, "", retry_after="3600"), now=NOW, patience=Patience(), jitter=0)

    assert asked.due_at == NOW + timedelta(hours=1)


def test_a_receiver_that_is_gone_is_disabled_and_can_be_sent_to_again():
    gone = delivery("u").after(Receipt(410, "gone"), now=NOW, patience=Patience(), jitter=0)

    assert (gone.state, gone.due_at) == (DeliveryState.DISABLED, None)
    assert gone.resent(now=NOW).state is DeliveryState.WAITING


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, 0),
        ("120", 120),
        ("Thu, 01 Jan 2026 12:02:00 GMT", 120),
        ("-5", 0),
        ("nan", 0),
        ("soon", 0),
        ("9" * 30, 86400),
    ],
)
def test_retry_after_is_a_number_a_date_or_nothing(header: str | None, wait_s: float):
    assert asked_wait_s(header, now=NOW) == wait_s


FORMLESS = ["http://" + "a" * 64 + ".example/", "http://a..b/", "http://.example/", "http://ä.example/"]


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a/", "//a/b", "http://", "http://u:p@a/", "http://a:99999/", "http://[::1", "x"),
        *("http://a b/", "http://a/\r\nx: y", "http://a/\0", "http://a/" + "b" * 2048, *FORMLESS),
    ],
)
def test_an_address_of_another_form_is_refused(url: str):
    with pytest.raises(RefusedAddress):
        checked_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_an_address_that_is_not_public_is_known(address: str):
    assert not is_public(ip_address(address))


def test_a_public_address_is_known():
    assert is_public(ip_address("93.184.216.34"))
    assert is_public(ip_address("2606:2800:220:1:248:1893:25c8:1946"))


@pytest.mark.parametrize("url", ["http://a.example:8080/b?c=d", "https://[2001:db8::1]/", "http://xn--4ca.example/ä"])
def test_an_address_of_a_right_form_is_taken(url: str):
    assert checked_url(url) == url


@pytest.mark.parametrize("url", FORMLESS)
async def test_a_delivery_to_a_name_that_no_resolver_takes_fails_like_any_other(url: str):
    async def raising(host: str, port: int) -> list[str]:
        raise UnicodeError("label empty or too long")

    async with sender(resolve=raising) as webhooks:
        receipts = [await webhooks.send(delivery(each), now=NOW) for each in (url, "http://receiver.example/hook")]

    assert [each.is_success for each in receipts] == [False, False]
