"""Text in the encodings of many languages, whole, short and cut."""

# ruff: noqa: RUF001 - letters of many scripts are what is tested

import pytest
from extracted import extracted
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_documents.readers.encodings import decoded, decoded_as, encoding_of

TEXTS = {
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt "
    "und sollen einander im Geist der Brüderlichkeit begegnen. Größe, Straße, für.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
    "conciencia, deben comportarse fraternalmente. ¿Qué? ¡Mañana!",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de "
    "consciência, devem agir uns para com os outros em espírito de fraternidade. Não, ações.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och samvete "
    "och bör handla gentemot varandra i en anda av gemenskap. Åtgärder på sjön.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i "
    "sumieniem i powinni postępować wobec innych w duchu braterstwa. Łódź, źdźbło, ćma, żółw",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím a mají "
    "spolu jednat v duchu bratrství. Příliš žluťoučký kůň",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és "
    "lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek. Erdő, fű",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve "
    "birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler. İstanbul, çağ",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
    "должны поступать в отношении друг друга в духе братства.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με "
    "λογική και συνείδηση.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا.",
    "th": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในศักดิ์ศรีและสิทธิ ต่างในตนมีเหตุผลและมโนธรรม",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "zh-tw": "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心,並應以兄弟關係的精神相對待。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 이성과 양심을 부여받았다.",
}
ENCODINGS = {
    "de": ["latin-1", "cp1252", "cp850", "mac_roman"],
    "fr": ["latin-1", "cp1252", "cp850", "mac_roman"],
    "es": ["latin-1", "cp1252", "cp850"],
    "pt": ["latin-1", "cp1252"],
    "sv": ["latin-1", "cp1252"],
    "pl": ["cp1250", "iso8859-2", "cp852"],
    "cs": ["cp1250", "iso8859-2", "cp852"],
    "hu": ["cp1250", "iso8859-2", "cp852"],
    "tr": ["cp1254", "iso8859-9", "cp857"],
    "ru": ["cp1251", "koi8-r", "cp866", "iso8859-5", "mac_cyrillic", "cp855", "utf-7"],
    "el": ["cp1253", "iso8859-7", "cp737"],
    "he": ["cp1255", "iso8859-8", "cp862"],
    "ar": ["cp1256", "iso8859-6"],
    "th": ["cp874"],
    "ja": ["shift_jis", "euc_jp", "iso2022_jp"],
    "zh": ["gb18030", "gbk", "gb2312", "hz"],
    "zh-tw": ["big5"],
    "ko": ["euc_kr", "cp949"],
}
PAIRS = [(language, encoding) for language, encodings in ENCODINGS.items() for encoding in encodings]
MARKED = ["utf-8-sig", "utf-16", "utf-32"]
WIDE = ["utf-16-le", "utf-16-be", "utf-32-le"]


@pytest.mark.parametrize(("language", "encoding"), PAIRS)
@pytest.mark.parametrize("times", [1, 20])
def test_text_in_a_legacy_encoding_is_read(language, encoding, times):
    text = "\n".join([TEXTS[language]] * times)

    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize(("language", "encoding"), [pair for pair in PAIRS if pair[0] in {"fr", "ru", "el", "ja"}])
def test_a_short_text_among_english_ones_is_read(language, encoding):
    text = "Order 4711, attention of Mr Smith:\n" + TEXTS[language][:70] + "\nBest regards"

    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", *MARKED])
def test_text_in_unicode_is_read(language, encoding):
    assert decoded(TEXTS[language].encode(encoding)).lstrip("\ufeff") == TEXTS[language]


@pytest.mark.parametrize("encoding", WIDE)
def test_wide_text_without_a_mark_is_read(encoding):
    text = "An ordinary letter, as an export of another program writes it. " * 3

    assert decoded(text.encode(encoding)) == text


def test_a_text_cut_in_the_middle_of_a_character_is_still_utf8():
    content = ("Größe und Straße. " * 4 + "€").encode()[:-1]

    assert encoding_of(content) == "utf-8"


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes_become_some_text(content):
    assert isinstance(decoded(content), str)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
