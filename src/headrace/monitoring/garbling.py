"""How much of a text is no language: characters without meaning, as fonts without a unicode map leave them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import pairwise

_UNMAPPED = re.compile(r"\(cid:\d+\)")
_LEADS = "\u00c3\u00c2\u00e2\u00d0\u00d1"
_MOJIBAKE = re.compile(f"[{_LEADS}][\u0080-\u00bf\u20ac\u0153\u2122\u2018-\u201d]")
_MEANINGLESS = frozenset({"Co", "Cn", "Cs", "Cc"})
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_PLAIN = (
    r"\s -~\u00a0-\u024f\u1e00-\u1eff\u2010-\u2027\u2030-\u205e\u20a0-\u20bf"
    r"\u2100-\u215f\u2190-\u22ff\u2500-\u25ff"
)
_DOUBTFUL = re.compile(f"[^{_PLAIN}]")
"""What is no Latin letter, digit or usual sign: only texts that have any are looked at letter by letter."""
_ENGLISH = re.compile("[A-Za-z]")
_ORDINARY = bytes(range(0x20, 0x7F)) + b"\t\n\v\f\r"
_SAMPLE = 50_000


def garbled_share(text: str) -> float:
    """The share of the characters that are not white space and mean nothing: 0 for any language, near 1 for noise.

    Counted are characters of private use, unassigned ones and U+FFFD, `(cid:17)` as text extractors write glyphs
    without a map, UTF-8 that was read as Latin-1, and words in which scripts change from letter to letter.
    """
    sample = text[:_SAMPLE]
    # Most texts have few other signs, if any: only these are looked at one by one.
    others = sample.encode("utf-8", "surrogatepass").translate(None, _ORDINARY)
    signs = others.decode("utf-8", "surrogatepass")
    is_mistaken = _MOJIBAKE.search(signs) is not None
    if not is_mistaken and "(cid:" not in sample and not _DOUBTFUL.search(signs):
        return 0.0
    mistaken = 2 * len(_MOJIBAKE.findall(sample)) if is_mistaken else 0
    unmapped = sum(len(found) for found in _UNMAPPED.findall(sample)) if "(cid:" in sample else 0
    plain = _UNMAPPED.sub("", sample) if unmapped else sample
    noise = unmapped + mistaken + (len(_CONTROL.findall(plain)) if plain.isascii() else _noise(plain, {*signs}))
    whole = sum(map(len, plain.split())) + unmapped if noise else 0
    return min(1.0, noise / whole) if whole else 0.0


def _noise(text: str, signs: AbstractSet[str]) -> int:
    """How many of its characters mean nothing, or stand in words in which scripts change from letter to letter.

    `signs` are all that stand in it but those of plain English.
    """
    scripts = {*map(_script_or_loss, signs)} - {""}
    lost = sum(text.count(sign) for sign in signs if _is_lost(sign)) if _LOST in scripts else 0
    scripts.discard(_LOST)
    if scripts and _ENGLISH.search(text):
        scripts.add("LATIN")
    # Nothing can be mixed where all letters are of one writing, as in most texts.
    is_mixed = len(scripts) > 1
    return lost + (sum(_mixed(word) for word in text.split()[:5_000] if not word.isascii()) if is_mixed else 0)


_LOST = "lost"


@lru_cache(4096)
def _script_or_loss(sign: str) -> str:
    """The writing of a letter, nothing for other signs, and `_LOST` for what means nothing."""
    if _is_lost(sign):
        return _LOST
    return _script(sign) if sign.isalpha() else ""


@lru_cache(4096)
def _is_lost(sign: str) -> bool:
    """Whether a character means nothing."""
    return sign == "\ufffd" or (not sign.isspace() and unicodedata.category(sign) in _MEANINGLESS)


@lru_cache(16_384)
def _mixed(word: str) -> int:
    """The letters of a word that mixes scripts as no language does, 0 of any other. Most words come again."""
    scripts = list(map(_script, filter(str.isalpha, word)))
    if len(scripts) < 4 or sum(a != b for a, b in pairwise(scripts)) < len(scripts) / 2:
        return 0
    return len(scripts)


@lru_cache(4096)
def _script(sign: str) -> str:
    """The writing that a letter belongs to, by its Unicode name; the three of Japanese, and Chinese, count as one."""
    script = unicodedata.name(sign, "?").partition(" ")[0]
    return "CJK" if script in {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "HALFWIDTH"} else script
