"""What the features and findings of the watch are, for a person who has not set them up."""

from __future__ import annotations

from collections.abc import Iterable

_MEANING = "meaning_"
WORDS = {
    "confidence": "how sure the answer was, from 0 to 1",
    "characters": "length of the text in characters",
    "words": "length of the text in words",
    "pages": "pages of the document",
    "size_bytes": "size of the file",
    "duration_ms": "how long the answer took",
    "prompt_tokens": "tokens that a language model read",
    "completion_tokens": "tokens that a language model wrote",
    "label": "what the answer said it is",
    "language": "language of the text",
    "type": "type of the file, by its content",
    "ocr": "whether pages had to be read as pictures",
    "degraded": "which service answered in a lesser way, and why",
    "quality": "the first thing that was found about the input; ok where nothing was",
    "variant": "which side of a rollout answered",
    "low_confidence": "the label is unsure",
    "anomaly": "more unusual than normal inputs are",
    "garbled": "text without meaning, as fonts without a unicode map leave it",
    "near_duplicate": "nearly the same as a recent input",
    "empty": "no text was found",
    "thin_text": "few characters for its pages",
    "ocr_doubt": "pages were read with doubt",
    "truncated": "it ends before its end",
    "type_mismatch": "the content is not of the type that the sender said",
    "size_mib": "a large file",
    "encrypted": "it is encrypted",
    "unreadable": "it is damaged, encrypted or cut off",
    "unexpected_language": "a language that is not expected",
}


def in_words(name: str) -> str:
    """What a feature or a finding is; empty for one that the author of a pipeline has added."""
    if name.startswith(_MEANING) and name.removeprefix(_MEANING).isdecimal():
        return "what the texts are about: the position along one of a few fixed directions of their vectors"
    return WORDS.get(name, "")


def glossary(names: Iterable[str]) -> list[tuple[str, str]]:
    """Those names that have words, once each, in order; directions of meaning are one entry."""
    shown = dict.fromkeys(f"{_MEANING}1, 2, …" if name.startswith(_MEANING) else name for name in names)
    found = [(name, in_words(f"{_MEANING}1" if name.startswith(_MEANING) else name)) for name in shown]
    return [(name, words) for name, words in found if words]
