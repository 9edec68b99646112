"""The HTTP face by a real server and a real client: forms, headers, records, problems, draining."""

import asyncio
import re

import pytest
from served import served


@pytest.fixture
async def mill(tmp_path):
    async with served(tmp_path) as it:
        yield it


async def test_an_answer_names_its_decision_release_and_times(mill):
    response = await mill.client.post("/v1/mill/grind", json={"corn": "wheat"})

    body = response.json()
    assert response.status_code == 200
    assert body["output"] == "wheat"
    assert response.headers["x-headrace-decision"] == body["decision_id"]
    assert response.headers["x-headrace-release"] == body["release"]
    assert re.fullmatch(r"echo;dur=[\d.]+, total;dur=[\d.]+", response.headers["server-timing"])


async def test_ids_of_the_caller_are_carried_into_the_record_and_back(mill):
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "order-7", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    response = await mill.client.post("/v1/mill/grind", json={"corn": "rye"}, headers=headers)
    record = (await mill.client.get(f"/v1/decisions/{response.headers['x-headrace-decision']}")).json()

    assert response.headers["x-request-id"] == "order-7"
    assert response.headers["traceparent"].startswith(f"00-{trace}-")
    assert (record["request_id"], record["trace_id"]) == ("order-7", trace)


@pytest.mark.parametrize("given", ["", "a b", "x" * 200])
async def test_a_request_id_that_is_none_is_replaced(mill, given):
    response = await mill.client.post("/v1/mill/grind", json={"corn": "rye"}, headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_a_file_may_come_in_a_form(mill):
    response = await mill.client.post(
        "/v1/mill/measure", files={"file": ("Brief für Anna.pdf", b"%PDF", "application/pdf")}, data={"other": "x"}
    )

    assert response.json()["output"] == {"size": 4, "filename": "Brief für Anna.pdf", "media_type": "application/pdf"}


async def test_a_file_may_be_the_body(mill):
    headers = {"Content-Type": "image/png", "Content-Disposition": "attachment; filename*=UTF-8''a%20%C3%A9.png"}

    response = await mill.client.post("/v1/mill/measure", content=b"\x89PNG", headers=headers)

    assert response.json()["output"] == {"size": 4, "filename": "a é.png", "media_type": "image/png"}


async def test_a_file_may_come_in_chunks_of_unknown_length(mill):
    async def chunks():
        for _ in range(3):
            yield b"abc"

    response = await mill.client.post("/v1/mill/measure", content=chunks())

    assert response.json()["output"]["size"] == 9


async def test_a_text_may_come_in_json(mill):
    response = await mill.client.post("/v1/mill/measure", json={"text": "grüße"})

    assert response.json()["output"] == {"size": 7, "filename": None, "media_type": "text/plain; charset=utf-8"}


@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [
        ({"content": b""}, "malformed", 400),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, "malformed", 400),
        ({"json": {"text": "a", "url": "http://a"}}, "malformed", 400),
        ({"json": {"txt": "a"}}, "malformed", 400),
        ({"json": {"url": "http://127.0.0.1/"}}, "unsupported_type", 415),
        ({"files": {"other": b"x"}}, "malformed", 400),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "malformed", 400),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "malformed", 400),
        ({"content": b"x", "headers": {"X-Request-Timeout-Ms": "soon"}}, "malformed", 400),
        ({"content": b"x", "headers": {"X-Request-Timeout-Ms": "0"}}, "malformed", 400),
        ({"content": b"x", "headers": {"X-Headrace-Priority": "vip"}}, "malformed", 400),
    ],
)
async def test_what_makes_no_sense_is_a_problem_that_says_so(mill, request_, code, status):
    response = await mill.client.post("/v1/mill/measure", **request_)

    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"/docs/problems/{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["detail"]
    assert problem["retryable"] is False


async def test_a_file_that_is_refused_is_named(mill):
    named = await mill.client.post("/v1/mill/measure", files={"file": ("Brief 7.pdf", b"000", "application/pdf")})
    unnamed = await mill.client.post("/v1/mill/measure", json={"text": "000"})

    assert (named.status_code, named.json()["filename"]) == (422, "Brief 7.pdf")
    assert named.json()["detail"] == "It holds nothing. Send another."
    assert "filename" not in unnamed.json()


