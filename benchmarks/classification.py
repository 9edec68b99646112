"""How well the classifier learns, beside what people build in an afternoon: accuracy, calibration, speed, additivity.

    python benchmarks/classification.py [--quick] [--only banking77] [--part learning] [--sizes 0,8] [--draws 9]

Reads `../shared/data/classification` (or `HEADRACE_SHARED`). Peers see the same texts in the same run: TF-IDF of words
and pairs with a linear SVM, and logistic regression over mean static and mean MiniLM token vectors. All of them learn
from the same examples: 8 and 32 a label (several draws) and all; and none at all (zero-shot, by the labels' names).
Beside the error of calibration stands what answers as sure as these would show if they were perfectly calibrated, which
is not 0 as tests are few, and beside both how far draws are apart (the standard deviation of one).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from time import process_time

import numpy as np
from figures import Figures, shared_folder
from labelled_texts import LabelledTexts, few_of, sets_in
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from headrace import Example, TrainedModel
from headrace.domain.model import ModelVersion
from headrace.registry.registry import ModelRegistry
from headrace_documents.classification import plain_text
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.encoder import EncoderReader
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.judging import calibration_error, calibration_error_of
from headrace_documents.classifier.softmax import probabilities
from headrace_documents.classifier.tokens import StaticReader, TokenReader, Tokens
from headrace_documents.classifier.zero_shot import label_in_words, zero_shot_head
from headrace_documents.training import ClassifierTrainer

CACHE = Path(".headrace/cache")
DRAWS = 3
SIZES = {"0": 0, "8": 8, "32": 32, "all": None}
SIMULATIONS = 200
PEER_TOKENS = 254
BUDGET_S = 900.0
QUICK_TESTS = 400
QUICK_EXAMPLES = 1500


class RememberingReader:
    """Reads each text once: peers, sizes and draws share the dear part of the work.

    Unless it is `whole`, which only a reader must be whose single tokens matter, a text is its mean as one token.
    """

    def __init__(self, reader: TokenReader, *, tokens: int | None = None, whole: bool = False) -> None:
        self.name, self.digest, self.width = reader.name, reader.digest, reader.width
        self.tokens_per_s = reader.tokens_per_s
        self._reader = reader
        self._tokens = tokens
        self._is_whole = whole
        self._known: dict[str, Tokens] = {}

    def read(self, characters: str, *, tokens: int | None = None) -> Tokens:  # noqa: ARG002 - the promise has it
        """The vectors of the text, or their mean; `tokens` is fixed when the reader is made."""
        if characters not in self._known:
            found = self._reader.read(characters, tokens=self._tokens)
            if not self._is_whole:
                place = np.zeros(1, np.int64)
                found = Tokens(found.pooled()[None, :], place, place, len(characters))
            self._known[characters] = found
        return self._known[characters]

    def means(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, width) float32."""
        return np.stack([self.read(text).pooled() for text in texts])


@dataclass(frozen=True, slots=True)
class Readers:
    """The two sources of token vectors, remembered."""

    static: RememberingReader
    minilm: RememberingReader

    def by_name(self) -> dict[str, TokenReader]:
        """As trainer and classifier take them."""
        return {"static": self.static, "minilm": self.minilm}


@dataclass(frozen=True, slots=True)
class Marks:
    """How answers fared; `least_error` is the error of calibration that they would show if it were perfect."""

    accuracy: float
    macro_f1: float
    calibration_error: float | None = None
    least_error: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer test texts, one draw, 8 and 32 examples a label")
    parser.add_argument("--only", default="", help="names of sets, parted by commas")
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws of 8 and of 32 examples a label")
    parser.add_argument("--sizes", default=",".join(SIZES), help="examples a label, parted by commas: 0, 8, 32, all")
    parser.add_argument("--part", choices=("learning", "answers", "sameness"), help="one of the three")
    arguments = parser.parse_args()
    folder = shared_folder("data/classification")
    if folder is None:
        return
    figures = Figures("classification", is_quick=arguments.quick)
    encoder = RememberingReader(EncoderReader(CACHE), tokens=PEER_TOKENS, whole=True)
    readers = Readers(RememberingReader(StaticReader()), encoder)
    kept = [name for name in arguments.only.split(",") if name]
    sets = [each for each in sets_in(folder) if not kept or each.name in kept]
    if arguments.part in {None, "learning"}:
        for each in sets:
            measured = each.cut(QUICK_EXAMPLES, QUICK_TESTS) if arguments.quick else each
            sizes = [size for size in SIZES if size in arguments.sizes.split(",")]
            measure_learning(measured, readers, figures, sizes=sizes, draws=1 if arguments.quick else arguments.draws)
    if arguments.part in {None, "answers"}:
        measure_answers(sets[0], figures, documents=300 if arguments.quick else 1000)
    if arguments.part in {None, "sameness"}:
        measure_sameness(sets[0], readers, figures)


