"""Bytes as text, whatever their encoding: by mark, by validity, and by how much the result looks like language."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

from charset_normalizer import from_bytes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Letters that end a word, in Greek and Hebrew.
_FINAL = frozenset("ςךםןףץ")
# Where quotes, dashes and other signs stand: what is before and what is behind them.
_PLACES = {
    **dict.fromkeys("\u201c\u201e\u2018\xab\u2039\xbf\xa1", (r"\W", r"\w")),
    **dict.fromkeys("\u201d\xbb\u203a\u2026", (r"[\w.,!?]", r"\W")),
    **dict.fromkeys("\u2013\u2014", (r"\s", r"\s")),
    **dict.fromkeys("\u20ac\xa3\xa5\xa7\xb1", (r"[\W\d]", r"[\s\d]")),
    **dict.fromkeys("\xae\u2122\xb2\xb3\xaa\xba", (r"[\w.]", r"\W")),
    **dict.fromkeys("\xbc\xbd\xbe\xd7", (r"[\s\d]", r"[\W\d]")),
    "\u2019": (r"\w", r"[\w\s.,;:!?)]"),
    "\xa9": (r"\W", r"[\s\d]"),
    "\xb0": (r"[\s\d]", r"[\sCF.,;)]"),
    "\xb5": (r"[\s\d]", r"[mgsAVFlL]"),
}
_QUOTES = frozenset("\u201c\u201e\xab\u2039\u201d\xbb\u203a")
SET_WELL, TORN = 1.2, 2.0
"""What a sign in its place is worth, and what is lost by a pair of letters that no word has."""
WESTERN = "cp1252"
_RARE_CYRILLIC = frozenset("ЂЃЄЅІЇЈЉЊЋЌЎЏҐ")
_BLANKS_BE = (b"\0 ", b"\0\n", b"\x30\x00", b"\x30\x02")
SAMPLE_BYTES = 64_000
# The names on the left are taken for those on the right, which have more signs (WHATWG Encoding, 4.2).
_MEANT = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_OF_ONE_BYTE = ("cp125", "iso8859", "mac-", "koi8")
_SHIFTS = {"utf-7": re.compile(rb"\+[A-Za-z0-9+/]{2,}-?"), "hz": re.compile(rb"~\{[!-~]{2,200}?~\}")}
"""How a text goes over to other scripts and back, in encodings of seven bits."""
FEWEST_SHIFTS, MANY_LETTERS = 3, 10
FEWEST_BEYOND, BEYOND_A_STRAY = 3, 4
"""How many characters beyond ASCII a text in UTF-8 has at least that has stray bytes, and for each of these."""


def decoded(content: bytes) -> str:
    """`content` as text; bytes that no encoding explains become replacement characters."""
    return content.decode(encoding_of(content), errors="replace")


def decoded_as(content: bytes, name: str) -> str | None:
    """`content` in the encoding that its sender named, as browsers take such names; None where its bytes differ.

    Senders name the least that programs know and use what more of it there is; and UTF-8 is hardly ever met by chance.
    """
    try:
        known = codecs.lookup(name).name
        known = _MEANT.get(known, known)
        if known.startswith(_OF_ONE_BYTE) and not content.isascii() and _is_valid(content, "utf-8"):
            known = "utf-8"
        return content.decode(known)
    except (LookupError, ValueError):
        return None


def encoding_of(content: bytes) -> str:
    """The name of the encoding that `content` most likely is in."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    wide = _wide(content)
    if wide:
        return wide
    if _is_valid(content, "utf-8"):
        return (_of_seven_bits(content) if content.isascii() else None) or "utf-8"
    sample = content[:SAMPLE_BYTES]
    return "utf-8" if _is_nearly_utf8(sample) else _legacy(sample)


