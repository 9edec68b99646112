"""The labelled texts of the shared data sets, as examples to learn from and to be tested on."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace import Example


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """A set with the split that its makers chose."""

    name: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]

    def cut(self, train: int, test: int) -> LabelledTexts:
        """A smaller set, drawn evenly; the same each time."""
        return replace(self, train=_drawn(self.train, train), test=_drawn(self.test, test))


def sets_in(folder: Path) -> Iterator[LabelledTexts]:
    """Long posts, short titles, short questions of 77 and of 150 kinds."""
    for name in ("newsgroups20", "us_bills_107", "banking77", "clinc150"):
        if (folder / name / "train.jsonl.gz").is_file():
            train, test = (_rows(folder / name / f"{part}.jsonl.gz") for part in ("train", "test"))
        else:
            path = folder / "clinc150_oos.jsonl.gz" if name == "clinc150" else folder / name / "bills.jsonl.gz"
            rows = [row for row in _rows(path) if row["label"] != "oos"]
            train, test = ([row for row in rows if row["split"] == part] for part in ("train", "test"))
        yield LabelledTexts(name, _examples(train), _examples(test))


def few_of(examples: Sequence[Example], count: int, *, seed: int) -> list[Example]:
    """At most `count` examples of every label, drawn by `seed`."""
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_label[example.label].append(example)
    draw = random.Random(seed)
    return [
        each for label in sorted(by_label) for each in draw.sample(by_label[label], min(count, len(by_label[label])))
    ]


def _drawn(examples: tuple[Example, ...], count: int) -> tuple[Example, ...]:
    if len(examples) <= count:
        return examples
    return tuple(random.Random(0).sample(examples, count))


def _examples(rows: Sequence[dict[str, Any]]) -> tuple[Example, ...]:
    return tuple(Example(str(row["text"]), str(row["label"])) for row in rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