async def test_a_body_over_the_limit_is_refused_by_its_header_alone(tmp_path):
    async with served(tmp_path, overrides={"limits.upload": "1 KiB"}) as mill:
        reader, writer = await asyncio.open_connection("127.0.0.1", mill.client.base_url.port)
        writer.write(b"POST /v1/mill/measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n")
        answer = await asyncio.wait_for(reader.readline(), 30)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_over_the_limit_that_does_not_say_so_is_cut_off(tmp_path):
    async def chunks():
        for _ in range(200):
            yield b"x" * 1024

    async with served(tmp_path, overrides={"limits.upload": "1 KiB"}) as mill:
        response = await mill.client.post("/v1/mill/measure", content=chunks())

    assert (response.status_code, response.json()["code"]) == (413, "too_large")


async def test_a_service_that_raises_is_told_without_its_secrets(mill):
    response = await mill.client.post("/v1/mill/stumble", json={"corn": "word"})

    assert (response.status_code, response.json()["code"]) == (500, "service_failed")
    assert "secret" not in response.text
    assert [event for event, _ in mill.told if event == "request_failed"]


async def test_a_pipeline_that_raises_is_told_without_its_secrets(mill):
    response = await mill.client.post("/v1/mill/trip", json={"corn": "word"})

    assert response.status_code == 500
    assert "secret" not in response.text
    assert mill.told[-1][1]["request_id"] == response.headers["x-request-id"]


async def test_a_budget_that_is_spent_is_a_problem_of_its_own(mill):
    response = await mill.client.post("/v1/mill/linger", json={"seconds": 0.2}, headers={"X-Request-Timeout-Ms": "1"})

    assert (response.status_code, response.json()["retryable"]) == (504, True)


async def test_more_than_is_taken_on_is_turned_away_with_a_time_to_come_back(tmp_path):
    async with served(tmp_path, overrides={"limits.inflight": 1}) as mill:
        calls = [mill.client.post("/v1/mill/linger", json={"seconds": 0.5}) for _ in range(4)]
        responses = await asyncio.gather(*calls)

    refused = [each for each in responses if each.status_code == 503]
    assert [each.status_code for each in responses].count(200) >= 1
    assert refused
    assert all(int(each.headers["retry-after"]) >= 1 and each.json()["code"] == "overloaded" for each in refused)


async def test_a_path_that_nobody_knows_and_a_method_that_it_does_not_answer(mill):
    nowhere = await mill.client.get("/v1/nowhere")
    wrong = await mill.client.get("/v1/mill/grind")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


async def test_probes_and_metrics(mill):
    await mill.client.post("/v1/mill/grind", json={"corn": "wheat"})

    live, ready, started = [await mill.client.get(path) for path in ("/livez", "/readyz", "/startupz")]
    metrics = (await mill.client.get("/metrics")).text

    assert (live.status_code, ready.status_code, started.status_code) == (200, 200, 200)
    assert ready.json()["services"]["echo"]["state"] == "ready"
    assert 'headrace_requests_total{route="/v1/mill/grind",status="200"} 1.0' in metrics


async def test_a_server_that_drains_says_so_and_ends_what_it_has_begun(mill):
    call = asyncio.create_task(mill.client.post("/v1/mill/linger", json={"seconds": 0.5}))
    while not mill.running.admission.in_flight:
        await asyncio.sleep(0)

    stopping = asyncio.create_task(mill.server.stop(within_s=30))

    assert (await call).status_code == 200
    assert await stopping is True


async def test_a_client_that_goes_away_ends_the_work_for_it(mill):
    _, writer = await asyncio.open_connection("127.0.0.1", mill.client.base_url.port)
    body = b'{"seconds": 1000}'
    head = b"POST /v1/mill/linger HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(30):
        while not mill.running.admission.in_flight:
            await asyncio.sleep(0)

        writer.close()

        while mill.running.admission.in_flight:
            await asyncio.sleep(0.01)


