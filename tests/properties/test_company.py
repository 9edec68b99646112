"""An answer is the same to the last byte, alone and in any company, with real graphs of both kinds."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import WIDTH, write_mlp

from headrace import OnnxModel, Service, batched
from headrace.errors import InvalidInput, UnreadableArtifact
from headrace.serving.context import Context
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.shared_work import Shelf


def row_of(seed):
    random = np.random.default_rng(seed)
    return (random.standard_normal(WIDTH) * 10.0 ** random.integers(-2, 3)).astype(np.float32)


class Careless(Service):
    """Stacks whatever it is asked, as most code for GPUs does."""

    path: Path

    def load(self, artifact):
        return onnxruntime.InferenceSession(str(self.path), providers=["CPUExecutionProvider"])

    def warm_up(self) -> Iterable[tuple[str, object]]:
        return [("score", row_of(seed)) for seed in range(4)]

    @batched(max_size=8)
    async def score(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        (scores,) = self.loaded.run(None, {"x": np.stack(rows)})
        return list(scores)


class Careful(Careless):
    """Leaves the company to the model."""

    def load(self, artifact):
        return OnnxModel.shared(self.path, self.shelf, rows=8)

    @batched(max_size=8)
    async def score(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return [answer["scores"] for answer in self.loaded.run([{"x": row} for row in rows])]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    return {
        "fp32": write_mlp(folder / "fp32.onnx", external=True),
        "int8": write_mlp(folder / "int8.onnx", int8=True),
    }


def made(kind, path):
    def make():
        service = kind()
        service.path = path
        service.shelf = Shelf()
        service.load_once(None)
        return service

    return make


async def answers_of(make, seeds, *, count):
    replicas = ThreadReplicas(make, count=count)
    await replicas.start()
    method = make().methods["score"]
    try:
        async with asyncio.timeout(60):
            alone = {seed: (await replicas.ask(method, row_of(seed), Context())).value.tobytes() for seed in set(seeds)}
            replies = await asyncio.gather(*(replicas.ask(method, row_of(seed), Context()) for seed in seeds))
    finally:
        await replicas.close()
    return alone, [reply.value.tobytes() for reply in replies], max(reply.batch_size for reply in replies)


@pytest.mark.parametrize(("kind", "graph"), [(Careful, "fp32"), (Careful, "int8"), (Careless, "int8")])
def test_answers_are_the_same_bytes_alone_and_in_any_company(graphs, kind, graph):
    @settings(deadline=None, max_examples=12)
    @given(seeds=st.lists(st.integers(0, 40), min_size=1, max_size=48), count=st.integers(1, 2))
    def holds(seeds, count):
        alone, together, _ = asyncio.run(answers_of(made(kind, graphs[graph]), seeds, count=count))

        assert together == [alone[seed] for seed in seeds]

    holds()


def test_company_does_happen_where_it_changes_nothing(graphs):
    _, _, largest = asyncio.run(answers_of(made(Careful, graphs["fp32"]), list(range(40)) * 8, count=1))

    assert largest > 1


def test_a_graph_whose_rows_depend_on_each_other_gets_no_company(graphs):
    _, _, largest = asyncio.run(answers_of(made(Careless, graphs["int8"]), list(range(40)) * 4, count=1))

    assert largest == 1


def test_rows_of_a_dynamically_quantized_graph_are_run_one_by_one(graphs):
    assert OnnxModel(graphs["int8"], rows=8).rows == 1
    assert OnnxModel(graphs["fp32"], rows=8).rows == 8


def test_a_model_is_opened_once_for_all_who_hold_the_same_content(graphs, tmp_path):
    shelf = Shelf()
    copy = write_mlp(tmp_path / "copy.onnx", external=True)

    first = OnnxModel.shared(graphs["fp32"], shelf, rows=8)

    assert OnnxModel.shared(graphs["fp32"], shelf, rows=8) is first
    assert OnnxModel.shared(graphs["int8"], shelf, rows=8) is not first
    assert OnnxModel.shared(copy, shelf).run([{"x": row_of(1)}])[0]["scores"].shape == (5,)


def test_a_model_whose_files_vanish_answers_on_and_cannot_be_opened_again(tmp_path):
    path = write_mlp(tmp_path / "gone.onnx", external=True)
    model = OnnxModel(path, rows=4)
    before = model.run([{"x": row_of(3)}])[0]["scores"].tobytes()

    for file in tmp_path.iterdir():
        file.unlink()

    assert model.run([{"x": row_of(3)}])[0]["scores"].tobytes() == before
    with pytest.raises(UnreadableArtifact, match=r"gone\.onnx"):
        OnnxModel(path)


def test_a_model_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(b"\x00noise" * 100)

    with pytest.raises(UnreadableArtifact, match=r"noise\.onnx"):
        OnnxModel(tmp_path / "noise.onnx")


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("row", [{"x": np.zeros(3, np.float32)}, {"x": np.zeros(WIDTH, np.float64)}, {}])
def test_a_row_that_the_graph_does_not_take_is_wrong_input(graphs, rows, row):
    with pytest.raises(InvalidInput, match=r"\bx\b|'x'"):
        OnnxModel(graphs["fp32"], rows=rows).run([row_of_zeros(), row] if rows > 1 else [row])


def row_of_zeros():
    return {"x": np.zeros_like(row_of(0))}
