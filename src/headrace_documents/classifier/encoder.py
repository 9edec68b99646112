"""Contextual token vectors from the encoder, whose graph is written once and kept by digest."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from headrace import InvalidConfiguration, UnreadableArtifact
from headrace_documents.classifier.tokens import Tokens, pieces, plain_tokenizer
from headrace_documents.classifier.weights import MINILM

# Raised when the graph changes, so that no old one is taken from the cache.
GRAPH_EDITION = 1
WINDOW = 254
_FIRST, _LAST = 101, 102


class EncoderReader:
    """all-MiniLM-L6-v2, one text a run on one thread: no answer depends on what else is being read.

    The graph (23 MB in int8, 90 MB in float32) is written into a folder of `cache` named after the digest of weights,
    precision and edition, and verified each time it is opened.
    """

    name = "minilm"
    width = 384

    def __init__(self, cache: Path, *, int8: bool = True) -> None:
        self.tokens_per_s = 6000 if int8 else 2500
        self.digest = f"{MINILM.sha256}-{'int8' if int8 else 'fp32'}-{GRAPH_EDITION}"
        found = MINILM.locate()
        if found is None:
            raise InvalidConfiguration("The weights of the MiniLM encoder are not installed.", remedy=MINILM.remedy)
        weights, tokenizer = found
        self._tokenizer = plain_tokenizer(tokenizer)
        # Importing the runtime takes longer than reading a model that goes without the encoder.
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        graph = _cached_graph(weights, cache / f"minilm-{self.digest[:12]}-{self.digest[65:]}", int8=int8)
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def read(self, characters: str, *, tokens: int | None = None) -> Tokens:
        """Vectors of the tokens, read in windows of 254 that do not see each other."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        is_cut = False
        for start, piece in pieces(characters):
            encoding = self._tokenizer.encode(piece, add_special_tokens=False)
            ids += encoding.ids
            spans += [(start + a, start + b) for a, b in encoding.offsets]
            if tokens is not None and len(ids) > tokens:
                is_cut = True
                break
        ids, spans = ids[:tokens], spans[:tokens]
        vectors = [self._window(ids[start : start + WINDOW]) for start in range(0, len(ids), WINDOW)]
        places = np.array(spans, np.int64).reshape(-1, 2)
        return Tokens(
            vectors=np.concatenate(vectors) if vectors else np.zeros((0, self.width), np.float32),
            starts=places[:, 0],
            ends=places[:, 1],
            read=(int(places[-1, 1]) if spans else 0) if is_cut else len(characters),
        )

    def _window(self, ids: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        framed = np.array([_FIRST, *ids, _LAST], np.int64)
        (vectors,) = self._session.run(["vectors"], {"ids": framed})
        return np.nan_to_num(np.asarray(vectors, np.float32)[1:-1])


def encoder_is_available() -> bool:
    """Whether the encoder's weights and what writes its graph are installed."""
    return MINILM.locate() is not None and find_spec("onnx") is not None


def _cached_graph(weights: Path, folder: Path, *, int8: bool) -> Path:
    path = folder / "encoder.onnx"
    if path.is_file() and _is_whole(folder):
        return path
    MINILM.verify(weights)
    if find_spec("onnx") is None:
        raise InvalidConfiguration("Writing the encoder's graph needs the package onnx.", remedy=MINILM.remedy)
    # Only whoever writes a graph needs onnx; who finds one in the cache does not.
    from headrace_documents.classifier.encoder_graph import write_encoder  # noqa: PLC0415

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
        home = Path(temporary) / "graph"
        home.mkdir()
        write_encoder(load_file(weights), home, int8=int8)
        (home / "SHA256").write_text(_digest(home), encoding="ascii")
        try:
            # Renaming onto a folder with content fails: someone else has written the same graph meanwhile.
            home.replace(folder)
        except OSError:
            if not _is_whole(folder):
                raise UnreadableArtifact(
                    f"The cached encoder {folder.name} is damaged.", remedy="Delete its folder and start again."
                ) from None
    return path


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / "SHA256").read_text(encoding="ascii") == _digest(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("encoder.onnx", "encoder.onnx.data"):
        with (folder / name).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
