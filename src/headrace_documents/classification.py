"""ClassificationService: what kind of document a text is, how sure that is, and which of its words say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from headrace import Context, InvalidConfiguration, Service, Shelf, batched, current_context, fallback
from headrace_documents.classifier.classifier import Classifier
from headrace_documents.classifier.contributions import METHOD
from headrace_documents.classifier.encoder import GRAPH_EDITION, EncoderReader
from headrace_documents.classifier.head import Head
from headrace_documents.classifier.office_labels import OFFICE_LABELS
from headrace_documents.classifier.prior import Prior
from headrace_documents.classifier.tokens import StaticReader, TokenReader
from headrace_documents.classifier.weights import MINILM, WORDLLAMA
from headrace_documents.classifier.zero_shot import zero_shot_head
from headrace_documents.joining import joined
from headrace_documents.readers.reader import Passage, Reading
from headrace_documents.schema import Classification, DocumentInfo, Text

FEATURES = ("words", "static", "minilm")
FAST_CHARACTERS = 20_000
ENCODER_BYTES, TABLE_BYTES = 30_000_000, 33_000_000


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """`labels` in words are used until a model is trained; `cache` is where the encoder's graph is kept.

    `features` of the untrained classifier besides words: `static`, `minilm`. `evidence` is how many contributions an
    answer lists.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: OFFICE_LABELS)
    features: tuple[str, ...] = ("words", "static")
    cache: str = ".headrace/cache"
    evidence: Annotated[int, msgspec.Meta(ge=0)] = 10


class ClassificationService(Service):
    """Classifies texts by the model from the registry, or by its labels' words while there is none.

    When that cannot answer, words and static vectors alone do, of the beginning of a text; and when nothing can be
    read at all, the label that was the most frequent among the examples.
    """

    model = "document-classifier"
    preloaded = True
    options: ClassifierOptions = ClassifierOptions()
    loaded: Classifier | Prior

    def load_standby(self, artifact: Path | None) -> Prior:
        """How frequent each label was among the examples; without a model all are alike."""
        return Prior.of(self.options.labels) if artifact is None else Prior.open(artifact)

    def load(self, artifact: Path | None) -> Classifier:
        """The classifier from its files, verified; without any the one that knows its labels by their words."""
        if artifact is not None:
            head = self._head(artifact)
            return Classifier(head, token_readers(head.readers, Path(self.options.cache), self.shelf))
        unknown = sorted(set(self.options.features) - set(FEATURES))
        if unknown:
            raise InvalidConfiguration(
                f"{unknown[0]!r} is no feature of the classifier.", remedy=f"Choose from {', '.join(FEATURES)}."
            )
        names = [name for name in self.options.features if name != "words"]
        readers = token_readers(names, Path(self.options.cache), self.shelf)
        table = readers.get(StaticReader.name) or static_reader(self.shelf)
        return Classifier(zero_shot_head(self.options.labels, list(readers.values()), table), readers)

    def _head(self, artifact: Path) -> Head:
        # The folder of an artifact is named by its digest: all replicas of a release share the head.
        return self.shelf.shared(f"head:{artifact.resolve()}", lambda: Head.open(artifact, shelf=self.shelf))

    def traits(self, artifact: Path | None) -> Mapping[str, Any]:
        """The labels, and how confidence and explanation come about."""
        if artifact is None:
            labels, calibration = sorted(self.options.labels), "none"
        else:
            labels, calibration = list(self._head(artifact).labels), "blended"
        return {"labels": labels, "calibration": calibration, "explanation": METHOD}

    def warm_up(self) -> Iterable[tuple[str, object]]:
        """One short text through everything."""
        return [("classify", plain_text("Invoice number 1: the amount due is 100."))]

    @batched(max_size=32)
    async def classify(self, texts: list[Text]) -> list[Classification]:
        """The label of each text; each is computed by itself, so no answer depends on the others.

        Of a long text as much is read as the caller's time allows, which `characters_read` says.
        """
        members = current_context().members
        return [self._classified(text, members[done], len(texts) - done) for done, text in enumerate(texts)]

    @fallback("fast", of=classify)
    @batched(max_size=32)
    async def _fast(self, texts: list[Text]) -> list[Classification]:
        """By what needs no encoder, from the beginning of each text."""
        assert isinstance(self.loaded, Classifier)
        classifier = self.loaded.without_encoder()
        readings = [classifier.read(text.characters[:FAST_CHARACTERS]) for text in texts]
        return [
            classifier.classification(text, reading, model=self.model or "", evidence=self.options.evidence)
            for text, reading in zip(texts, readings, strict=True)
        ]

    @fallback("prior", of=classify, on_standby=True)
    async def _prior(self, text: Text) -> Classification:  # noqa: ARG002 - no word of it is read
        """The most frequent label, whatever the text says."""
        assert isinstance(self.loaded, Prior)
        return self.loaded.classification(model=self.model or "")

    def _classified(self, text: Text, member: Context, left: int) -> Classification:
        assert isinstance(self.loaded, Classifier)
        context = current_context()
        remaining_s = context.remaining_s()
        share_s = None if remaining_s is None else remaining_s / left
        reading = self.loaded.read(text.characters, remaining_s=share_s, work=member.work)
        if reading.is_cut:
            context.report_degraded(
                "classifier", reason="deadline", used=f"the first {reading.read} of {len(text.characters)} characters"
            )
        return self.loaded.classification(text, reading, model=self.model or "", evidence=self.options.evidence)


def token_readers(names: Iterable[str], cache: Path, shelf: Shelf) -> dict[str, TokenReader]:
    """The readers of these names, those on the shelf or opened.

    Raises:
        InvalidConfiguration: one is not installed or unknown.
    """
    readers: dict[str, TokenReader] = {}
    for name in names:
        if name == StaticReader.name:
            readers[name] = static_reader(shelf)
        elif name == EncoderReader.name:
            key = f"{EncoderReader.name}:{MINILM.sha256}:{GRAPH_EDITION}:{cache.resolve()}"
            readers[name] = shelf.shared(key, lambda: EncoderReader(cache), size_bytes=ENCODER_BYTES)
        else:
            raise InvalidConfiguration(f"No token vectors are called {name!r}.", remedy="Known are static and minilm.")
    return readers


def static_reader(shelf: Shelf) -> StaticReader:
    """The table of static vectors, one in a process."""
    return shelf.shared(f"{StaticReader.name}:{WORDLLAMA.sha256}", StaticReader, size_bytes=TABLE_BYTES)


def plain_text(characters: str) -> Text:
    """A text that came without pages, with the places of its words."""
    size = len(characters.encode("utf-8", "surrogatepass"))
    info = DocumentInfo(None, "text/plain", size, "", None, len(characters), None, ocr=False, title=None)
    return joined(Reading(passages=(Passage(characters),)), info)