async def test_decisions_are_listed_page_by_page(mill):
    asked = [(await mill.client.post("/v1/mill/grind", json={"corn": str(n)})).json()["decision_id"] for n in range(3)]
    await asyncio.to_thread(mill.running.recorder.close)

    first = (await mill.client.get("/v1/decisions", params={"limit": 2})).json()
    second = (await mill.client.get("/v1/decisions", params={"limit": 2, "cursor": first["next"]})).json()

    listed = [each["decision_id"] for each in first["items"] + second["items"]]
    assert listed == asked[::-1]
    assert second["next"] is None


async def test_a_compressed_body_is_refused_and_an_identical_one_is_none(mill):
    answered = {}
    for coding in ("gzip", "identity"):
        response = await mill.client.post("/v1/mill/grind", json={"corn": "rye"}, headers={"Content-Encoding": coding})
        answered[coding] = response.status_code

    assert answered == {"gzip": 415, "identity": 200}


async def test_every_answer_tells_what_is_left_of_the_quota_and_most_of_all_a_refusal(tmp_path):
    async with served(tmp_path, overrides={"limits.requests_per_minute": 2}) as mill:
        bodies = ({"corn": "rye"}, {"corn": 7}, {"corn": "rye"})
        answers = [await mill.client.post("/v1/mill/grind", json=body) for body in bodies]

    assert [answer.status_code for answer in answers] == [200, 400, 429]
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        '"minute";r=1', '"minute";r=0', '"minute";r=0',
    ]  # fmt: skip
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"minute";q=2;w=60'}
    assert 1 <= int(answers[-1].headers["ratelimit"].partition(";t=")[2]) <= 30


@pytest.mark.parametrize("limit", ["0", "x", "100000"])
async def test_a_page_of_no_size_is_malformed(mill, limit):
    response = await mill.client.get("/v1/decisions", params={"limit": limit})

    assert response.status_code == 400


@pytest.mark.parametrize("cursor", ["zzz", "\x00", "dec_1", "9" * 30])
async def test_what_no_page_gave_as_next_is_malformed(mill, cursor):
    response = await mill.client.get("/v1/decisions", params={"cursor": cursor})

    assert response.status_code == 400
    assert "`next` of the page before" in response.json()["detail"]


async def test_a_filter_that_a_list_does_not_know_is_refused_with_the_nearest(mill):
    mistyped = await mill.client.get("/v1/jobs", params={"stat": "failed"})
    foreign = await mill.client.get("/v1/decisions", params={"state": "failed", "limit": 2})

    assert mistyped.status_code == foreign.status_code == 400
    assert mistyped.json()["detail"] == "There is no parameter 'stat' here. Did you mean 'state'?"


async def test_a_call_without_parameters_takes_none(mill):
    asked = await mill.client.post("/v1/mill/grind", params={"deadline": "3"}, json={"corn": "rye"})
    probe = await mill.client.get("/livez", params={"by": "kubelet"})

    assert (asked.status_code, probe.status_code) == (400, 200)
    assert asked.json()["detail"] == "There is no parameter 'deadline' here. This call takes none: see /docs."


async def test_a_field_that_a_question_does_not_have_is_refused_with_what_it_may_have(mill):
    misspelt = await mill.client.post("/v1/mill/grind", json={"corn": "rye", "deadline_ms": 3})
    of_files = await mill.client.post("/v1/mill/measure", json={"txt": "rye"})

    assert misspelt.status_code == of_files.status_code == 400
    assert misspelt.json()["detail"] == "The body has no field 'deadline_ms'. Known are: corn."
    assert of_files.json()["detail"] == "The body has no field 'txt'. Did you mean 'text'?"


async def test_a_decision_that_nobody_gave_is_not_found(mill):
    for path in ("/v1/decisions/dec_1", "/v1/decisions/dec_1/text", "/v1/decisions/dec_1/explanation"):
        assert (await mill.client.get(path)).status_code == 404
