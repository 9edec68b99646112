"""ODT and ODP, each by a document made for one trait."""

import pytest
from attacks import zipped
from extracted import check_places, extracted

NAMES = {
    **{name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0" for name in ("office", "text", "table", "style")},
    "draw": "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0",
    "xlink": "http://www.w3.org/1999/xlink",
    "svg": "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0",
    "chart": "urn:oasis:names:tc:opendocument:xmlns:chart:1.0",
    "dc": "http://purl.org/dc/elements/1.1/",
    "math": "http://www.w3.org/1998/Math/MathML",
}
DECLARED = " ".join(f'xmlns:{name}="{value}"' for name, value in NAMES.items())


def odt(body: str, *, styles: str = "", automatic: str = "", master: str = "", objects: dict[str, str] | None = None):
    kind = b"application/vnd.oasis.opendocument.text"
    content = f"<office:automatic-styles>{automatic}</office:automatic-styles>"
    content += f"<office:body><office:text>{body}</office:text></office:body>"
    styled = f"<office:styles>{styles}</office:styles><office:master-styles>{master}</office:master-styles>"
    parts = {
        "mimetype": kind,
        "content.xml": f"<office:document-content {DECLARED}>{content}</office:document-content>".encode(),
        "styles.xml": f"<office:document-styles {DECLARED}>{styled}</office:document-styles>".encode(),
    }
    for name, inner in (objects or {}).items():
        parts[f"{name}/content.xml"] = inner.encode()
    text = extracted(zipped(parts), "a.odt")
    check_places(text)
    return text


def style(name: str, family: str, *, parent: str = "", display: str = "") -> str:
    shown = f'<style:text-properties text:display="{display}"/>' if display else ""
    above = f' style:parent-style-name="{parent}"' if parent else ""
    return f'<style:style style:name="{name}" style:family="{family}"{above}>{shown}</style:style>'


def table(*rows: list[str]) -> str:
    cells = ["".join(f"<table:table-cell>{cell}</table:table-cell>" for cell in row) for row in rows]
    return f"<table:table>{''.join(f'<table:table-row>{each}</table:table-row>' for each in cells)}</table:table>"


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def framed(name: str) -> str:
    return f'<draw:frame><draw:object xlink:href="./{name}"/><svg:title>drawn by hand</svg:title></draw:frame>'


def test_readings_set_above_ideographs_are_left_out():
    ruby = "<text:ruby><text:ruby-base>漢字</text:ruby-base><text:ruby-text>かんじ</text:ruby-text></text:ruby>"

    assert odt(p(f"{ruby}を読む。")).characters == "漢字を読む。"


@pytest.mark.parametrize(
    "hidden",
    [
        p('seen <text:span text:style-name="T1">hidden </text:span>all'),
        p('seen <text:span text:style-name="T2">hidden </text:span>all'),
        p("seen <text:hidden-text text:is-hidden='true' text:string-value='x'>hidden </text:hidden-text>all"),
        p("seen all") + '<text:p text:style-name="P1">hidden</text:p>',
        p("seen all") + p('<text:hidden-paragraph text:is-hidden="true"/>hidden'),
        p("seen all") + f'<text:section text:display="none">{p("hidden")}</text:section>',
    ],
)
def test_what_is_set_as_hidden_is_left_out(hidden):
    automatic = style("T1", "text", display="none") + style("T2", "text", parent="Quiet")
    automatic += style("P1", "paragraph", display="none")

    text = odt(hidden, styles=style("Quiet", "text", display="none"), automatic=automatic)

    assert text.characters == "seen all"


def test_a_style_hides_only_what_is_of_its_kind_and_not_what_shows_itself_again():
    automatic = style("P1", "text", display="none") + style("T1", "text", parent="Quiet", display="true")
    body = '<text:p text:style-name="P1">a paragraph</text:p>' + p('<text:span text:style-name="T1">words</text:span>')

    text = odt(body, styles=style("Quiet", "text", display="none"), automatic=automatic)

    assert text.characters == "a paragraph\n\nwords"


def test_what_is_hidden_under_a_condition_that_does_not_hold_is_read():
    shown = p('<text:hidden-paragraph text:is-hidden="false"/>a paragraph')
    shown += p('<text:hidden-text text:is-hidden="false">words</text:hidden-text>')

    assert odt(shown).characters == "a paragraph\n\nwords"


def test_a_table_within_a_cell_stands_after_the_one_around_it():
    inner = table([p("n1"), p("n2")])

    text = odt(table([p("before") + inner + p("after"), p("beside")]))

    assert [each.rows for each in text.tables] == [(("before after", "beside"),), (("n1", "n2"),)]


def test_remarks_and_notes_in_a_cell_are_no_paragraphs_of_it():
    remark = f"<office:annotation><dc:creator>A reader</dc:creator>{p('Is this so?')}</office:annotation>"
    note = f"<text:note><text:note-citation>1</text:note-citation><text:note-body>{p('A note.')}</text:note-body>"

    text = odt(table([p(f"cell{remark}{note}</text:note>"), p("beside")]))

    assert text.tables[0].rows == (("cell A note.", "beside"),)


@pytest.mark.parametrize("shape", ["custom-shape", "rect", "g", "frame"])
def test_words_in_a_shape_stand_after_the_paragraph_that_it_is_anchored_in(shape):
    inside = f"<draw:text-box>{p('in the shape')}</draw:text-box>" if shape in {"g", "frame"} else p("in the shape")
    drawn = f"<draw:{shape}><svg:desc>a yellow box</svg:desc>{inside}</draw:{shape}>"

    assert odt(p(f"{drawn}The paragraph.")).characters == "The paragraph.\n\nin the shape"


def test_headers_of_all_kinds_of_pages_are_read_once_unless_they_are_switched_off():
    def page(name: str, kinds: dict[str, str]) -> str:
        heads = "".join(f"<style:{kind}>{p(words)}</style:{kind.partition(' ')[0]}>" for kind, words in kinds.items())
        return f'<style:master-page style:name="{name}">{heads}</style:master-page>'

    master = page("A", {"header": "Head", "header-left": "Left head", 'header-first style:display="false"': "Off"})
    master += page("B", {"header": "Head", "footer": "Foot <text:page-number>3</text:page-number>"})

    assert odt(p("Body."), master=master).characters == "Head\n\nLeft head\n\nBody.\n\nFoot"


def test_a_formula_stands_in_the_line_of_its_paragraph():
    inner = "<math:mfrac><math:mrow><math:mi>b</math:mi><math:mo>+</math:mo><math:mn>1</math:mn></math:mrow>"
    inner += "<math:msub><math:mi>a</math:mi><math:mn>2</math:mn></math:msub></math:mfrac>"
    whole = f"<math:semantics><math:mrow><math:msqrt><math:mi>x</math:mi></math:msqrt>{inner}</math:mrow>"
    formula = f"<math:math {DECLARED}>{whole}<math:annotation>sqrt x</math:annotation></math:semantics></math:math>"

    text = odt(p(f"It is {framed('Object 1')} here."), objects={"Object 1": formula})

    assert text.characters == "It is √x(b+1)/(a_2) here."


def test_the_figures_of_a_chart_are_a_table():
    figures = table([p(""), p("Tons")], [p("Spring"), p("12")])
    drawn = f"<chart:chart><chart:title>{p('Exports')}</chart:title>{figures}</chart:chart>"
    chart = f"<office:document-content {DECLARED}><office:body><office:chart>{drawn}</office:chart></office:body>"

    text = odt(p(framed("Object 1")), objects={"Object 1": f"{chart}</office:document-content>"})

    assert text.characters == "Exports\n\n\tTons\nSpring\t12"
    assert text.tables[0].rows == (("", "Tons"), ("Spring", "12"))


def test_slides_are_read_with_their_notes_and_without_what_repeats_the_master():
    spaces = f'{DECLARED} xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
    frame = '<draw:frame presentation:class="{}"><draw:text-box>{}</draw:text-box></draw:frame>'.format
    notes = frame("notes", p("Spoken.")) + frame(
        "page-number", p("<text:page-number>&lt;number&gt;</text:page-number>")
    )
    slide = frame("title", p("The title")) + frame("footer", p("A mill")) + frame("date-time", p("May"))
    page = f"<draw:page>{slide}<presentation:notes>{notes}</presentation:notes></draw:page>"
    kind = "application/vnd.oasis.opendocument.presentation"
    body = f"<office:body><office:presentation>{page}</office:presentation></office:body>"

    text = extracted(f'<office:document {spaces} office:mimetype="{kind}">{body}</office:document>'.encode(), "a.fodp")

    assert text.characters == "The title\n\nSpoken."
