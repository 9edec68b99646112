"""What `/readyz` says of the broker."""

from contextlib import AsyncExitStack

from headrace.assembly.jobs import opened_jobs
from headrace.settings import load_settings


async def state_of(tmp_path, url: str) -> str:
    settings = load_settings(tmp_path, {}, {"data": str(tmp_path), "broker.url": url})
    async with AsyncExitStack() as stack:
        jobs = await opened_jobs(stack, settings, is_forgetful=False)
        return await jobs.broker.state()


async def test_the_store_itself_is_an_embedded_broker(tmp_path):
    assert await state_of(tmp_path, "embedded") == "embedded"


async def test_a_broker_that_does_not_answer_is_away_and_jobs_can_be_submitted_all_the_same(tmp_path):
    assert await state_of(tmp_path, "redis://127.0.0.1:1/0") == "away"
    assert await state_of(tmp_path, "amqp://guest:guest@127.0.0.1:1/") == "away"
