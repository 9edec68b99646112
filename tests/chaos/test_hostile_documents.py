"""The short form of the benchmark of hostile documents: attacks and mutations through the guarded extractor."""

import io

import attacks
import hostile
import pytest
from attacks import Attack, docx, png, zipped
from hostile import Toll, attack, guarded, is_alive, mutate, outcome_of, samples
from PIL import Image, ImageDraw, ImageFont

from headrace_documents.schema import Document

QUICK_FORMATS = ("docx", "pdf", "xls", "msg", "ppt", "rtf", "eml", "html")
DEADLINE_S = 30.0


def quick_attacks() -> list[Attack]:
    """Those that are built and answered in little time."""
    deep = docx("<w:p>" * 50_000 + "</w:p>" * 50_000, level=0)
    return [
        Attack("pixel bomb", "a.png", png(40_000, 40_000), is_refused=True, reason="pixels"),
        Attack("XML nesting", "a.docx", deep, is_refused=True, reason="levels"),
        Attack("ratio", "a.docx", docx(" " * (8 << 20)), is_refused=True, reason="times its size"),
        Attack("many members", "a.docx", zipped({f"word/{n}": b"" for n in range(12_000)}), is_refused=True),
        *attacks._sheets(),
        *(each for each in attacks._mails() if "endless" not in each.name and "mails" not in each.name),
    ]


async def test_attacks_are_refused_in_time_and_the_service_lives_on():
    toll = Toll()

    async with guarded(toll) as replicas:
        await attack(replicas, toll, quick_attacks(), DEADLINE_S)
        alive = await is_alive(replicas)

    assert toll.faults == []
    assert alive
    assert toll.largest_bytes <= hostile.MOST_BYTES


@pytest.mark.parametrize("form", QUICK_FORMATS)
async def test_mutated_documents_harm_nobody(form):
    toll = Toll()

    async with guarded(toll) as replicas:
        await mutate(replicas, toll, samples()[form][:2], 8, DEADLINE_S)
        alive = await is_alive(replicas)

    assert toll.faults == []
    assert alive
    assert toll.outcomes["answered"] + toll.outcomes["refused"] + toll.outcomes["late"] == 8
    assert toll.largest_bytes <= hostile.MOST_BYTES


@pytest.mark.parametrize("words", ["", "Hi all"])
async def test_a_page_with_hardly_a_letter_harms_no_worker(words):
    picture = Image.new("L", (1654, 2339), 255)
    ImageDraw.Draw(picture).text((200, 200), words, font=ImageFont.load_default(size=40), fill=0)
    output = io.BytesIO()
    picture.save(output, format="PNG")
    toll = Toll()

    async with guarded(toll) as replicas:
        outcome, reason, _ = await outcome_of(replicas, Document(output.getvalue(), "a.png"), deadline_s=DEADLINE_S)

    assert (outcome, reason, toll.deaths) == ("answered", "", 0)
