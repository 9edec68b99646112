"""Equations of office documents on one line, as people type them: `x^2`, `a/b`, `√(n+1)`.

The markup is that of ECMA-376, part 1, section 22.1; the form that of UnicodeMath (Sargent 2016), as far as everybody
reads it.
"""

from __future__ import annotations

from lxml import etree

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
EQUATION = f"{M}oMath"
DEEPEST = 40


def equation_text(element: etree._Element, depth: int = 0) -> str:
    """All that is written in `element`, in the order in which it is read aloud."""
    if depth > DEEPEST:
        return "".join(each.text or "" for each in element.iter(f"{M}t"))
    return "".join(_piece(child, depth + 1) for child in element if isinstance(child.tag, str))


def whole(text: str) -> str:
    """In brackets where it is more than a number or a name."""
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


def _piece(element: etree._Element, depth: int) -> str:
    if element.tag == f"{M}t":
        return element.text or ""
    form = _FORMS.get(str(element.tag), equation_text)
    return form(element, depth)


def _scripts(element: etree._Element, depth: int) -> str:
    return _part(element, "e", depth) + _bounds(element, depth)


def _fraction(element: etree._Element, depth: int) -> str:
    return f"{whole(_part(element, 'num', depth))}/{whole(_part(element, 'den', depth))}"


def _root(element: etree._Element, depth: int) -> str:
    return f"{_part(element, 'deg', depth)}√{whole(_part(element, 'e', depth))}"


def _brackets(element: etree._Element, depth: int) -> str:
    inner = "|".join(equation_text(each, depth) for each in element.findall(f"{M}e"))
    return f"{_sign(element, 'd', 'begChr', '(')}{inner}{_sign(element, 'd', 'endChr', ')')}"


def _sum(element: etree._Element, depth: int) -> str:
    return f"{_sign(element, 'nary', 'chr', '∫')}{_bounds(element, depth)} {_part(element, 'e', depth)}"


def _bounds(element: etree._Element, depth: int) -> str:
    """What stands below and above."""
    marks = (("sub", "_"), ("sup", "^"))
    return "".join(f"{mark}{whole(text)}" for name, mark in marks if (text := _part(element, name, depth)))


def _function(element: etree._Element, depth: int) -> str:
    return f"{_part(element, 'fName', depth)} {_part(element, 'e', depth)}"


_FORMS = {
    f"{M}sSup": _scripts,
    f"{M}sSub": _scripts,
    f"{M}sSubSup": _scripts,
    f"{M}f": _fraction,
    f"{M}rad": _root,
    f"{M}d": _brackets,
    f"{M}nary": _sum,
    f"{M}func": _function,
}


def _part(element: etree._Element, name: str, depth: int) -> str:
    found = element.find(f"{M}{name}")
    return "" if found is None else equation_text(found, depth).strip()


def _sign(element: etree._Element, kind: str, name: str, usual: str) -> str:
    found = element.find(f"{M}{kind}Pr/{M}{name}")
    return usual if found is None else found.get(f"{M}val", "")
