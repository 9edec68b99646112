"""The encoder's graph, written by hand, against a plain forward pass in numpy from the same weights."""

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file
from scipy.special import erf

from headrace_documents.classifier.encoder import EncoderReader, encoder_is_available
from headrace_documents.classifier.encoder_graph import EPSILON, HEADS, LAYERS, WIDTH, write_encoder
from headrace_documents.classifier.weights import MINILM

pytestmark = pytest.mark.skipif(not encoder_is_available(), reason="SKIPPED: the MiniLM weights are not installed")


@pytest.fixture(scope="module")
def weights():
    path, _ = MINILM.locate()
    return load_file(path)


def norm(states, weights, name):
    centred = states - states.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def dense(states, weights, name):
    return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def forward(ids, weights):
    """BERT (Devlin et al., 2019) as the paper has it, in float64."""
    weights = {name: value.astype(np.float64) for name, value in weights.items() if value.dtype.kind == "f"}
    states = weights["embeddings.word_embeddings.weight"][ids]
    states = states + weights["embeddings.position_embeddings.weight"][: len(ids)]
    states = norm(states + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
    for number in range(LAYERS):
        name = f"encoder.layer.{number}"
        query, key, value = (
            dense(states, weights, f"{name}.attention.self.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH / HEADS)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ value).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        attended = norm(
            dense(mixed, weights, f"{name}.attention.output.dense") + states,
            weights,
            f"{name}.attention.output.LayerNorm",
        )
        wide = dense(attended, weights, f"{name}.intermediate.dense")
        narrow = dense(0.5 * wide * (1 + erf(wide / np.sqrt(2))), weights, f"{name}.output.dense")
        states = norm(narrow + attended, weights, f"{name}.output.LayerNorm")
    return states


@pytest.mark.parametrize("length", [1, 2, 17, 256])
def test_the_graph_gives_what_the_plain_forward_pass_gives(weights, tmp_path, length):
    ids = np.random.default_rng(length).integers(1000, 30000, size=length)
    session = onnxruntime.InferenceSession(str(write_encoder(weights, tmp_path, int8=False)))
    (vectors,) = session.run(["vectors"], {"ids": ids.astype(np.int64)})

    np.testing.assert_allclose(vectors, forward(ids, weights), atol=2e-5)


def test_eight_bits_keep_the_direction_of_texts(weights, tmp_path):
    exact, quick = EncoderReader(tmp_path, int8=False), EncoderReader(tmp_path, int8=True)
    for text in ("Invoice number 17: the amount due is 240 euros.", "Press the red button twice to reset the pump."):
        assert float(exact.read(text).pooled() @ quick.read(text).pooled()) > 0.98


def test_a_text_is_read_alike_whatever_was_read_before_and_every_token_has_its_place(tmp_path):
    reader = EncoderReader(tmp_path)
    text = "Salmon were counted above the weir. " * 40
    first = reader.read(text)
    reader.read("something else entirely")
    again = reader.read(text)

    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert first.read == len(text)
    assert all(text[start:end].strip() for start, end in zip(first.starts, first.ends, strict=True))


def test_a_bound_on_tokens_is_kept_and_says_how_far_it_read(tmp_path):
    text = "one two three four five six seven eight"
    found = EncoderReader(tmp_path).read(text, tokens=3)

    assert len(found.ends) == 3
    assert text[: found.read] == "one two three"


def test_a_damaged_graph_in_the_cache_is_not_taken(tmp_path):
    EncoderReader(tmp_path)
    (folder,) = (each for each in tmp_path.iterdir() if each.is_dir())
    with (folder / "encoder.onnx.data").open("r+b") as stream:
        stream.write(b"damage")

    with pytest.raises(Exception, match="damaged"):
        EncoderReader(tmp_path)
