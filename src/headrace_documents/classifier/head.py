"""The linear head: what each feature of a text adds to the score of each label, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save

from headrace import Shelf, UnreadableArtifact
from headrace_documents.classifier.prototypes import Prototypes
from headrace_documents.classifier.scale import MOST_GROWTH, MOST_POWER, PLAIN, Scale
from headrace_documents.classifier.surface import Ints, Surface
from headrace_documents.classifier.tokens import Tokens
from headrace_documents.classifier.words import Entries, Vocabulary

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

WORDS = "words"
"""What the examples say of words, pairs and n-grams."""
TERMS = "terms"
"""What the descriptions of the labels say of words."""
FORMAT = 3
_READABLE = frozenset({1, 2, FORMAT})
"""Format 1 knew one temperature for all texts, which its weights held; format 2 no prototypes."""
_ARTIFACT = "classifier.json"
_TENSORS = "head.safetensors"
_SPARE = "spare."
_PROTOTYPES = "prototypes."


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a text: its words, `entries` by vocabulary, and `tokens` by reader.

    Row p of `pairs` (pairs, 4) is a distinct pair of words: their kinds, the number of the first word where it stands
    first, and how often it stands. `read` is how many characters all of it covers, `is_cut` whether time allowed less
    than the model wants.
    """

    surface: Surface
    pairs: Ints
    entries: Mapping[str, Entries]
    tokens: Mapping[str, Tokens]
    read: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """`scores` (labels,) of a text, and what they were summed from.

    `factor` is what each summand was multiplied by, `rows` (entries, labels) are the weights that its entries met,
    `pooled` its mean token vectors by reader, and `lengths` what these were divided by. `near` (tokens, labels) is what
    each token adds by how near it comes to a prototype, for readers that have some.
    """

    scores: Scores
    factor: float
    rows: Mapping[str, Floats]
    pooled: Mapping[str, Floats]
    lengths: Mapping[str, float]
    near: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spare:
    """What a head is without its contextual reader: how likely labels are was learned anew for what is left.

    `base` (labels,), `weights` and `scale` replace those of the head; its other weights count `factors` times as much.
    """

    base: Floats
    weights: Mapping[str, Floats]
    factors: Mapping[str, float]
    scale: Scale = PLAIN


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Head:
    """`base` (labels,) and for every feature `weights` (width, labels), float32; a score is their sum, times `scale`.

    So is how near the tokens of a reader come to its `prototypes`, where it has some.

    Token vectors are divided by the length of their sum, which is taken as given: thus each token's share is exact.
    `tokens` is how many of them the contextual reader reads, `readers` the digests of the readers it was taught with.
    """

    labels: tuple[str, ...]
    base: Floats
    weights: Mapping[str, Floats]
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    tokens: int = 254
    readers: Mapping[str, str] = field(default_factory=dict)
    spare: Spare | None = None
    scale: Scale = PLAIN
    prototypes: Mapping[str, Prototypes] = field(default_factory=dict)

    def without(self, reader: str) -> Head:
        """The head for readings that lack the vectors of `reader`."""
        readers = {name: digest for name, digest in self.readers.items() if name != reader}
        kept = {name: value for name, value in self.weights.items() if name != reader}
        prototypes = {name: value for name, value in self.prototypes.items() if name != reader}
        if self.spare is None:
            return replace(self, weights=kept, readers=readers, prototypes=prototypes)
        kept = {name: value * np.float32(self.spare.factors.get(name, 1.0)) for name, value in kept.items()}
        kept |= self.spare.weights
        spare = self.spare
        return replace(
            self, base=spare.base, weights=kept, readers=readers, spare=None, scale=spare.scale, prototypes=prototypes
        )

    def scores(self, reading: Reading) -> Scores:
        """The score of every label, (labels,) float64: the log of its probability up to a constant for all labels."""
        return self.scored(reading).scores

    def scored(self, reading: Reading) -> Scored:
        """The scores, with what they were summed from."""
        total = self.base.astype(np.float64)
        rows: dict[str, Floats] = {}
        pooled: dict[str, Floats] = {}
        lengths: dict[str, float] = {}
        near: dict[str, Floats] = {}
        for name, entries in reading.entries.items():
            rows[name] = self.weights[name][entries.columns]
            total += entries.values @ rows[name]
        for name, tokens in reading.tokens.items():
            pooled[name], lengths[name] = tokens.mean()
            total += pooled[name] @ self.weights[name]
            if name in self.prototypes:
                near[name] = self.prototypes[name].shares(tokens.vectors)
                total += near[name].sum(axis=0, dtype=np.float64)
        factor = float(self.scale.factors(total, words=len(reading.surface.kinds)))
        return Scored(total * factor, factor, rows, pooled, lengths, near)

    def owned(self, reading: Reading, scored: Scored, label: int) -> Scores:
        """What each owner among the sparse features adds to the score of `label`, (owners,): words, then pairs."""
        owners = len(reading.surface.keys) + len(reading.pairs)
        owned: Scores = np.zeros(owners)
        for name, entries in reading.entries.items():
            if len(entries.columns):
                parts = entries.values * scored.rows[name][:, label]
                owned += np.bincount(entries.owners, weights=parts, minlength=owners)
        owned *= scored.factor
        return owned

    def share(self, tokens: Tokens, scored: Scored, *, name: str, label: int) -> Floats:
        """What each token of a reader adds to the score of `label`; by its mean nothing where that has no length."""
        length = scored.lengths[name]
        near = scored.near[name][:, label] * np.float32(scored.factor) if name in scored.near else np.float32(0)
        if not length:
            return near + np.zeros(len(tokens.ends), np.float32)
        # Token by token: a product with the matrix of all wakes the threads of BLAS, which takes longer than the work.
        share: Floats = np.vecdot(tokens.vectors, self.weights[name][:, label] * np.float32(scored.factor / length))
        return share + near

    def files(self) -> dict[str, bytes]:
        """The head as files of JSON and safetensors; the same head gives the same bytes."""
        tensors = {"base": self.base} | {f"weights.{name}": value for name, value in self.weights.items()}
        described: dict[str, Any] = {
            "format": FORMAT,
            "labels": list(self.labels),
            "features": sorted(self.weights),
            "tokens": self.tokens,
            "readers": dict(self.readers),
            "scale": _told(self.scale),
        }
        if self.spare is not None:
            described["spare"] = {
                "features": sorted(self.spare.weights),
                "factors": dict(self.spare.factors),
                "scale": _told(self.spare.scale),
            }
            tensors |= {f"{_SPARE}base": self.spare.base}
            tensors |= {f"{_SPARE}weights.{name}": value for name, value in self.spare.weights.items()}
        described["prototypes"] = {
            name: {"weight": each.weight, "bounds": each.bounds.tolist()} for name, each in self.prototypes.items()
        }
        tensors |= {f"{_PROTOTYPES}{name}": each.vectors for name, each in self.prototypes.items()}
        files = {_ARTIFACT: _json(described)}
        for name, vocabulary in self.vocabularies.items():
            tensors[f"idf.{name}"] = vocabulary.idf
            files[f"{name}.json"] = _json({"words": list(vocabulary.words), "grams": list(vocabulary.grams)})
        return files | {_TENSORS: save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})}

    @classmethod
    def open(cls, folder: Path, *, shelf: Shelf | None = None) -> Head:
        """The head whose files lie in `folder`; heads that were taught with the same terms share them on the `shelf`.

        Raises:
            UnreadableArtifact: a file is missing, of another edition, or its shapes do not fit together.
        """
        try:
            shelf = shelf or Shelf()
            described = json.loads((folder / _ARTIFACT).read_bytes())
            tensors = load_file(folder / _TENSORS)
            head = cls(
                labels=tuple(described["labels"]),
                base=tensors["base"],
                weights={name: tensors[f"weights.{name}"] for name in described["features"]},
                vocabularies={
                    name: _vocabulary(folder / f"{name}.json", tensors[f"idf.{name}"], shelf)
                    for name in (WORDS, TERMS)
                    if name in described["features"]
                },
                tokens=int(described["tokens"]),
                readers=described["readers"],
                spare=_spare(described.get("spare"), tensors),
                scale=_scale(described),
                prototypes=_prototypes(described.get("prototypes", {}), tensors),
            )
            head.check(described["format"])
        # A damaged file may fail in any of a dozen ways; each means the same.
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
            raise UnreadableArtifact(f"The classifier cannot be read: {broken}.", remedy="Train it again.") from broken
        except Exception as broken:
            raise UnreadableArtifact("The classifier's tensors cannot be read.", remedy="Train it again.") from broken
        return head

    def check(self, edition: int = FORMAT) -> None:
        """Raises ValueError when the parts do not fit together, or `edition` is not the one read here."""
        if edition not in _READABLE:
            raise ValueError(f"it is of format {edition}, and this version reads {FORMAT}")
        size = len(self.labels)
        for scale in (self.scale, *([self.spare.scale] if self.spare is not None else [])):
            if not (0 < scale.gain < np.inf and 0 <= scale.power <= MOST_POWER and 0 <= scale.growth <= MOST_GROWTH):
                raise ValueError(f"scores cannot be scaled by {scale}")
        widths = {name: vocabulary.width for name, vocabulary in self.vocabularies.items()}
        if any(len(vocabulary.idf) != vocabulary.width for vocabulary in self.vocabularies.values()):
            raise ValueError("its vocabulary and the rarity of its terms differ in length")
        parts = [("base", self.base[None, :]), *self.weights.items()]
        if self.spare is not None:
            parts += [("base", self.spare.base[None, :]), *self.spare.weights.items()]
        for name, value in parts:
            if value.ndim != 2 or value.shape[1] != size or not np.isfinite(value).all():
                raise ValueError(f"its weights of {name} do not fit {size} labels or are not finite")
            if name in widths and len(value) != widths[name]:
                raise ValueError(f"its weights of {name} do not fit {widths[name]} terms")
        for prototypes in self.prototypes.values():
            prototypes.check(size)


