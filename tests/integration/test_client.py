"""The door for callers from afar, sync and async, against a real server."""

import asyncio
from time import monotonic

import pytest
from raised import raised
from served import Background, served

from headrace.client import AsyncClient, Client, Wishes
from headrace.errors import Conflict, InvalidInput, Malformed, NotFound, Overloaded, ServiceFailed


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with Background(tmp_path_factory.mktemp("client")) as it:
        yield it


@pytest.fixture
def client(url):
    with Client(url) as it:
        yield it


def test_plain_code_asks_and_looks_up_what_was_answered(client):
    answer = client.ask_json("mill/grind", {"corn": "rye"}, wishes=Wishes(request_id="order-7", timeout_s=30))

    record = client.decision(answer.decision_id)
    assert answer.fields["output"] == "rye"
    assert (record["endpoint"], record["request_id"]) == ("mill/grind", "order-7")


def test_a_document_may_be_bytes_a_path_or_a_text(client, tmp_path):
    file = tmp_path / "Brief über x.txt"
    file.write_bytes(b"abc")

    of_bytes = client.ask("mill/measure", b"\x00\xff", filename="a.bin").fields["output"]
    of_path = client.ask("mill/measure", file).fields["output"]
    of_text = client.ask("mill/measure", "grüße").fields["output"]

    assert (of_bytes["size"], of_bytes["filename"]) == (2, "a.bin")
    assert (of_path["size"], of_path["filename"]) == (3, "Brief über x.txt")
    assert of_text["size"] == 7


def test_lists_are_read_page_by_page(client):
    asked = {client.ask_json("mill/grind", {"corn": str(number)}).decision_id for number in range(5)}

    listed = []
    deadline = monotonic() + 60
    while not asked <= set(listed) and monotonic() < deadline:
        # Answers are stored shortly after they are given.
        listed = [each["decision_id"] for each in client.pages("/v1/decisions", limit="2")]

    assert asked <= set(listed)
    assert len(set(listed)) == len(listed)


def test_errors_are_those_that_the_server_had(client):
    with pytest.raises(NotFound):
        client.decision("dec_1")
    with pytest.raises(Malformed):
        client.ask_json("mill/grind", {"corn": 1})
    with pytest.raises(ServiceFailed):
        client.ask_json("mill/stumble", {"corn": "x"})


def test_a_server_that_is_not_there_is_named_with_the_remedy():
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceFailed, match="headrace up"):
        client.get("/livez")


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InvalidInput):
        Client("http://127.0.0.1:port")


def test_closing_twice_is_harmless(url):
    client = Client(url)

    client.close()
    client.close()


async def test_async_code_asks_many_things_at_once(tmp_path):
    async with served(tmp_path) as mill, AsyncClient(mill.url) as client:
        words = [f"word {number}" for number in range(20)]
        answers = await asyncio.gather(*(client.ask_json("mill/grind", {"corn": word}) for word in words))

    assert [answer.fields["output"] for answer in answers] == words


async def test_what_is_refused_for_lack_of_room_is_asked_again(tmp_path):
    async with served(tmp_path, overrides={"limits.inflight": 1}) as mill:
        async with AsyncClient(mill.url, tries=1) as hasty, AsyncClient(mill.url) as patient:
            asked = [patient.ask_json("mill/linger", {"seconds": 0.3}) for _ in range(2)]
            answers = await asyncio.gather(*asked)
            hurried = [hasty.ask_json("mill/linger", {"seconds": 0.5}) for _ in range(8)]
            outcomes = await asyncio.gather(*hurried, return_exceptions=True)

    assert len(answers) == 2
    assert any(isinstance(each, Overloaded) for each in outcomes)


def test_a_job_is_submitted_followed_and_its_answer_fetched(tmp_path):
    with raised(tmp_path) as server, Client(server.url) as client:
        job = client.submit("mill/measure", b"abc", filename="a.txt")
        seen = [each["event"] for each in client.events(job.id)]
        answer = client.result(job.id)
        after = client.job(job.id)

        assert seen
        assert answer.fields["output"]["size"] == 3
        assert (after.state, after.is_over) == ("succeeded", True)
        with pytest.raises(Conflict):
            client.retry(job.id)
