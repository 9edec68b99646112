"""Fields of forms in HTML, and chapters of an EPUB."""

from attacks import zipped
from extracted import check_places, extracted

LIST = "<select><option>Large<option selected>Small</select>"


def test_what_was_written_into_a_form_is_read():
    page = (
        f"<html><body><p>Size: {LIST}</p><p>Remarks:<textarea>Two lines\nof &lt;text&gt;</textarea></p></body></html>"
    )

    text = extracted(page.encode(), "a.html")

    check_places(text)
    assert text.characters.split("\n\n") == ["Size:  Small", "Remarks:", "Two lines\nof <text>"]


def test_a_list_within_a_table_shows_the_option_that_is_chosen():
    page = f"<html><body><table><tr><td>Size<td>{LIST}<tr><td>Colour<td>Red</table></body></html>"

    text = extracted(page.encode(), "a.html")

    assert text.tables[0].rows == (("Size", "Small"), ("Colour", "Red"))


def test_fields_beside_a_menu_are_no_text():
    prose = "<p>The board met on Tuesday to hear what the engineers had found below the bridge.</p>" * 3
    page = f"<html><body><nav><a href='/'>Home</a></nav><p>Sort by: {LIST}</p><main>{prose}</main></body></html>"

    assert "Small" not in extracted(page.encode(), "a.html").characters


def test_a_chapter_that_is_listed_twice_is_read_once():
    chapter = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>It was a dark night.</p></body></html>"
    items = "<item id='a' href='one.xhtml'/><item id='b' href='one.xhtml#part'/><item id='c' href='two.xhtml'/>"
    spine = "".join(f"<itemref idref='{each}'/>" for each in "abca")
    package = (
        f"<package xmlns='http://www.idpf.org/2007/opf'><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    names = "xmlns='urn:oasis:names:tc:opendocument:xmlns:container'"
    book = zipped(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": f"<container {names}><rootfile full-path='a.opf'/></container>".encode(),
            "a.opf": package.encode(),
            "one.xhtml": chapter.encode(),
            "two.xhtml": chapter.replace("dark", "bright").encode(),
        }
    )

    assert extracted(book, "a.epub").characters == "It was a dark night.\n\nIt was a bright night."
