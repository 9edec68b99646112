"""The extractive summary: its sentences, their places, and what it does with texts that are none."""

from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.serving.context import Context, within
from headrace_documents.classification import plain_text
from headrace_documents.summarization import SummarizationService, SummarizerOptions
from headrace_documents.summarizer.extraction import extract, lead, outline_of
from headrace_documents.summarizer.selection import Length
from headrace_documents.summarizer.sentences import SentenceSplitter

RIVER = (
    "The state of the river\n\nWe found in 2025 that the river is cleaner than in any year since our records began. "
    "The weather was warm. Salmon were counted above the weir for the first time since 1987, which shows that the "
    "river is cleaner. Lunch was served at noon in the hall. We recommend that the upper weir of the river be removed "
    "by 2027. Please do not hesitate to contact us."
)


PIECES = [
    ". ",
    "\n",
    "\n\n",
    "The mill stands by the river. ",
    "これは文です。",
    "• ",
    "1. ",
    "\t",
    "e.g. ",
    "Total: 5 €",
]


def summed_up(source, **bounds):  # noqa: ANN003 - bounds as Length has them
    text = plain_text(source)
    return text, extract(text, outline_of(text, limit=100_000), length=Length(**bounds), vectors=None)


def split(characters, language=None):
    spans = SentenceSplitter(characters, language).split(0, len(characters))
    return [characters[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("characters", "language", "count"),
    [
        ("Dr. Smith paid $3.50 to Acme Inc. on Jan. 5. He left.", "en", 2),
        ("Am 3. Oktober wurde z. B. die Brücke gesperrt. Danach regnete es.", "de", 2),
        ("下記のとおりご請求申し上げます。振込手数料はご負担ください。", "ja", 2),
        ("Он приехал в 2020 г. в Москву. Потом уехал.", "ru", 2),  # noqa: RUF001
        ("هل وصلت الرسالة؟ نعم، وصلت أمس.", "ar", 2),
        ("यह पहला वाक्य है। यह दूसरा है।", "hi", 2),
        ('"Stop!" she said. "Why?"', "en", 2),
        ("See Fig. 3 and Sec. 4.2 for details. It works (cf. Jones et al. 1998).", "en", 2),
    ],
)
def test_sentences_end_where_people_end_them(characters, language, count):
    assert len(split(characters, language)) == count


def test_the_most_telling_sentences_are_taken_in_reading_order_with_their_places():
    text, found = summed_up(RIVER, sentences=2)

    said = [each.text for each in found.taken]
    assert found.method == "extractive"
    assert said == sorted(said, key=RIVER.index)
    assert all("river" in line for line in said)
    assert all(text.characters[each.start : each.end] == each.text for each in found.taken)


def test_courtesies_and_asides_are_left_out():
    _, found = summed_up(RIVER, sentences=3)

    assert not any("hesitate" in each.text or "Lunch" in each.text for each in found.taken)


def test_nothing_is_said_twice():
    _, found = summed_up(f"{RIVER}\n\n{RIVER}\n\n{RIVER}", sentences=6)

    assert len({each.text for each in found.taken}) == len(found.taken)


@pytest.mark.parametrize(
    "bounds", [{"sentences": 1}, {"sentences": 9, "characters": 120}, {"sentences": 9, "words": 25}]
)
def test_all_bounds_of_length_hold(bounds):
    _, found = summed_up(RIVER, **bounds)

    assert 1 <= len(found.taken) <= bounds["sentences"]
    assert len(" ".join(each.text for each in found.taken)) <= bounds.get("characters", 10_000)
    assert sum(each.words for each in found.taken) <= bounds.get("words", 10_000)


def test_of_an_invoice_the_lines_that_matter_are_told():
    bill = "INVOICE 17\n\nPaper\t2\t10.00\nInk\t1\t30.00\n\nTotal due: 50.00 EUR\n\nTel. 0123 456789"
    _, found = summed_up(bill, sentences=2)

    assert found.method == "key_lines"
    assert any("Total due" in each.text for each in found.taken)


def test_a_label_and_its_value_are_told_as_one_and_cells_apart():
    form = "APPLICATION\n\nFull name:\tMarta Dunn\nTown:\tAshby Fold\n\nPaper\t2\t10.00\nInk\t1\t30.00"
    _, found = summed_up(form, sentences=5)

    told = " / ".join(each.text for each in found.taken)
    assert "Full name: Marta Dunn" in told or "Town: Ashby Fold" in told
    assert ": |" not in told


def test_a_bill_with_some_sentences_is_told_by_its_name_and_its_sum():
    fields = "\n\n".join(f"ITEM: breakfast for {count} persons" for count in range(40, 48))
    bill = (
        f"HOLLOW & REED CATERING CO.\n\nBILL TO\n\nOffice of Faculty Affairs\n\n{fields}\n\nTOTAL DUE: $2,714.47\n\n"
        "Please make the check payable to us. The fee for cards is 2.5 percent. The lunches that were left went away."
    )

    _, told = summed_up(bill, sentences=3)

    assert told.method == "key_lines"
    assert [each.text for each in told.taken][:2] == ["HOLLOW & REED CATERING CO.", "TOTAL DUE: $2,714.47"]


@pytest.mark.parametrize(
    "characters",
    [
        "این گزارش نشان می\u200cدهد که آب رودخانه پاک\u200cتر شده است.",  # noqa: RUF001
        "الماء نظيف \U0001f469\u200d\U0001f469\u200d\U0001f467 في النهر الكبير اليوم.",
        "യന്ത്രം അവന്\u200d വീട്ടില്\u200d നന്നായി പ്രവര്\u200dത്തിക്കുന്നു ഇന്ന്.",
    ],
)
def test_letters_that_join_or_part_their_neighbours_stay(characters):
    _, found = summed_up(characters, sentences=1)

    assert found.taken[0].text == characters


@pytest.mark.parametrize(
    ("characters", "said", "meant"),
    [
        (
            "The mill by\nthe river grinds the corn of three villages.",
            "The mill by the river…",
            "The mill by\nthe river",
        ),
        ("The mill- \nstone by the river grinds the corn.", "The millstone by the…", "The mill- \nstone by the"),
        ("Wheat\tflour\tbread\tcrumbs\tbutter", "Wheat | flour | bread…", "Wheat\tflour\tbread"),
    ],
)
def test_a_sentence_that_is_cut_points_at_what_is_left_of_it(characters, said, meant):
    text, found = summed_up(characters, sentences=1, characters=len(said) + 1)

    assert [(each.text, text.characters[each.start : each.end]) for each in found.taken] == [(said, meant)]


@pytest.mark.parametrize("characters", ["", " \n\t ", ".", "…", "x", "\u202e", "12 34 56", "|||\n|||", "a" * 5000])
def test_odd_texts_give_a_short_summary_or_none(characters):
    text, found = summed_up(characters, sentences=3, characters=100)

    assert sum(len(each.text) for each in found.taken) <= 100
    assert lead(text, length=Length(sentences=2), limit=100) is not None


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.sampled_from(PIECES),
        ),
        max_size=40,
    ).map("".join)
)
def test_whatever_the_text_every_sentence_stands_in_it_and_the_bounds_hold(characters):
    text, found = summed_up(characters, sentences=3, characters=200)

    assert len(found.taken) <= 3
    assert sum(len(each.text) for each in found.taken) + max(len(found.taken) - 1, 0) <= 200
    assert all(0 <= each.start < each.end <= len(text.characters) for each in found.taken)
    assert [each.start for each in found.taken] == sorted(each.start for each in found.taken)
    assert all(0.0 <= score <= 1.0 for score in found.scores)


async def test_with_next_to_no_time_the_first_sentences_answer_and_the_answer_says_so():
    service = SummarizationService()
    with within(Context(deadline=monotonic() + 0.001)) as context:
        summary = await service.summarize(plain_text(RIVER))

    assert summary.method == "lead"
    assert [(each.reason, each.used) for each in context.degraded] == [("deadline", "lead")]


async def test_options_bound_the_summary():
    service = SummarizationService()
    service.options = SummarizerOptions(sentences=1)

    assert len((await service.summarize(plain_text(RIVER))).sentences) == 1
