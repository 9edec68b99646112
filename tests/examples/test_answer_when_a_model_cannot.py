"""The how-to on fallback ladders is true."""

import json
import re
import sys
import tomllib
import types
from pathlib import Path
from time import monotonic

from headrace.assembly import Platform, Settings, forgetful_decisions
from headrace.serving.context import Context

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "answer-when-a-model-cannot.md").read_text(encoding="utf-8")


def snippet(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def written():
    module = types.ModuleType("how_to_fallback")
    sys.modules[module.__name__] = module
    exec(compile(snippet("python"), "how-to", "exec"), module.__dict__)
    return module


async def answered(text, settings):
    async with Platform(written().Summarizer).running(settings, decisions=forgetful_decisions()) as running:
        answer = await running.endpoints["summarizer/summarize"].answer(
            text, context=Context(deadline=monotonic() + 60), input_digest=""
        )
    return json.loads(answer.body)


async def test_the_best_way_answers_and_the_lesser_one_says_that_it_did(tmp_path):
    settings = Settings(data=str(tmp_path))

    best = await answered("Fine. Good.", settings)
    lesser = await answered("This will crash. Really.", settings)

    assert best["output"] == "summary by a large model"
    assert best["degraded"] == []
    assert lesser["output"] == "This will crash."
    assert lesser["degraded"] == json.loads(snippet("json"))["degraded"]


async def test_the_settings_of_the_page_are_settings(tmp_path):
    tables = tomllib.loads(snippet("toml"))

    body = await answered("This will crash. Really.", Settings(data=str(tmp_path), **tables))

    assert body["degraded"][0]["used"] == "lead"