def _spare(described: Mapping[str, Any] | None, tensors: Mapping[str, Floats]) -> Spare | None:
    if described is None:
        return None
    weights = {name: tensors[f"{_SPARE}weights.{name}"] for name in described["features"]}
    factors = {name: float(value) for name, value in described["factors"].items()}
    return Spare(tensors[f"{_SPARE}base"], weights, factors, _scale(described))


def _prototypes(described: Mapping[str, Any], tensors: Mapping[str, Floats]) -> dict[str, Prototypes]:
    return {
        name: Prototypes(tensors[f"{_PROTOTYPES}{name}"], np.array(each["bounds"], np.int64), float(each["weight"]))
        for name, each in described.items()
    }


def _told(scale: Scale) -> dict[str, float]:
    """What there is of a scale; one without growth is told as scales were that had none, and read by who knows none."""
    told = asdict(scale)
    return told if scale.growth else {name: value for name, value in told.items() if name != "growth"}


def _scale(described: Mapping[str, Any]) -> Scale:
    return Scale(**{name: float(value) for name, value in described.get("scale", {}).items()})


def _vocabulary(path: Path, idf: Floats, shelf: Shelf) -> Vocabulary:
    content = path.read_bytes()

    def made() -> Vocabulary:
        terms = json.loads(content)
        return Vocabulary(_strings(terms["words"]), _strings(terms["grams"]), idf)

    digest = hashlib.sha256(hashlib.sha256(content).digest() + idf.tobytes()).hexdigest()
    return shelf.shared(f"vocabulary:{digest}", made)


def _strings(values: Sequence[object]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("its vocabulary holds something that is no text")
    return [str(value) for value in values]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
