"""The how-to on traces is true: its settings are settings, and it names the spans that are made."""

import re
from pathlib import Path

from collector import attributes_of, collecting
from served import served

from headrace.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs/how-to/trace-a-document.md").read_text(encoding="utf-8")


def test_the_settings_of_the_page_are_settings(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "headrace.toml").write_text(block, encoding="utf-8")

    telemetry = load_settings(tmp_path, {}, {}).telemetry

    assert telemetry.otlp == "http://127.0.0.1:4318"
    assert (telemetry.share, telemetry.headers) == (1.0, {"x-team": "documents"})


async def test_the_trace_of_the_page_is_continued_and_its_attributes_are_there(tmp_path):
    (traceparent,) = re.findall(r"traceparent: (\S+)'", PAGE)
    headers = {"traceparent": traceparent, "Prefer": "respond-async"}
    with collecting() as (address, collector):
        async with served(tmp_path, overrides={"telemetry.otlp": address}) as mill:
            await mill.client.post("/v1/mill/grind", json={"corn": "wheat"}, headers={"traceparent": traceparent})
            await mill.client.post("/v1/mill/grind", json={"corn": "rye"}, headers=headers)

    (answer,), (submitted,) = collector.spans["answer mill/grind"], collector.spans["submit mill/grind"]
    assert answer.trace_id.hex() == submitted.trace_id.hex() == traceparent.split("-")[1]
    for name in (*attributes_of(answer), *attributes_of(submitted)):
        assert f"`{name}`" in PAGE
    assert f"`{answer.events[0].name}`" in PAGE
