"""Scripts: which languages a page is read with, by the script that Tesseract saw on it."""

from __future__ import annotations

from collections.abc import Sequence

LATIN = "Latin"
MOST_AT_ONCE = 4
SURE = 1.0
_LIKE_LATIN = {"Cyrillic", "Greek"}
_OR_LATIN = " or Latin"
_LANGUAGES = {
    LATIN: ("eng", "deu", "fra", "spa", "ita", "por", "nld", "pol", "tur", "swe", "ces"),
    "Cyrillic": ("rus", "ukr", "bul", "srp", "eng"),
    "Greek": ("ell", "eng"),
    "Arabic": ("ara", "fas"),
    "Hebrew": ("heb",),
    "Han": ("chi_sim", "chi_tra", "jpn"),
    "Hiragana": ("jpn",),
    "Katakana": ("jpn",),
    "Japanese": ("jpn",),
    "Hangul": ("kor",),
    "Korean": ("kor",),
    "Devanagari": ("hin",),
    "Thai": ("tha",),
}


def script_of(name: str, *, sureness: float) -> str:
    """The script that a page is read in, of which Tesseract named one; `sureness` is how far it led the next one.

    A page of two alphabets that share many letters leaves doubt between them, and is read in both. Other scripts that
    are in doubt were guessed at on a page with hardly a letter.
    """
    if sureness > SURE:
        return name
    return f"{name}{_OR_LATIN}" if name in _LIKE_LATIN else LATIN


def languages_for(script: str, installed: Sequence[str]) -> str:
    """The languages to read `script` with, joined as Tesseract takes them: few, for each costs time."""
    name = script.removesuffix(_OR_LATIN)
    present = [each for each in _LANGUAGES.get(name, ()) if each in installed]
    if name != script:
        latin = [each for each in _LANGUAGES[LATIN] if each in installed]
        present = [*present[:1], *(each for each in latin if each not in present[:1])]
    present = present or [each for each in ("eng",) if each in installed]
    return "+".join((present or [each for each in installed if each != "osd"])[:MOST_AT_ONCE])
