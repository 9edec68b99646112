"""Who is let in: by keys, or openly on this machine alone."""

from datetime import UTC, datetime

import pytest
from served import served

from headrace.domain.key import KeyScope, new_key

GRIND = ("/v1/mill/grind", {"corn": "wheat"})


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
async def guarded(tmp_path):
    async with served(tmp_path, overrides={"server.auth": "keys"}) as it:
        yield it


async def made(mill, admin, scope):
    response = await mill.client.post("/v1/keys", json={"scope": scope, "name": "x"}, headers=bearer(admin))
    assert response.status_code == 201
    return response.json()


@pytest.fixture
async def admin(guarded):

    key, secret = new_key(KeyScope.ADMIN, name="first", now=datetime.now(UTC))
    guarded.running.keys.add(key)
    return secret


@pytest.mark.parametrize("headers", [{}, bearer("nonsense"), {"Authorization": "Basic eDp5"}, {"X-API-Key": "x" * 999}])
async def test_without_a_valid_key_nobody_is_let_in(guarded, headers):
    response = await guarded.client.post(GRIND[0], json=GRIND[1], headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_probes_and_the_contract_are_open_to_all(guarded):
    for path in (
        "/livez",
        "/readyz",
        "/startupz",
        "/openapi.json",
        "/docs",
        "/docs/problems",
        "/docs/problems/overloaded",
    ):
        assert (await guarded.client.get(path)).status_code == 200


async def test_a_key_may_do_what_its_scope_covers_and_no_more(guarded, admin):
    reader = (await made(guarded, admin, "read"))["secret"]
    writer = (await made(guarded, admin, "write"))["secret"]

    answers = {
        "reader lists": await guarded.client.get("/v1/decisions", headers=bearer(reader)),
        "reader asks": await guarded.client.post(GRIND[0], json=GRIND[1], headers=bearer(reader)),
        "writer asks": await guarded.client.post(GRIND[0], json=GRIND[1], headers={"X-API-Key": writer}),
        "writer makes keys": await guarded.client.post("/v1/keys", json={}, headers=bearer(writer)),
    }

    assert {name: each.status_code for name, each in answers.items()} == {
        "reader lists": 200, "reader asks": 403, "writer asks": 200, "writer makes keys": 403,
    }  # fmt: skip


async def test_the_secret_of_a_key_is_told_once_and_not_kept(guarded, admin):
    key = await made(guarded, admin, "read")

    listed = await guarded.client.get("/v1/keys", headers=bearer(admin))

    assert key["secret"] not in listed.text
    assert [each["hint"] for each in listed.json()["items"]][-1] == key["secret"][-4:]


async def test_a_revoked_key_is_good_for_nothing(guarded, admin):
    key = await made(guarded, admin, "read")

    revoked = await guarded.client.delete(f"/v1/keys/{key['id']}", headers=bearer(admin))
    answer = await guarded.client.get("/v1/decisions", headers=bearer(key["secret"]))

    assert revoked.json()["revoked_at"] is not None
    assert answer.status_code == 401


async def test_revoking_a_key_that_nobody_made_is_not_found(guarded, admin):
    assert (await guarded.client.delete("/v1/keys/key_1", headers=bearer(admin))).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
async def test_an_open_server_refuses_what_foreign_pages_make_browsers_send(tmp_path, headers, status):
    async with served(tmp_path) as mill:
        response = await mill.client.post(GRIND[0], json=GRIND[1], headers=headers)

    assert response.status_code == status


async def test_a_page_that_is_refused_is_named(tmp_path):
    async with served(tmp_path) as mill:
        response = await mill.client.post(GRIND[0], json=GRIND[1], headers={"Origin": "https://evil.example"})

    assert "by a page of 'https://evil.example'" in response.json()["detail"]


async def test_the_key_of_the_caller_is_the_key_of_its_variant(guarded, admin):
    key = await made(guarded, admin, "write")

    response = await guarded.client.post(GRIND[0], json=GRIND[1], headers=bearer(key["secret"]))

    assert response.status_code == 200
