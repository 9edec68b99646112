"""How a command that failed says so: in one plain line, which needs nothing that takes long to load."""

from __future__ import annotations

import sys

from headrace.errors import HeadraceError

RED, USUAL = "\x1b[1;31m", "\x1b[0m"


def clean(text: str) -> str:
    """`text` on one line and without anything that steers a terminal: names and documents are untrusted."""
    flat = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in flat)


def tell_error(error: HeadraceError) -> None:
    """The end of a command that failed."""
    head = f"{RED}Error: {USUAL}" if sys.stderr.isatty() else "Error: "
    sys.stderr.write(f"{head}{clean(str(error))}\n")
