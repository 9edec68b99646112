"""Words broken at the end of a line: whether the hyphen was put there by the break, or belongs to the word."""

from __future__ import annotations

import re
from collections.abc import Sequence

BREAKING = "\u2010\xad"
"""Hyphens that stand at the end of a line for no other reason than the break, by programs that hyphenate."""
_INNER = re.compile(r"[^\W_]+(?:[-\u2010\u2011][^\W_]+)+")
_EDGES = re.compile(r"^\W+|\W+$")


def is_broken(before: str, after: str) -> bool:
    """Whether a word at the end of a line ends in a hyphen by which the first word of the next goes on."""
    return len(before) > 2 and before[-1] in BREAKING and before[-2].isalpha() and after[:1].islower()


def with_compounds(words: Sequence[str], joined: Sequence[bool]) -> list[str]:
    """The `words` with the hyphens that belong to words broken where they have one; `joined` tells which go on.

    Before a capital or a figure a hyphen belongs to the word; before a small letter where the page has the word with
    its hyphen elsewhere and never without.
    """
    found = list(words)
    broken = [index for index in range(1, len(words)) if joined[index]]
    if not broken:
        return found
    hyphened = " ".join(word for word in words if "-" in word or "\u2010" in word or "\u2011" in word)
    compounds = {each.lower().replace("\u2010", "-").replace("\u2011", "-") for each in _INNER.findall(hyphened)}
    for index in broken:
        before, after = words[index - 1], words[index]
        left, right = _EDGES.sub("", before), _EDGES.sub("", after)
        if not left or not right or before.endswith(tuple(BREAKING)):
            continue
        is_known = f"{left}-{right}".lower() in compounds and not _has(words, left + right)
        is_capital = right[0].isupper() and not left.isupper()
        if is_known or is_capital or right[0].isdigit():
            found[index - 1] = f"{before}-"
    return found


def _has(words: Sequence[str], word: str) -> bool:
    return any(_EDGES.sub("", each).lower() == word.lower() for each in words if len(each) >= len(word))
