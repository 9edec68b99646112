"""What every store of decisions promises: memory, SQLite, Postgres."""

import os
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import pytest
from msgspec.structs import replace
from stores import emptied

from headrace import Columns
from headrace.domain.columns import written
from headrace.domain.decision import Account, Decision, DegradedStep, Step
from headrace.domain.stores import Forgotten
from headrace.storage.decisions import SqlDecisions
from headrace.storage.memory import MemoryDecisions
from headrace.storage.schema import opened_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryDecisions()
        return
    url = f"sqlite:///{tmp_path}/headrace.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        emptied(url)
    store = SqlDecisions(opened_database(url))
    yield store
    store.close()


def decision(number, **changes: object):
    made = Decision(
        id=f"dec_{number:04}",
        created_at=NOON + timedelta(minutes=number),
        endpoint="mill/run",
        release="sha256:r",
        variant="champion",
        input_digest="sha256:i",
        body=b'{"decision_id":"dec","degraded":[],"output":1,"timings_ms":{}}',
        duration_ms=1.5,
        steps=(Step("stone", "grind", 0.5, 1.0, 3, "sha256:m", True),),
        degraded=(DegradedStep("stone", "deadline", "hand"),),
        text="naïve \ud800 text",
        explanation=b'{"why":1}',
        confidence=0.75,
        request_id="request",
        trace_id="trace",
        answer_digest="sha256:a",
        input=b"question",
        input_blob="sha256:b",
    )
    return replace(made, **changes)


def test_what_is_added_is_found_as_it_was(store):
    store.add([decision(1), decision(2, text=None, explanation=None, input=None, input_blob=None, confidence=None)])

    assert store.find("dec_0001") == decision(1)
    assert store.find("dec_0002").text is None
    assert store.find("dec_0003") is None


def test_an_explanation_that_was_kept_in_columns_is_found_as_json(store):
    kept = written({"label": "rye", "evidence": Columns({"text": ["ground"], "weight": [0.5]})})

    store.add([decision(1, explanation=kept), decision(2, explanation=b"")])

    assert store.find("dec_0001").explanation == b'{"label":"rye","evidence":[{"text":"ground","weight":0.5}]}'
    assert store.find("dec_0002").explanation == b""


def test_what_is_there_already_is_left_as_it_is(store):
    store.add([decision(1)])
    store.add([decision(1, variant="other"), decision(2)])

    assert store.find("dec_0001").variant == "champion"
    assert store.find("dec_0002") is not None


def test_one_that_is_not_complete_gives_way_to_one_that_is(store):
    store.add([decision(1, explanation=None, answer_digest="")])
    store.add([decision(1)])
    store.add([decision(1, variant="other")])

    assert store.find("dec_0001") == decision(1)


def test_of_many_at_once_each_is_kept_and_of_those_with_one_id_the_first_that_is_complete(store):
    many = [decision(number, confidence=None if number % 2 else 0.5) for number in range(100)]
    others = [decision(number, variant="other") for number in (7, 8)]

    store.add([decision(7, explanation=None, answer_digest=""), *many, *others])

    assert [store.find(each.id) for each in many] == many


def test_a_listing_goes_back_in_time_page_by_page_without_the_heavy_parts(store):
    store.add([decision(number) for number in range(5)])

    first = store.listed(cursor=None, limit=2)
    second = store.listed(cursor=first.next, limit=2)
    last = store.listed(cursor=second.next, limit=2)

    pages = [[each.id for each in page.items] for page in (first, second, last)]
    assert pages == [["dec_0004", "dec_0003"], ["dec_0002", "dec_0001"], ["dec_0000"]]
    assert last.next is None
    assert (first.items[0].text, first.items[0].explanation, first.items[0].input) == (None, None, None)
    assert first.items[0].body == decision(4).body


def test_an_account_adds_up_and_tells_what_is_missing(store):
    process = token_hex(4)
    assert store.account(process) == Account(process)
    before = store.missing()

    store.add([decision(1), decision(2)], settles=Account(process, through=3, stored=2, refused=1))
    assert store.account(process).missing == 0
    store.add([decision(3)], settles=Account(process, through=6, stored=1))

    assert store.account(process) == Account(process, through=6, stored=3, refused=1)
    assert store.missing() - before == 2


def test_what_is_too_old_is_forgotten(store):
    store.add([decision(number) for number in range(4)])

    forgotten = store.forget(before=NOON + timedelta(minutes=2), keep=100)

    assert forgotten.count == 2
    assert [each.id for each in store.listed(cursor=None, limit=9).items] == ["dec_0003", "dec_0002"]


def test_all_but_the_newest_are_forgotten(store):
    store.add([decision(number) for number in range(4)])

    assert store.forget(before=NOON, keep=3).count == 1
    assert store.forget(before=NOON, keep=3) == Forgotten(0)
    assert store.forget(before=NOON, keep=0).count == 3


def test_the_oldest_are_forgotten_until_the_rest_is_small_enough(store):
    noise = [os.urandom(10_000) for _ in range(4)]
    store.add([decision(number, explanation=noise[number]) for number in range(4)])

    forgotten = store.forget(before=NOON, keep=100, keep_bytes=25_000)

    assert forgotten.count == 2
    assert [each.id for each in store.listed(cursor=None, limit=9).items] == ["dec_0003", "dec_0002"]


def test_inputs_that_no_decision_names_any_more_are_given_back(store):
    store.add(
        [
            decision(0, input_blob="sha256:gone"),
            decision(1, input_blob="sha256:shared"),
            decision(2, input_blob=None),
            decision(3, input_blob="sha256:shared"),
        ]
    )

    assert store.forget(before=NOON, keep=1).blobs == ("sha256:gone",)
    assert store.forget(before=NOON, keep=0).blobs == ("sha256:shared",)


def test_closing_twice_is_safe(store):
    store.close()
    store.close()
