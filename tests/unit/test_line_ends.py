"""Words at the ends of lines of pages that hold little text, where the engine is not sure which way lines run."""

from drawn import page_pdf, shown
from extracted import check_places, extracted

FIGURES = "".join(shown(200, 700 - 12 * at, str(at + 1)) for at in range(6))


def test_a_word_whose_last_letter_is_drawn_by_itself_is_one_word():
    letters = "BT /F1 12 Tf 72 700 Td (The norther) Tj 62.3 0 Td (n) Tj ET\n"

    text = extracted(page_pdf(letters + "".join(shown(72, 680 - 12 * at, "coast") for at in range(3)) + FIGURES))

    check_places(text)
    assert text.characters.startswith("The northern\n")


def test_figures_one_below_the_other_are_words_of_their_own():
    text = extracted(page_pdf(FIGURES + shown(300, 700, "Kiel")))

    check_places(text)
    assert text.characters.split()[:6] == ["1", "2", "3", "4", "5", "6"]


def test_letters_that_are_each_drawn_by_themselves_are_words_in_lines():
    widths = {"K": 0.667, "i": 0.222, "l": 0.222, " ": 0.278, ",": 0.278}
    lines = ["Kiel and 20", "and 2, 20", *["20"] * 8]
    content = ""
    for row, line in enumerate(lines):
        x = 72.0
        for letter in line:
            content += shown(round(x, 2), 700 - 11 * row, letter, size=12) if letter != " " else ""
            x += 12 * widths.get(letter, 0.556)

    text = extracted(page_pdf(content + shown(400, 700, "1", size=12)))

    check_places(text)
    assert [word for word in text.characters.split() if word != "1"] == " ".join(lines).split()
