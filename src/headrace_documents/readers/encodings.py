"""Bytes as text, whatever their encoding: by mark, by validity, and by how much the result looks like language."""

from __future__ import annotations

import codecs
import unicodedata
from itertools import pairwise

from charset_normalizer import from_bytes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 64_000


def decoded(content: bytes) -> str:
    """`content` as text; bytes that no encoding explains become replacement characters."""
    return content.decode(encoding_of(content), errors="replace")


def encoding_of(content: bytes) -> str:
    """The name of the encoding that `content` most likely is in."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    wide = _wide(content)
    if wide:
        return wide
    if _is_valid(content, "utf-8"):
        return "utf-8" if b"\x1b$" not in content and b"\x1b(" not in content else "iso2022_jp"
    return _legacy(content[:SAMPLE_BYTES])


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: the zero bytes of plain letters stand on one side."""
    sample = content[:4096]
    if len(sample) < 4 or sample.count(0) < len(sample) // 8:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if sample[1::4].count(0) == len(sample[1::4]) and sample[2::4].count(0) == len(sample[2::4]):
        return "utf-32-le" if _is_valid(content, "utf-32-le") else None
    best = "utf-16-le" if odd > even else "utf-16-be"
    return best if _is_valid(content, best) else None


def _is_valid(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        # A document that was cut may end in the middle of a character.
        return encoding == "utf-8" and error.start >= len(content) - 3 and error.start > 0
    return True


def _legacy(sample: bytes) -> str:
    """The candidate whose text is most like language; what charset-normalizer finds is one of them."""
    candidates = ["gb18030", "shift_jis", "euc_jp", "big5", "euc_kr", "cp1251", "koi8_r", "cp1252", "iso8859_7"]
    candidates += ["cp1250", "cp1255", "cp1256", "cp1254", "cp1253", "iso8859_2", "iso8859_5", "cp866", "cp437"]
    found = from_bytes(sample).best()
    if found is not None:
        candidates.insert(0, found.encoding)
    scored = [(_likeness(text), -rank, name) for rank, name in enumerate(candidates) if (text := _try(sample, name))]
    return max(scored, default=(0.0, 0, "cp1252"))[2]


def _try(sample: bytes, encoding: str) -> str | None:
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:
            return None
        return sample[: error.start].decode(encoding, errors="ignore") or None
    except LookupError:
        return None


def _likeness(text: str) -> float:
    """How much the characters beyond ASCII look like a language: letters of one script, in words, of common use."""
    beyond = [character for character in text if ord(character) > 127]
    if not beyond:
        return 0.0
    scripts: dict[str, int] = {}
    score = 0.0
    for character in beyond:
        category = unicodedata.category(character)
        script = _script(character)
        scripts[script] = scripts.get(script, 0) + 1
        if category in {"Cc", "Cn", "Co", "Cs"}:
            score -= 10.0
        elif category.startswith("L"):
            score += _FREQUENT.get(script, 0.3)
        elif category in {"Pd", "Pi", "Pf", "Ps", "Pe", "Po", "Zs", "Sc"}:
            score += 0.4
        else:
            score -= 0.5
    score -= sum(
        2.0
        for before, after in pairwise(text)
        if ord(before) > 127
        and ord(after) > 127
        and before.isalpha()
        and after.isalpha()
        and (_script(before) != _script(after) or (before.islower() and after.isupper()))
        and not {_script(before), _script(after)} <= {"HIRAGANA", "KATAKANA", "CJK"}
    )
    return score / len(text.encode("utf-16-le"))


# How likely a letter beyond ASCII is one of common use in its script's encodings, found by what mistakes look like:
# text in a wrong encoding is mostly rare ideographs, half-width katakana, box drawings and accented capitals.
_FREQUENT = {"HIRAGANA": 2.0, "KATAKANA": 1.8, "CJK": 1.2, "HANGUL": 1.6, "CYRILLIC": 1.0, "GREEK": 1.0, "HEBREW": 1.0}
_FREQUENT |= {"ARABIC": 1.0, "LATIN": 0.8, "HALFWIDTH": -1.0}


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]
