"""What differs between scripts: which write words without spaces, and how long a line of them is."""

from __future__ import annotations

import re

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff00-\uff9f"
"""The inside of a character class: Thai, Lao, Burmese, Khmer, kana and Han."""

_DENSE = re.compile(rf"[{UNSPACED}]")


def is_dense(text: str) -> bool:
    """Whether most of `text` is of scripts that write words without spaces; looks at its first 200 characters."""
    sample = text[:200]
    return 2 * len(_DENSE.findall(sample)) > len(sample)


def word_count(line: str) -> int:
    """How many words `line` has; two characters of a script without spaces count as one."""
    dense = len(_DENSE.findall(line))
    return len(line.split()) if not dense else len(_DENSE.sub(" ", line).split()) + (dense + 1) // 2