def _of_seven_bits(content: bytes) -> str | None:
    """The encoding of text in other scripts that was written with the signs of ASCII, for the mails of old."""
    if b"\x1b$" in content or b"\x1b(" in content:
        return "iso2022_jp"
    for encoding, signs in _SHIFTS.items():
        runs = signs.findall(content[:SAMPLE_BYTES])
        text = "".join(_try(run, encoding) or "\ufffd" for run in runs)
        beyond = [each for each in text if not each.isascii()]
        is_text = all(each.isprintable() and each != "\ufffd" for each in text)
        letters = [each for each in beyond if each.isalpha()]
        is_often = len(runs) >= FEWEST_SHIFTS or len(letters) >= MANY_LETTERS
        if is_often and is_text and 2 * len(letters) > len(beyond) and _is_of_few_scripts(letters):
            return encoding if _is_valid(content, encoding) else None
    return None


def _is_nearly_utf8(sample: bytes) -> bool:
    """Whether a few stray bytes are all that is no UTF-8; its long characters hardly ever occur by chance."""
    text = sample.decode("utf-8", errors="replace")
    strays = text.count("\ufffd")
    beyond = len(text) - strays - sum(map(str.isascii, text))
    return beyond >= FEWEST_BEYOND and beyond > BEYOND_A_STRAY * strays


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: the zero bytes of plain letters stand on one side."""
    sample = content[:4096]
    if len(sample) < 4:
        return None
    if sample.count(0) < max(1, len(sample) // 8):
        return _wide_beyond_latin(content)
    for encoding in ("utf-32-le", "utf-32-be"):
        if _is_valid(content, encoding):
            return encoding
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    best = "utf-16-le" if odd > even else "utf-16-be"
    return best if _is_valid(content, best) else None


def _wide_beyond_latin(content: bytes) -> str | None:
    """UTF-16 without a mark in another script: its blanks and line ends alone have zero bytes."""
    sample = content[:4096]
    sample = sample[: len(sample) // 2 * 2]
    for encoding, blanks in (("utf-16-le", (b" \0", b"\n\0", b"\x00\x30", b"\x02\x30")), ("utf-16-be", _BLANKS_BE)):
        units = [sample[at : at + 2] for at in range(0, len(sample), 2)]
        if len(content) % 2 or not any(unit in blanks for unit in units) or not _is_valid(content, encoding):
            continue
        text = content[: len(sample)].decode(encoding, errors="ignore")
        letters = [each for each in text if each.isalpha()]
        if len(letters) > 0.6 * len(text) and _is_of_few_scripts(letters):
            return encoding
    return None


def _is_of_few_scripts(letters: list[str]) -> bool:
    scripts = {_script(each) for each in letters if not each.isascii()}
    return len(scripts) == 1 or scripts <= _EAST


def _is_valid(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        # A document that was cut may end in the middle of a character, if it has whole ones of more than one byte.
        return encoding == "utf-8" and error.start >= len(content) - 3 and not content[: error.start].isascii()
    return True


def _legacy(sample: bytes) -> str:
    """The candidate whose text is most like language; of equals the usual, or what charset-normalizer would take."""
    candidates = list(_CANDIDATES)
    found = from_bytes(sample).best()
    if found is not None and found.encoding in candidates:
        candidates.remove(found.encoding)
        candidates.insert(0, found.encoding)
    tried = [(name, -rank, text) for rank, name in enumerate(candidates) if (text := _try(sample, name))]
    scored = [(round(_likeness(text), 9), name == WESTERN, rank, name) for name, rank, text in tried]
    return max(scored, default=(0.0, True, 0, WESTERN))[3]


def _try(sample: bytes, encoding: str) -> str | None:
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:
            return None
        return sample[: error.start].decode(encoding, errors="ignore") or None


def _likeness(text: str) -> float:
    """How much the characters beyond ASCII look like a language, on average for each byte that they took."""
    # Of each character and pair it is counted how often it stands there: noise decodes in every candidate, and to look
    # at all of it again and again takes seconds.
    beyond = {character: times for character, times in Counter(text).items() if ord(character) > 127}
    if not beyond:
        return 0.0
    score = sum(times * _worth(character) for character, times in beyond.items())
    latin = {each.lower() for each in beyond if _script(each) == "LATIN"}
    if latin:
        count = sum(times for each, times in beyond.items() if _script(each) == "LATIN")
        score += count * (max(len(latin & letters) for letters in _LATIN_LETTERS) / len(latin) - 1.0)
    pairs = Counter(pairwise(f"\n{text}\n"))
    score -= TORN * sum(times for pair, times in pairs.items() if _is_torn(*pair))
    score += _of_signs(pairs) - TORN * _stranded(beyond, pairs)
    score -= 2.5 * _lonely(text)
    if any(_script(character) == "HIRAGANA" for character in beyond):
        foreign = (each for each in beyond if _script(each) == "CJK" and not _is_japanese(each))
        score -= 2.0 * sum(beyond[each] for each in foreign)
    return score / len(text.encode("utf-16-le"))


def _of_signs(pairs: Mapping[tuple[str, str], int]) -> float:
    """What it adds that signs stand where they should, as letters in a wrong encoding hardly would, or within words."""
    score = 0.0
    for sign in {each for pair in pairs for each in pair if each in _PLACES}:
        before = {first: times for (first, second), times in pairs.items() if second == sign}
        after = {second: times for (first, second), times in pairs.items() if first == sign}
        places = _PLACES[sign]
        score += (SET_WELL - _worth(sign)) * min(_matching(before, places[0]), _matching(after, places[1]))
        if sign in _QUOTES:
            score -= TORN * min(_matching(before, r"\w"), _matching(after, r"\w"))
    return score


def _matching(letters: Mapping[str, int], pattern: str) -> int:
    return sum(times for letter, times in letters.items() if re.match(pattern, letter))


def _stranded(beyond: Mapping[str, int], pairs: Mapping[tuple[str, str], int]) -> int:
    """How many letters are of a script in which no two of them stand side by side: signs, in a wrong encoding."""
    of_words = {_script(before) for before, after in pairs if before in beyond and _script(before) == _script(after)}
    of_words |= {"LATIN", *_EAST}
    return sum(times for each, times in beyond.items() if each.isalpha() and _script(each) not in of_words)


def _worth(character: str) -> float:
    category, script = unicodedata.category(character), _script(character)
    often = _OFTEN.get(script)
    if often is not None and script in _OF_EITHER:
        return _OF_EITHER[script][character not in often]
    if category in {"Cc", "Cn", "Co", "Cs"}:
        return -10.0
    if category in {"Pd", "Pi", "Pf", "Ps", "Pe", "Po", "Zs", "Sc", "Mn"}:
        return 0.4
    if not category.startswith("L"):
        return -0.5
    if often is None:
        return _WORTH.get(script, 0.3)
    return 1.4 if character in often else 0.8 if character.lower() in often else 0.4


def _is_torn(before: str, after: str) -> bool:
    """Whether two letters side by side belong to no one word: of two scripts, or a small one before a capital.

    What ideographs and syllables stand beside says nothing: product names stand among them.
    """
    if ord(before) < 128 and ord(after) < 128:
        return False
    # Hardly any word has a rare capital before a figure: there a sign of money stands.
    if after.isdigit() and before.isupper() and (_script(before) == "LATIN" or before in _RARE_CYRILLIC):
        return True
    if unicodedata.combining(after) or _script(after) == "THAI":
        return before.isascii() and before.isalpha()
    if not (before.isalpha() and after.isalpha()):
        return False
    scripts = {_script(before), _script(after)}
    if scripts & _EAST:
        return len(scripts) > 1 and not scripts <= {"HIRAGANA", "KATAKANA", "CJK", "LATIN"}
    return len(scripts) > 1 or before in _FINAL or (before.islower() and after.isupper())


@lru_cache(maxsize=8192)
def _is_japanese(character: str) -> bool:
    try:
        character.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def _lonely(text: str) -> int:
    """How many ideographs stand alone among letters of another script, as accented letters do in a wrong encoding."""
    is_east = [ord(each) > 0x2E7F and _script(each) in _EAST for each in text]
    padded = [False, *is_east, False]
    count = 0
    for index, each in enumerate(is_east):
        if each and not padded[index] and not padded[index + 2]:
            beside = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
            count += any(other.isascii() and other.isalpha() for other in beside)
    return count


@lru_cache(maxsize=8192)
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


_CANDIDATES = (
    *("gb18030", "cp932", "euc_jp", "big5", "cp949", "cp1251", "koi8_r", "cp1252", "iso8859_7", "cp1250", "iso8859_2"),
    *("cp1255", "iso8859_8", "cp1256", "iso8859_6", "cp1254", "cp1253", "iso8859_5", "cp866", "cp1257", "cp850"),
    *("mac_roman", "cp437", "cp874", "koi8_u", "cp1258", "cp852", "mac_cyrillic"),
    *("cp737", "cp862", "cp855", "cp857", "cp720", "mac_latin2", "iso8859_4"),
)
_EAST = {"HIRAGANA", "KATAKANA", "CJK", "HANGUL"}
_IDEOGRAPHS = (
    "的一是不了在人有我他這这個个们們中来來上大為为和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過发發発后後作里用道行所然家种種事成方"
    "多经經経么去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣様理心她本前开開但因只从從想实實実日军軍者意无無力它与與长長把机機十民第公此已"
    "工使情明性知全三又关關関点點正业業外将將两兩高间間由问問很最重并物手应應応战戰戦向头頭文体體政美相见見被利什二等产產産或新己制身果加西斯月话話合回特代内內"
    "信表化老给給世位次度门門任常先海通教儿兒原东東声聲提立及比员員解水名真论論处處走义義各入几幾口认認条條平系气氣気题題活更别別打女变變変四神总總何电電数數安"
    "少报報才结結反受目太量再感建务務做接必场場件计計管期市直德资資命山金指许許统統区區保至队隊形社便空决決治展马馬科司五基眼书書非则則听聽白却卻界达達光放强強"
    "即像难難且权權思王象完设設式色路记記南品住告类類求据據程北边邊死张張该該交规規万萬取望觉覺术術领領共确確传傳师師观觀清今切院让讓识識候带帶导導争爭运運"
    "語京駅私読週車議始続込店円番号所有港船必須須书料価格注送付請納税担様御確認売買件備考"
)
"""The ideographs that are used most in Chinese of either form and in Japanese: two of three in a text are of these."""
_SYLLABLES = (
    "이다는의가을에를로은고하지도한서자기리사시대해나인어그아수있정라일부상면장전보국게들니원제동만구조안여성주중위으스습오것년과적때내했더금명데계요용무공관"
    "생비선화신연진소세거와까각경방재물말모우유회체치저교양호발할했야월두없음식실행당결통분매품단간간차업입모든되되었된됩"
)
# What a letter beyond ASCII is worth: text in a wrong encoding is mostly rare ideographs, half-width katakana, box
# drawings and accented capitals; where a script has few letters, those that are used most tell it from the others.
_WORTH = {"HIRAGANA": 2.0, "KATAKANA": 1.8, "LATIN": 1.0, "HALFWIDTH": -1.0}
# Those of many signs, by whether a sign is one of those that are used most.
_OF_EITHER = {"CJK": (1.6, 0.9), "HANGUL": (1.9, 1.1), "THAI": (1.5, 0.2)}
_OFTEN = {
    "CYRILLIC": frozenset("оеаинтсрвлкмдпуяы"),
    "GREEK": frozenset("αοιετσνηυρπκμλςω"),
    "HEBREW": frozenset("יוהלאתרמבשנדכע"),
    "ARABIC": frozenset("اليمنوترةبدعهسفك"),
    "CJK": frozenset(_IDEOGRAPHS),
    "HANGUL": frozenset(_SYLLABLES),
    "THAI": frozenset("านรอกเงมยลวดทสตะปบคหแจพชขใไ่้ีัิ็ุูื์ำโถศ"),
}
# Letters beyond ASCII of languages in Latin script: the ones of a text are all of one of them.
_LATIN_LETTERS = tuple(
    frozenset(letters)
    for letters in (
        "äöüßé", "éèàçêâîôûùëïœæüö", "ñáéíóúü", "ãõçáéíóúâêôà", "àèéìòùî", "åäöøæéü", "ąćęłńóśźż",
        "áčďéěíňóřšťúůýžäľĺŕô",
        "áéíóöőúüű", "ăâîșțşţ", "ığşçöüâ̇", "čćđšž", "áðéíóúýþæö", "āčēģīķļņšūž", "ąčęėįšųūž", "äöõüšž", "éëïèöü",
    )
)  # fmt: skip
