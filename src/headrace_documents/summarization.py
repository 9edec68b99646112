"""SummarizationService: what a text says in a few sentences, each with the place that says it."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from headrace import Context, HeadraceError, Service, batched, current_context, fallback
from headrace_documents.classification import plain_text, static_reader
from headrace_documents.schema import AtLeastOne, Sentence, Summary, Text
from headrace_documents.summarizer.abstract import Abstract, abstract_of
from headrace_documents.summarizer.extraction import Extract, extract, lead, outline_of
from headrace_documents.summarizer.meaning import LineMeanings
from headrace_documents.summarizer.selection import Length

if TYPE_CHECKING:
    from headrace_documents.summarizer.language_model import LanguageModel, Usage

CHARACTERS_A_SECOND = 400_000
"""What one slow core reads; a text that the caller's time is too short for is begun at its beginning, and cut."""

SHORTEST_S = 0.02
"""With less time left than this, the first sentences have to do."""

LEAD_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class SummarizerOptions:
    """`sentences`, and if set `characters` and `words`, bound a summary; all bounds hold.

    With a `url`, the base of an OpenAI-compatible API, its `model` writes the summary, and the text's own sentences
    have to do only when it cannot. `unsupported` says what becomes of sentences that the text does not support.
    `context` is how many characters of a text the model is given; of a longer one its most telling sentences.
    """

    sentences: AtLeastOne = 4
    characters: AtLeastOne | None = 900
    words: AtLeastOne | None = None
    longest: AtLeastOne = 2_000_000
    url: str = ""
    model: str = ""
    api_key: str = field(default="", repr=False)
    answer_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    context: AtLeastOne = 16_000
    unsupported: Literal["drop", "mark"] = "drop"

    @property
    def length(self) -> Length:
        """The bounds of a summary."""
        return Length(sentences=self.sentences, characters=self.characters, words=self.words)


@dataclass(frozen=True, slots=True)
class Summarizer:
    """What the service loads: what lines mean, and the language model if there is one."""

    meanings: LineMeanings
    language_model: LanguageModel | None


class SummarizationService(Service):
    """Sums texts up: by a language model whose sentences are checked, or by the texts' own sentences."""

    options: SummarizerOptions = SummarizerOptions()
    loaded: Summarizer

    def load(self, artifact: Path | None) -> Summarizer:  # noqa: ARG002 - it needs no model from the registry
        """The table of token vectors, and how to reach the language model; it is not asked yet."""
        options = self.options
        writer = _writer(options) if options.url else None
        return Summarizer(LineMeanings(static_reader(self.shelf)), writer)

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """One short text, by its own sentences: the language model may be away when we start."""
        short = plain_text("The mill stands by the river. It grinds the corn of three villages.")
        return [("_extractive" if self.options.url else "summarize", short)]

    @batched(max_size=32)
    async def summarize(self, texts: list[Text]) -> list[Summary]:
        """The summary of each text, made by itself.

        Raises:
            HeadraceError: the language model failed for all of them; the ladder's next way answers.
        """
        context = current_context()
        writer = self.loaded.language_model
        if writer is None:
            return [self._extracted(text, context, len(texts) - done) for done, text in enumerate(texts)]
        asked = zip(texts, context.members, strict=True)
        found = await gather(*(self._written(text, writer, member) for text, member in asked), return_exceptions=True)
        return self._mended(texts, found, context)

    @fallback("extractive", of=summarize)
    @batched(max_size=32)
    async def _extractive(self, texts: list[Text]) -> list[Summary]:
        """By the text's own sentences."""
        context = current_context()
        return [self._extracted(text, context, len(texts) - done) for done, text in enumerate(texts)]

    @fallback("lead", of=summarize, on_standby=True)
    async def _lead(self, text: Text) -> Summary:
        """The first sentences, which need nothing loaded and next to no time."""
        return summary_of(text, lead(text, length=self.options.length, limit=LEAD_CHARACTERS))

    async def _written(self, text: Text, writer: LanguageModel, context: Context) -> Summary:
        options = self.options
        if not text.characters.strip():
            return Summary("none", [])
        remaining_s = context.remaining_s()
        timeout_s = options.answer_s if remaining_s is None else min(options.answer_s, remaining_s)
        outline = outline_of(text, limit=options.longest)

        def count(usage: Usage) -> None:
            context.report_tokens("summarizer", prompt=usage.prompt_tokens, completion=usage.completion_tokens)

        abstract = await abstract_of(
            text, outline, writer,
            length=options.length, context=options.context, vectors=self.loaded.meanings, timeout_s=timeout_s,
            on_usage=count,
        )  # fmt: skip
        return _told(text, abstract, keeps_unsupported=options.unsupported == "mark")

    def _mended(
        self, texts: Sequence[Text], found: Sequence[Summary | BaseException], context: Context
    ) -> list[Summary]:
        """Where the model failed for some texts, their own sentences; where it failed for all, its failure."""
        failures = [each for each in found if isinstance(each, BaseException)]
        unexpected = [each for each in failures if not isinstance(each, HeadraceError)]
        if unexpected or (failures and len(failures) == len(found)):
            raise (unexpected or failures)[0]
        summaries: list[Summary] = []
        for text, outcome, member in zip(texts, found, context.members, strict=True):
            if isinstance(outcome, Summary):
                summaries.append(outcome)
                continue
            member.report_degraded("summarizer", reason="failed", used="extractive")
            summaries.append(self._extracted(text, context, len(failures)))
        return summaries

    def _extracted(self, text: Text, context: Context, left: int) -> Summary:
        options = self.options
        remaining_s = context.remaining_s()
        limit = options.longest
        if remaining_s is not None:
            if remaining_s / left < SHORTEST_S:
                context.report_degraded("summarizer", reason="deadline", used="lead")
                return summary_of(text, lead(text, length=options.length, limit=LEAD_CHARACTERS))
            limit = min(limit, int(CHARACTERS_A_SECOND * remaining_s / left / 2))
        if limit < len(text.characters):
            context.report_degraded(
                "summarizer", reason="deadline", used=f"the first {limit} of {len(text.characters)} characters"
            )
        outline = outline_of(text, limit=limit)
        return summary_of(text, extract(text, outline, length=options.length, vectors=self.loaded.meanings))


def _writer(options: SummarizerOptions) -> LanguageModel:
    # The client of its host is slow to load, and most summarizers have none.
    from headrace_documents.summarizer.language_model import LanguageModel  # noqa: PLC0415

    return LanguageModel(options.url, options.model, options.api_key)


def summary_of(text: Text, found: Extract) -> Summary:
    """The sentences of `found` with their places in `text`."""
    return Summary(
        method=found.method,
        sentences=[
            Sentence(each.text, score, each.start, each.end, *text.place(each.start, each.end))
            for each, score in zip(found.taken, found.scores, strict=True)
        ],
    )


def _told(text: Text, abstract: Abstract, *, keeps_unsupported: bool) -> Summary:
    """What was written, each sentence at the place that supports it best."""
    sentences = []
    for line, support in abstract.lines:
        spans = [(abstract.source[number].start, abstract.source[number].end) for number in support.sources]
        if support.is_supported:
            page, boxes = text.place(*spans[0])
            sentences.append(Sentence(line, support.share, *spans[0], page, boxes, supported=True, sources=spans))
        elif keeps_unsupported:
            sentences.append(Sentence(line, support.share, None, None, None, [], supported=False, sources=spans))
    return Summary("language_model", sentences)
