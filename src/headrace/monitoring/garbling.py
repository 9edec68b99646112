"""How much of a text is no language: characters without meaning, as fonts without a unicode map leave them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

_UNMAPPED = re.compile(r"\(cid:\d+\)")
_MOJIBAKE = re.compile("[\u00c3\u00c2\u00e2\u00d0\u00d1][\u0080-\u00bf\u20ac\u0153\u2122\u2018-\u201d]")
_MEANINGLESS = frozenset({"Co", "Cn", "Cs", "Cc"})
_SAMPLE = 50_000


def garbled_share(text: str) -> float:
    """The share of the characters that are not white space and mean nothing: 0 for any language, near 1 for noise.

    Counted are characters of private use, unassigned ones and U+FFFD, `(cid:17)` as text extractors write glyphs
    without a map, UTF-8 that was read as Latin-1, and words in which scripts change from letter to letter.
    """
    sample = text[:_SAMPLE]
    unmapped = sum(len(found) for found in _UNMAPPED.findall(sample)) if "(cid:" in sample else 0
    plain = _UNMAPPED.sub("", sample) if unmapped else sample
    visible = lost = 0
    for sign, times in Counter(plain).items():
        weight = _weight(sign)
        visible += times * (weight is not None)
        lost += times * (weight or 0)
    whole = visible + unmapped
    if not whole:
        return 0.0
    if sample.isascii():
        return min(1.0, (unmapped + lost) / whole)
    return min(1.0, (unmapped + 2 * len(_MOJIBAKE.findall(sample)) + lost + _mixed(plain)) / whole)


@lru_cache(4096)
def _weight(sign: str) -> int | None:
    """1 for a character without meaning, 0 for one with; None for white space, which does not count."""
    if sign == "\ufffd":
        return 1
    return None if sign.isspace() else int(unicodedata.category(sign) in _MEANINGLESS)


def _mixed(text: str) -> int:
    """Letters of words that mix scripts in a way that no language does."""
    mixed = 0
    for word in text.split()[:5_000]:
        if word.isascii():
            continue
        scripts = list(map(_script, filter(str.isalpha, word)))
        # Most words of any language are of one script, for which the changes need not be counted.
        if len(scripts) < 4 or scripts.count(scripts[0]) == len(scripts):
            continue
        if sum(a != b for a, b in pairwise(scripts)) >= len(scripts) / 2:
            mixed += len(scripts)
    return mixed


@lru_cache(4096)
def _script(sign: str) -> str:
    """The writing that a letter belongs to, by its Unicode name; the three of Japanese, and Chinese, count as one."""
    script = unicodedata.name(sign, "?").partition(" ")[0]
    return "CJK" if script in {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "HALFWIDTH"} else script
