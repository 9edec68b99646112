"""Fields of Word that draw what they show and have no result: the reading set above ideographs, in RTF and DOC."""

from __future__ import annotations

import re

# EQ \* jc2 \* "Font:…" \* hps10 \o\ad(\s\up 9(reading),base): overstrikes the base with its reading, raised.
_RUBY = re.compile(
    r"\s*EQ\b[^()]{0,200}\\o[^()]{0,60}\(\s*\\s\\up\s*\d{1,3}\s*\([^()]{0,200}\)\s*[,;]([^()]{0,200})\)", re.IGNORECASE
)


def base_of(instruction: str) -> str:
    """The words above which a field sets their reading; empty for any other field."""
    found = _RUBY.match(instruction)
    return found[1].strip() if found else ""
