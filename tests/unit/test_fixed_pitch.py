"""Pages whose letters are all as wide: program listings, and what programs print."""

from drawn import page_pdf, shown
from extracted import check_places, extracted, normal

LISTING = (
    "import io",
    "import re",
    "import struct",
    "",
    "def title_of(content, limits):",
    "    with opened(content, limits) as container:",
    '        if "meta.xml" in names(container):',
    '            return office.title_of(parsed(member(container, "meta.xml"), limits))',
    "        return core_title(container, limits)",
    "",
    "def paper(pixels):",
    "    light = [max(row) for row in pixels]",
    "    mended = etree.tostring(parsed(light, limits), encoding=None)",
    "    output = io.BytesIO()",
    "    return output if light else mended",
)
OPTIONS = (
    "-v, --verbose      Print all lines of the tests.",
    "-p, --parse        Show the full list of all errors of the parser, if any.",
    "    --directives   Only show results with tasks or skipped directives.",
    "    --timer        Print how long it took after each test, in seconds.",
    "-w                 Warn.",
)
USES = (
    "USER       PID %CPU  TTY      TIME COMMAND",
    "root         1  0.7  ?        0:17 init",
    "syslog     842  0.0  tty1     0:00 rsyslogd -n -iNONE",
    "postgres  1207 12.4  ?       10:42 postgres: writer",
)


def typed(lines: tuple[str, ...], *, size: int = 9) -> bytes:
    """A page of lines set in Courier, each drawn at once with its spaces."""
    escaped = [line.replace("(", r"\(").replace(")", r"\)") for line in lines]
    return page_pdf("".join(shown(60, 740 - 11 * at, line, size=size, font="F2") for at, line in enumerate(escaped)))


def test_the_spaces_of_a_program_listing_part_no_cells():
    text = extracted(typed(LISTING))

    check_places(text)
    assert text.tables == ()
    assert normal(text.characters) == normal(" ".join(LISTING))


def test_options_one_below_the_other_are_rows_of_their_own():
    text = extracted(typed(OPTIONS))

    assert normal(text.characters) == normal(" ".join(OPTIONS))
    assert [row[-1] for row in text.tables[0].rows][2:4] == [
        "Only show results with tasks or skipped directives.",
        "Print how long it took after each test, in seconds.",
    ]


def test_what_a_program_prints_in_columns_is_one_table():
    text = extracted(typed(USES))

    assert [len(table.rows) for table in text.tables] == [4]
    assert text.tables[0].rows[3] == ("postgres", "1207", "12.4", "?", "10:42 postgres: writer")