def measure_learning(
    texts: LabelledTexts, readers: Readers, figures: Figures, *, sizes: Sequence[str], draws: int
) -> None:
    """Zero-shot, 8, 32 and all examples a label, beside the peers."""
    for name in sizes:
        size = SIZES[name]
        if size is None and figures.is_quick:
            continue
        if size == 0:
            for way, marks in zero_shot(texts, readers).items():
                tell(figures, texts, way, name, [marks])
            continue
        marks_by_way: dict[str, list[Marks]] = defaultdict(list)
        for draw in range(1 if size is None else draws):
            examples = list(texts.train) if size is None else few_of(texts.train, size, seed=draw)
            for way, marks in peers(examples, texts.test, readers).items():
                marks_by_way[way].append(marks)
            marks_by_way["headrace"].append(taught(examples, texts.test, readers, seed=draw))
        for way, found in marks_by_way.items():
            tell(figures, texts, way, name, found)


def tell(figures: Figures, texts: LabelledTexts, way: str, size: str, draws: Sequence[Marks]) -> None:
    facts = {"set": texts.name, "examples_a_label": size, "way": way, "tests": len(texts.test), "draws": len(draws)}
    for figure in ("accuracy", "macro_f1", "calibration_error", "least_error"):
        values = [value for each in draws if (value := getattr(each, figure)) is not None]
        if values:
            apart = {"spread": round(stdev(values), 6)} if len(values) > 1 else {}
            figures.tell(figure, mean(values), unit="share", **facts, **apart)


def taught(examples: Sequence[Example], tests: Sequence[Example], readers: Readers, *, seed: int) -> Marks:
    """Our classifier, trained as `headrace train` does."""
    trainer = ClassifierTrainer(descriptions={}, readers=readers.by_name())
    trained = trainer.train(examples, seed=seed, budget_s=BUDGET_S)
    _, head = registered(trained)
    classifier = Classifier(head, readers.by_name())
    scores = np.stack([head.scores(classifier.read(each.text)) for each in tests])
    return marks_of(scores, head.labels, tests)


def registered(trained: TrainedModel) -> tuple[ModelVersion, Head]:
    """The version that a registry makes of it, and the head read back from its files."""
    with tempfile.TemporaryDirectory() as folder:
        registry = ModelRegistry(Path(folder))
        version = registry.register("benchmark", trained.files, metrics=trained.metrics, lineage=trained.lineage)
        return version, Head.open(registry.folder_of(version))


def zero_shot(texts: LabelledTexts, readers: Readers) -> dict[str, Marks]:
    """Labels known by the words of their names alone."""
    labels = sorted({each.label for each in texts.train})
    described = {label: label_in_words(label) for label in labels}
    head = zero_shot_head(described, [readers.static, readers.minilm], readers.static)
    classifier = Classifier(head, readers.by_name())
    scores = np.stack([head.scores(classifier.read(each.text)) for each in texts.test])
    found = {"headrace": marks_of(scores, head.labels, texts.test)}
    for reader in (readers.static, readers.minilm):
        nearness = reader.means([each.text for each in texts.test]) @ reader.means(list(described.values())).T
        found[f"{reader.name}, nearest name"] = marks_of(nearness, labels, texts.test, is_calibrated=False)
    return found


