"""How roles end that end by themselves."""

import asyncio

import pytest

from headrace import pipeline
from headrace.assembly import Platform, Settings, roles
from headrace.errors import ServiceFailed


async def test_a_role_that_was_cancelled_from_within_is_a_failure(tmp_path, monkeypatch):
    async def cancels_itself(_running):
        raise asyncio.CancelledError

    monkeypatch.setattr(roles, "ROLES", {"worker": cancels_itself})

    @pipeline
    class Nothing:
        """Answers with what it is asked."""

        async def echo(self, word: str) -> str:
            return word

    with pytest.raises(ServiceFailed, match="The role worker ended by itself"):
        await asyncio.wait_for(
            roles.run_roles(
                Platform(Nothing),
                Settings(data=str(tmp_path)),
                ["worker"],
                tell=lambda *_: None,
                stop=asyncio.Event(),
                ready=lambda: None,
            ),
            60,
        )
