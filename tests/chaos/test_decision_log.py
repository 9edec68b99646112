"""A process that answers and is killed: every answer that went out has its decision, and the accounts are even."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from milled import app, settings_in

from headrace.assembly import opened_stores

TESTS = Path(__file__).parents[1]
KILLS, ANSWERS = 3, 150
LARGE_ANSWERS = 10
ANSWERING = """
import asyncio, sys
from pathlib import Path
from milled import app, settings_in
from headrace.serving.context import Context

async def main():
    async with app.running(settings_in(Path(sys.argv[1]))) as running:
        endpoint = running.endpoints["mill/run"]
        async def caller(number):
            while True:
                corn = f"corn {number}".ljust(int(sys.argv[2]))
                context = Context()
                answered = await endpoint.answer(corn, context=context, input_digest="")
                # A mill is quicker than a file is written, which other pipelines are not.
                if context.attachment is not None:
                    await asyncio.to_thread(context.attachment.awaited)
                # What is printed went out: from now on its decision must not be lost.
                sys.stdout.write(answered.decision.id + "\\n")
                sys.stdout.flush()
        await asyncio.gather(*(caller(number) for number in range(8)))

asyncio.run(main())
"""


def answered_until_killed(folder, answers=ANSWERS, *, question_bytes=1):
    """The ids of all answers that a process gave before it was killed in the middle of its work."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWERING, str(folder), str(question_bytes)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        text=True,
    )
    ids = []
    try:
        for line in process.stdout:
            ids.append(line.strip())
            if len(ids) == answers:
                process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(30)
    # A line that the kill cut in two never went out whole.
    return [each for each in ids if len(each) == len("dec_") + 36]


@pytest.mark.timeout(300)
async def test_no_answer_is_without_its_decision_after_three_kills(tmp_path):
    answered = []
    for _ in range(KILLS):
        answered += await asyncio.to_thread(answered_until_killed, tmp_path)
    assert len(answered) >= KILLS * ANSWERS

    async with app.running(settings_in(tmp_path)) as running:
        assert running.recorder.missing() == 0
        # The last answer before a kill was certainly in the journal alone.
        assert (await running.replayer.replay(answered[-1])).identical

    with closing(opened_stores(settings_in(tmp_path))) as stores:
        assert [each for each in answered if stores.decisions.find(each) is None] == []
        assert stores.decisions.missing() == 0
    assert list((tmp_path / "journal").iterdir()) == []


@pytest.mark.timeout(300)
async def test_answers_to_questions_of_megabytes_are_given_again_after_a_kill(tmp_path):
    answered = await asyncio.to_thread(answered_until_killed, tmp_path, LARGE_ANSWERS, question_bytes=2_000_000)
    assert list((tmp_path / "journal").glob("*.input"))

    async with app.running(settings_in(tmp_path)) as running:
        for each in answered:
            assert (await running.replayer.replay(each)).identical

    assert list((tmp_path / "journal").iterdir()) == []