def peers(examples: Sequence[Example], tests: Sequence[Example], readers: Readers) -> dict[str, Marks]:
    """The three ways that stand in every tutorial."""
    texts, labels = [each.text for each in examples], [each.label for each in examples]
    questions, truth = [each.text for each in tests], [each.label for each in tests]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine = LinearSVC(random_state=0).fit(vectorizer.fit_transform(texts), labels)
        found["TF-IDF + LinearSVC"] = _judged(machine.predict(vectorizer.transform(questions)), truth)
        for reader, way in ((readers.static, "static + LR"), (readers.minilm, "MiniLM + LR")):
            regression = LogisticRegression(C=10.0, max_iter=400).fit(reader.means(texts), labels)
            found[way] = _judged(regression.predict(reader.means(questions)), truth)
    return found


def _judged(answers: Sequence[str], truth: Sequence[str]) -> Marks:
    return Marks(
        float(np.mean(np.asarray(answers) == np.asarray(truth))), float(f1_score(truth, answers, average="macro"))
    )


def marks_of(
    scores: np.ndarray, labels: Sequence[str], tests: Sequence[Example], *, is_calibrated: bool = True
) -> Marks:
    """What scores (texts, labels) come to."""
    number = {label: place for place, label in enumerate(labels)}
    truth = np.array([number[each.label] for each in tests])
    judged = _judged([labels[place] for place in scores.argmax(axis=1)], [each.label for each in tests])
    if not is_calibrated:
        return judged
    return Marks(judged.accuracy, judged.macro_f1, calibration_error(scores, truth), least_error_of(scores))


def least_error_of(scores: np.ndarray) -> float:
    """The error of calibration of answers as sure as these, were each right as often as it says; by simulation."""
    confidence = probabilities(scores).max(axis=1)
    draw = np.random.default_rng(0)
    return mean(calibration_error_of(confidence, draw.random(len(confidence)) < confidence) for _ in range(SIMULATIONS))


def measure_answers(texts: LabelledTexts, figures: Figures, *, documents: int) -> None:
    """Documents a second on one core with each set of features; whether contributions add up; what explaining costs."""
    examples = few_of(texts.train, 32, seed=0)
    questions = [plain_text(each.text) for each in texts.test[:documents]]
    readers: dict[str, TokenReader] = {"static": StaticReader(), "minilm": EncoderReader(CACHE)}
    for features in (("words",), ("words", "static"), ("words", "static", "minilm")):
        trained = ClassifierTrainer(features=features, descriptions={}, readers=readers).train(
            examples, budget_s=BUDGET_S
        )
        classifier = Classifier(registered(trained)[1], readers)
        facts = {"set": texts.name, "features": "+".join(features), "documents": len(questions)}
        classify_s = explain_s = worst = 0.0
        for text in questions:
            begun = process_time()
            reading = classifier.read(text.characters)
            answer = classifier.classification(text, reading, model="benchmark")
            list(answer.explanation.evidence)
            answered = process_time()
            # Once more by itself: to know which part of the answer's time is its explanation.
            scored = classifier.head.scored(reading)
            label = int(scored.scores.argmax())
            asked = process_time()
            again = classifier.explained(text, reading, scored, label=label, evidence=len(answer.explanation.evidence))
            list(again[0].evidence)
            explained = process_time() - asked
            # What was read is let go with the answer that came of it, not while the next one is being explained.
            del again
            explain_s += explained
            classify_s += answered - begun - explained
            best = float(scored.scores[label])
            for told in (answer.explanation, answer.contributions):
                total = told.base + sum(each.weight for each in told.evidence) + told.rest
                worst = max(worst, abs(total - best), abs(told.total - best))
        figures.tell("documents_per_s", len(questions) / (classify_s + explain_s), unit="1/s", cores=1, **facts)
        figures.tell("explaining_share", explain_s / classify_s, unit="share of classifying", **facts)
        figures.tell("additivity_error", worst, unit="score", **facts)


def measure_sameness(texts: LabelledTexts, readers: Readers, figures: Figures) -> None:
    """Whether the same examples and seed, in another order, give the same model."""
    examples = few_of(texts.train, 16, seed=0)
    digests = set()
    for order in (examples, examples[::-1]):
        trained = ClassifierTrainer(descriptions={}, readers=readers.by_name()).train(order, seed=7, budget_s=BUDGET_S)
        digests.add(registered(trained)[0].digest)
    figures.tell("distinct_digests_of_two_trainings", len(digests), unit="models", set=texts.name)


if __name__ == "__main__":
    main()
