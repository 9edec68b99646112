"""The abstract: what a language model writes of a text, each sentence beside what in the text supports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace import ServiceFailed
from headrace_documents.schema import Text
from headrace_documents.summarizer.candidates import Candidate
from headrace_documents.summarizer.extraction import Outline, all_lines, extract
from headrace_documents.summarizer.grounding import Grounding, Support
from headrace_documents.summarizer.salience import LineVectors
from headrace_documents.summarizer.selection import Length
from headrace_documents.summarizer.writing import messages_of, sentences_of

if TYPE_CHECKING:
    from headrace_documents.summarizer.language_model import LanguageModel, Usage

MOST_SOURCE_LINES = 5_000
CHARACTERS_A_TOKEN = 3
FEWEST_TOKENS = 128
MOST_TOKENS = 2_048


@dataclass(frozen=True, slots=True)
class Abstract:
    """Each line written with its support, whose numbers count in `source`."""

    source: tuple[Candidate, ...]
    lines: tuple[tuple[str, Support], ...]


async def abstract_of(
    text: Text,
    outline: Outline,
    writer: LanguageModel,
    *,
    length: Length,
    context: int,
    vectors: LineVectors,
    timeout_s: float,
    on_usage: Callable[[Usage], None],
) -> Abstract:
    """What `writer` says of `text` within `length`; of a text longer than `context` characters it reads the gist.

    `on_usage` is told what that took, also where the answer is of no use.

    Raises:
        HeadraceError: the model failed, or nothing that it wrote is supported by the text.
    """
    language = text.document.language
    messages = messages_of(_read(text, outline, context, vectors), language=language, length=length)
    room = length.characters if length.characters is not None else 300 * length.sentences
    most_tokens = min(MOST_TOKENS, max(FEWEST_TOKENS, room // CHARACTERS_A_TOKEN + 64))
    answer, usage = await writer.answer(messages, most_tokens=most_tokens, timeout_s=timeout_s)
    on_usage(usage)
    source = tuple(all_lines(text.characters, outline)[:MOST_SOURCE_LINES])
    grounding = Grounding(source, language=language, vectors=vectors)
    lines: list[tuple[str, Support]] = []
    for line in sentences_of(answer, language=language):
        support = grounding.support(line)
        if _has_room([told for told, each in lines if each.is_supported], line, length):
            lines.append((line, support))
    if not any(support.is_supported for _, support in lines):
        raise ServiceFailed("Nothing that the language model wrote is supported by the text.")
    return Abstract(source, tuple(lines))


def _read(text: Text, outline: Outline, context: int, vectors: LineVectors) -> str:
    """The whole text where it has room, else its most telling sentences in their order."""
    if len(text.characters) <= context:
        return text.characters
    gist = extract(text, outline, length=Length(sentences=400, characters=context), vectors=vectors)
    return "\n".join(each.text for each in gist.taken) or text.characters[:context]


def _has_room(told: list[str], line: str, length: Length) -> bool:
    if len(told) >= length.sentences:
        return False
    whole = " ".join([*told, line])
    return (length.characters is None or len(whole) <= length.characters) and (
        length.words is None or len(whole.split()) <= length.words
    )