@settings(deadline=None)
def test_utf8_is_never_taken_for_anything_else(text):
    assert decoded(text.encode("utf-8")).lstrip("\ufeff") == text.lstrip("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "words", ["Правление порта собралось во вторник.", "港湾委員会は火曜日に協議した。決定は夏に下される。"]
)
def test_wide_text_of_other_scripts_without_a_mark(encoding, words):
    assert extracted(words.encode(encoding), "a.txt").characters == words


def test_signs_of_money_before_figures_are_no_letters():
    words = "\u201cSmart quotes\u201d and an en dash \u2013 it\u2019s \u00a35 or \u20ac6"

    assert extracted(words.encode("cp1252"), "a.txt").characters == words


@pytest.mark.parametrize("language", ["de", "pl", "tr"])
def test_a_stray_byte_does_not_turn_all_letters_of_a_text_into_others(language):
    text = TEXTS[language]

    read = decoded(text.encode() + b" \xff\xa0 " + text.encode())

    assert read.count(text) == 2


@pytest.mark.parametrize(
    ("name", "encoding", "words"),
    [
        ("iso-8859-1", "cp1252", "“Smart” quotes – 5 €"),
        ("latin1", "utf-8", "Größe und Maß"),
        ("Shift_JIS", "cp932", "日本語のページです。①"),
        ("gb2312", "gbk", "朱镕基"),
        ("ks_c_5601-1987", "cp949", "펲시콜라"),
    ],
)
def test_a_name_is_taken_for_what_senders_mean_by_it(name, encoding, words):
    page = f'<html><head><meta charset="{name}"></head><body><p>{words}</p></body></html>'.encode(encoding)
    mail = f"From: a@b.c\r\nTo: b@c.d\r\nSubject: x\r\nContent-Type: text/plain; charset={name}\r\n\r\n{words}"

    assert extracted(page, "a.html").characters == words
    assert extracted(mail.encode(encoding), "a.eml").characters == f"x\n\n{words}"


@pytest.mark.parametrize("name", ["x-none", "base64", "utf-32", "ascii", "idna\0"])
def test_a_name_that_its_bytes_deny_says_nothing(name):
    assert decoded_as("Größe!".encode(), name) is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("港口的修缮工程将于下月初开始。所有船只必须在五月之前移走。", "gb18030"),
        ("港口的修繕工程將於下月初開始。", "big5"),
        ("品名;数量;備考\n鎖;40;亜鉛\n浮標;3;赤い", "cp932"),
        ("항구 보수 공사는 다음 달", "cp949"),
    ],
)
def test_a_few_ideographs_or_syllables_are_told_by_which_are_used_most(text, encoding):
    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "text",
    [
        "The company’s net income rose — “a record year” — to €5.2 million.",
        "It’s “quoted” — nice",
        "Preis: 5 € – „gut“",
        "«Bonjour», dit-il.",
        "Copyright © 2024 Acme® Inc.",
        "See § 5 of the law",
        "½ cup of milk, or 20 °C",
        "It costs £5.",
        "naïve café déjà vu",
    ],
)
def test_signs_of_typography_among_english_words_are_no_letters(text):
    assert decoded(text.encode("cp1252")) == text


@pytest.mark.parametrize("encoding", ["cp1255", "iso8859-8"])
def test_a_few_words_of_hebrew_are_not_taken_for_greek(encoding):
    text = f"Report for the year, chapter one and two.\n{TEXTS['he'][:60]}\nThe end of the document."

    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "text", ["Call +4915112345678 or +441632960961, or +331234567890.", "C+ABC+DEF+GHI+JKL", "~{x~} ~{y~}"]
)
def test_plain_text_is_not_taken_for_an_encoding_of_seven_bits(text):
    assert encoding_of(text.encode()) == "utf-8"


@pytest.mark.parametrize("language", ["pl", "ru", "ja", "zh"])
@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
def test_text_of_four_bytes_a_letter_is_read_without_a_mark(language, encoding):
    assert decoded(TEXTS[language].encode(encoding)) == TEXTS[language]
