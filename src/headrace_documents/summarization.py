"""SummarizationService: the sentences of a text that stand for all of it, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headrace import Service, batched, current_context
from headrace_documents.classification import plain_text, static_reader
from headrace_documents.schema import Sentence, Summary, Text
from headrace_documents.summarizer.extraction import Extract, extract, lead, outline_of
from headrace_documents.summarizer.meaning import LineMeanings
from headrace_documents.summarizer.selection import Length

CHARACTERS_A_SECOND = 400_000
"""What one slow core reads; a text that the caller's time is too short for is begun at its beginning, and cut."""

SHORTEST_S = 0.02
"""With less time left than this, the first sentences have to do."""


@dataclass(frozen=True, slots=True)
class SummarizerOptions:
    """`sentences`, and if set `characters` and `words`, bound a summary; all bounds hold."""

    sentences: int = 4
    characters: int | None = 900
    words: int | None = None
    longest: int = 2_000_000


class SummarizationService(Service):
    """Sums texts up by their own sentences."""

    options: SummarizerOptions = SummarizerOptions()
    loaded: LineMeanings

    def load(self, artifact: Path | None) -> LineMeanings:  # noqa: ARG002 - it needs no model from the registry
        """The table of token vectors."""
        return LineMeanings(static_reader(self.shelf))

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """One short text."""
        return [("summarize", plain_text("The mill stands by the river. It grinds the corn of three villages."))]

    @batched(max_size=32)
    async def summarize(self, texts: list[Text]) -> list[Summary]:
        """The summary of each text, computed by itself."""
        return [self._summary(text, len(texts) - done) for done, text in enumerate(texts)]

    def _summary(self, text: Text, left: int) -> Summary:
        context = current_context()
        options = self.options
        length = Length(sentences=options.sentences, characters=options.characters, words=options.words)
        remaining_s = context.remaining_s()
        limit = options.longest
        if remaining_s is not None:
            if remaining_s / left < SHORTEST_S:
                context.report_degraded("summarizer", reason="deadline", used="lead")
                return summary_of(text, lead(text, length=length, limit=20_000))
            limit = min(limit, int(CHARACTERS_A_SECOND * remaining_s / left / 2))
        if limit < len(text.characters):
            context.report_degraded(
                "summarizer", reason="deadline", used=f"the first {limit} of {len(text.characters)} characters"
            )
        return summary_of(text, extract(text, outline_of(text, limit=limit), length=length, vectors=self.loaded))


def summary_of(text: Text, found: Extract) -> Summary:
    """The sentences of `found` with their places in `text`."""
    return Summary(
        method=found.method,
        sentences=[
            Sentence(each.text, score, each.start, each.end, *text.place(each.start, each.end))
            for each, score in zip(found.taken, found.scores, strict=True)
        ],
    )
