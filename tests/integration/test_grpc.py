"""The Open Inference Protocol over gRPC, by a client that is not ours."""

import asyncio
from contextlib import asynccontextmanager, closing

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as blocking
import tritonclient.grpc.aio as triton
from raised import raised
from served import Mill, served
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from headrace import Service, batched, pipeline
from headrace.assembly.gateway import gateway_of
from headrace.errors import Malformed
from headrace.gateway.grpc_server import GrpcServer
from headrace.gateway.place import Place
from headrace.gateway.protobuf_form import question_body


class Scale(Service):
    """Answers arrays with arrays."""

    @batched(max_size=8)
    async def double(self, rows: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        return [row * 2 for row in rows]

    async def wait(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds


@pipeline
class Weighing:
    def __init__(self) -> None:
        self.scale = Scale()

    async def weigh(self, word: str) -> str:
        """Weighs a word."""
        return word


@asynccontextmanager
async def client(tmp_path, *, auth="auto"):
    async with served(tmp_path, pipelines=(Mill, Weighing), overrides={"server.auth": auth}) as it:
        beside = GrpcServer(gateway_of(it.running), host="127.0.0.1", port=0, body_bytes=1024 * 1024)
        await beside.start()
        try:
            async with triton.InferenceServerClient(f"127.0.0.1:{beside.port}") as found:
                yield found
        finally:
            await beside.stop(within_s=5)


def texts(name, words):
    tensor = triton.InferInput(name, [len(words)], "BYTES")
    tensor.set_data_from_numpy(np.array([word.encode() for word in words], dtype=np.object_))
    return tensor


async def test_an_independent_client_finds_everything_ready(tmp_path):
    async with client(tmp_path) as it:
        assert await it.is_server_live()
        assert await it.is_server_ready()
        assert await it.is_model_ready("scale")
        server = await it.get_server_metadata()
        model = await it.get_model_metadata("scale")

    assert server.name == "headrace"
    assert model.platform == "headrace"
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [("rows", "FP32", [-1])]


async def test_an_independent_client_asks_for_texts_and_gets_them_in_their_order(tmp_path):
    words = [f"word {number} äß" for number in range(20)]
    async with client(tmp_path) as it:
        found = await it.infer("echo", [texts("words", words)], request_id="7", parameters={"method": "echo_many"})

    assert [each.decode() for each in found.as_numpy("output")] == words
    assert found.get_response().id == "7"
    assert found.get_response().parameters["batch_size"].int64_param >= 1


async def test_an_independent_client_asks_with_arrays(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensor = triton.InferInput("rows", [3, 4], "FP32")
    tensor.set_data_from_numpy(rows)

    async with client(tmp_path) as it:
        found = await it.infer("scale", [tensor], model_version="1")

    np.testing.assert_array_equal(found.as_numpy("output"), rows * 2)


@pytest.mark.parametrize(
    ("model", "version", "tensor", "code"),
    [
        ("nothing", "", ("rows", [1], "FP32"), "NOT_FOUND"),
        ("scale", "9", ("rows", [1], "FP32"), "NOT_FOUND"),
        ("scale", "", ("columns", [1], "FP32"), "INVALID_ARGUMENT"),
        ("echo", "", ("words", [1], "FP32"), "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_wrong_is_told_by_the_status_of_grpc(tmp_path, model, version, tensor, code):
    name, shape, datatype = tensor
    asked = triton.InferInput(name, shape, datatype)
    asked.set_data_from_numpy(np.zeros(shape, np.float32))

    async with client(tmp_path) as it:
        with pytest.raises(InferenceServerException) as caught:
            await it.infer(model, [asked], model_version=version)

    assert caught.value.status().endswith(code)


async def test_a_message_over_the_limit_is_refused_and_the_next_one_is_answered(tmp_path):
    rows = np.zeros((1, 1024 * 1024), np.float32)
    tensor = triton.InferInput("rows", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)

    async with client(tmp_path) as it:
        with pytest.raises(InferenceServerException, match="larger than max"):
            await it.infer("scale", [tensor])
        assert await it.is_server_live()


async def test_the_time_of_the_caller_is_kept_to(tmp_path):
    tensor = triton.InferInput("seconds", [1], "FP64")
    tensor.set_data_from_numpy(np.array([30.0]))

    async with client(tmp_path) as it:
        with pytest.raises(InferenceServerException) as caught:
            await it.infer("scale", [tensor], parameters={"method": "wait"}, client_timeout=0.3)

    assert caught.value.status().endswith("DEADLINE_EXCEEDED")


async def test_who_names_no_key_is_not_answered_where_keys_are_asked_for(tmp_path):
    async with client(tmp_path, auth="keys") as it:
        assert await it.is_server_live()
        with pytest.raises(InferenceServerException) as caught:
            await it.infer("echo", [texts("words", ["x"])])

    assert caught.value.status().endswith("UNAUTHENTICATED")


def test_listed_contents_are_read_like_raw_ones_and_wrong_ones_are_refused():
    asked = service_pb2.ModelInferRequest(model_name="scale")
    rows = asked.inputs.add(name="rows", datatype="FP32", shape=[2])
    rows.contents.fp32_contents.extend([1.5, 2.5])

    body, length = question_body(asked)

    assert body[length:] == np.array([1.5, 2.5], "<f4").tobytes()
    rows.datatype = "FP16"
    with pytest.raises(Malformed, match="FP16"):
        question_body(asked)
    rows.datatype = "UINT8"
    rows.contents.uint_contents.append(300)
    with pytest.raises(Malformed, match="UINT8"):
        question_body(asked)
    asked.raw_input_contents.extend([b"1", b"2"])
    with pytest.raises(Malformed, match="2 raw contents"):
        question_body(asked)


def test_a_server_speaks_grpc_at_the_port_of_its_settings(tmp_path):
    with closing(Place("127.0.0.1", 0)) as place:
        port = place.port
    roles = ("--processes", 2, "--only", "gateway")
    with raised(tmp_path, *roles, HEADRACE_SERVER__GRPC_PORT=str(port)):
        with blocking.InferenceServerClient(f"127.0.0.1:{port}") as it:
            tensor = blocking.InferInput("words", [1], "BYTES")
            tensor.set_data_from_numpy(np.array([b"wheat"], dtype=np.object_))
            found = it.infer("echo", [tensor], parameters={"method": "echo_many"})

    assert found.as_numpy("output")[0] == b"wheat"
