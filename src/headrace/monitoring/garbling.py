"""How much of a text is no language: characters without meaning, as fonts without a unicode map leave them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
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
    marks = sum(len(found) for found in _UNMAPPED.findall(sample)) + 2 * len(_MOJIBAKE.findall(sample))
    plain = _UNMAPPED.sub("", sample)
    counts = Counter(plain)
    visible = sum(times for sign, times in counts.items() if not sign.isspace())
    lost = sum(
        times
        for sign, times in counts.items()
        if sign == "\ufffd" or (not sign.isspace() and unicodedata.category(sign) in _MEANINGLESS)
    )
    whole = visible + sum(len(found) for found in _UNMAPPED.findall(sample))
    return min(1.0, (marks + lost + _mixed(plain)) / whole) if whole else 0.0


def _mixed(text: str) -> int:
    """Letters of words that mix scripts in a way that no language does."""
    mixed = 0
    for word in text.split()[:5_000]:
        if word.isascii():
            continue
        scripts = [_script(sign) for sign in word if sign.isalpha()]
        changes = sum(a != b for a, b in pairwise(scripts))
        if len(scripts) >= 4 and changes >= len(scripts) / 2:
            mixed += len(scripts)
    return mixed


def _script(sign: str) -> str:
    """The writing that a letter belongs to, by its Unicode name; the three of Japanese, and Chinese, count as one."""
    script = unicodedata.name(sign, "?").partition(" ")[0]
    return "CJK" if script in {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "HALFWIDTH"} else script
