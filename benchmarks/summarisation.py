"""How much of people's own summaries ours share, beside lead, TextRank and LexRank.

    python benchmarks/summarisation.py [--quick]

Reads `../shared/data/summarisation` (or `HEADRACE_SHARED`): research papers without their abstract against summaries
of about 140 words, and abstracts against one sentence. TextRank and LexRank are those of sumy, ROUGE is that of
rouge-score, both installed into a place of their own; all get the same sentences and the same bound of words.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

from figures import ROOT, Figures, shared_folder

from headrace_documents.classification import plain_text
from headrace_documents.classifier.tokens import StaticReader
from headrace_documents.summarizer.extraction import extract, outline_of
from headrace_documents.summarizer.meaning import LineMeanings
from headrace_documents.summarizer.selection import Length

PEERS = ROOT / ".headrace/peers/sumy"
PEER_PACKAGES = ("sumy==0.11.0", "rouge-score==0.1.2", "numpy", "setuptools<81")
WORDS = 140


@dataclass(frozen=True, slots=True)
class Source:
    """A text to sum up within `length`: as a document has it, as sentences, and what people made of it."""

    text: str
    sentences: list[str]
    references: list[str]
    length: Length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="12 papers and 100 abstracts")
    arguments = parser.parse_args()
    folder = shared_folder("data/summarisation")
    if folder is None:
        return
    figures = Figures("summarisation", is_quick=arguments.quick)
    install_peers()
    vectors = LineMeanings(StaticReader())
    for name, sources in (("scisummnet", list(papers(folder))), ("scitldr_a", list(abstracts(folder)))):
        kept = sources[: 12 if name == "scisummnet" else 100] if arguments.quick else sources
        measure(name, kept, vectors, figures)


def measure(name: str, sources: list[Source], vectors: LineMeanings, figures: Figures) -> None:
    """ROUGE of all ways on the same texts, and what ours takes."""
    begun = process_time()
    ours = []
    for source in sources:
        text = plain_text(source.text)
        found = extract(text, outline_of(text, limit=2_000_000), length=source.length, vectors=vectors)
        ours.append(" ".join(each.text for each in found.taken))
    seconds = process_time() - begun
    questions = [
        {
            "sentences": source.sentences,
            "references": source.references,
            "headrace": summary,
            "words": source.length.words,
            "count": source.length.sentences,
        }
        for source, summary in zip(sources, ours, strict=True)
    ]
    for way, marks in judged(questions).items():
        for figure in ("rouge1", "rouge2", "rougeL"):
            figures.tell(figure, marks[figure], unit="F1 of 100", set=name, way=way, texts=len(sources))
        if "seconds" in marks:
            figures.tell("cpu_s_per_text", marks["seconds"] / len(sources), unit="s", set=name, way=way)
    figures.tell("cpu_s_per_text", seconds / len(sources), unit="s", set=name, way="headrace")


def judged(questions: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The marks of every way, by the peers' own interpreter."""
    peer = ROOT / "benchmarks/peers/summaries.py"
    done = subprocess.run(
        [PEERS / "bin/python", peer], input=json.dumps(questions), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The peers failed:\n{done.stderr}")
    marks: dict[str, dict[str, float]] = json.loads(done.stdout)
    return marks


def install_peers() -> None:
    """Puts sumy and rouge-score in a place of their own, once."""
    if (PEERS / ".done").exists():
        return
    uv = ROOT / ".venv/bin/uv"
    subprocess.run([uv, "venv", "--quiet", "--allow-existing", PEERS], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", PEERS / "bin/python", *PEER_PACKAGES], check=True)
    (PEERS / ".done").touch()


def papers(folder: Path) -> Iterator[Source]:
    """Without their abstract, from which people copied."""
    for row in _rows(folder / "scisummnet/dev.jsonl.gz"):
        sections = [(head, said) for head, said in row["sections"] if head.strip().lower() != "abstract"]
        body = "\n\n".join(f"{head}\n\n{' '.join(said)}" for head, said in sections)
        sentences = [sentence for _, said in sections for sentence in said]
        length = Length(sentences=50, words=WORDS)
        reference = row["summary"] if isinstance(row["summary"], str) else " ".join(row["summary"])
        yield Source(f"{row['title']}\n\n{body}", sentences, [reference], length)


def abstracts(folder: Path) -> Iterator[Source]:
    """Each against several one-sentence summaries, of which the nearest counts."""
    for row in _rows(folder / "scitldr_a/test.jsonl.gz"):
        length = Length(sentences=1)
        yield Source(f"{row['title']}\n\n{' '.join(row['source'])}", list(row["source"]), list(row["target"]), length)


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
