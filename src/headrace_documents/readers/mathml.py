"""Formulas in MathML on one line, in the form that equations of office documents have."""

from __future__ import annotations

from lxml import etree

from headrace_documents.readers.equations import whole

MATH = "{http://www.w3.org/1998/Math/MathML}"
DEEPEST = 40
TOKENS = {"mi", "mn", "mo", "mtext", "ms"}
_SCRIPTS = {
    "msup": ("^",),
    "mover": ("^",),
    "msub": ("_",),
    "munder": ("_",),
    "msubsup": ("_", "^"),
    "munderover": ("_", "^"),
}


def formula_text(element: etree._Element, depth: int = 0) -> str:
    """All that is written in `element`; annotations, which say it again in another language, are left out."""
    name = str(element.tag).removeprefix(MATH)
    if name in TOKENS or depth > DEEPEST:
        return " ".join("".join(map(str, element.itertext())).split())
    parts = [
        formula_text(child, depth + 1)
        for child in element
        if isinstance(child.tag, str) and not child.tag.startswith(f"{MATH}annotation")
    ]
    if name == "mfenced":
        return f"{element.get('open', '(')}{','.join(parts)}{element.get('close', ')')}"
    return joined(name, parts)


def joined(name: str, parts: list[str]) -> str:
    """What an element called `name` makes of the texts of its children."""
    if name in _SCRIPTS and parts:
        signs = zip(_SCRIPTS[name], parts[1:], strict=False)
        return parts[0] + "".join(f"{sign}{whole(part)}" for sign, part in signs if part.strip())
    if name == "mfrac" and len(parts) == 2:
        return f"{whole(parts[0])}/{whole(parts[1])}"
    if name == "msqrt":
        return f"√{whole(''.join(parts))}"
    if name == "mroot" and len(parts) == 2:
        return f"{parts[1]}√{whole(parts[0])}"
    return {"mtable": "; ", "mtr": " "}.get(name, "").join(parts)
