"""The Open Inference Protocol by a client that is not ours, and by calls that are wrong."""

import asyncio
import json

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.http as triton
from authored import Echo
from served import Background, Mill, served
from tritonclient.utils import InferenceServerException

from headrace import Service, batched, pipeline
from headrace.errors import ServiceFailed
from headrace.serving.context import Context
from headrace.serving.runtimes.remote import RemoteReplicas


class Scale(Service):
    """Answers arrays with arrays."""

    @batched(max_size=8)
    async def double(self, rows: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        return [row * 2 for row in rows]


@pipeline
class Weighing:
    def __init__(self) -> None:
        self.scale = Scale()

    async def weigh(self, word: str) -> str:
        """Weighs a word."""
        return word


@pytest.fixture
async def mill(tmp_path):
    async with served(tmp_path, pipelines=(Mill, Weighing)) as it:
        yield it


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of Triton's makers; it blocks, so the server runs in another thread."""
    with Background(tmp_path_factory.mktemp("inference"), pipelines=(Mill, Weighing)) as url:
        with triton.InferenceServerClient(url.removeprefix("http://")) as it:
            yield it


def text_input(name, words):
    tensor = triton.InferInput(name, [len(words)], "BYTES")
    tensor.set_data_from_numpy(np.array([word.encode() for word in words], dtype=np.object_))
    return tensor


def test_an_independent_client_finds_everything_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    metadata = client.get_model_metadata("scale")

    assert metadata["platform"] == "headrace"
    assert metadata["inputs"] == [{"name": "rows", "datatype": "FP32", "shape": [-1]}]
    assert client.get_server_metadata()["name"] == "headrace"


@pytest.mark.parametrize("is_binary", [True, False])
def test_an_independent_client_asks_for_texts_and_gets_them_in_their_order(client, is_binary):
    words = [f"word {number} äß" for number in range(20)]
    tensor = triton.InferInput("words", [20], "BYTES")
    tensor.set_data_from_numpy(np.array([word.encode() for word in words], dtype=np.object_), binary_data=is_binary)
    wanted = [triton.InferRequestedOutput("output", binary_data=is_binary)]

    result = client.infer("echo", [tensor], outputs=wanted, request_id="7", parameters={"method": "echo_many"})

    given = [each if isinstance(each, str) else each.decode() for each in result.as_numpy("output")]
    assert given == words
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("is_binary", [True, False])
def test_an_independent_client_asks_with_arrays(client, is_binary):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensor = triton.InferInput("rows", [3, 4], "FP32")
    tensor.set_data_from_numpy(rows, binary_data=is_binary)

    result = client.infer("scale", [tensor])

    np.testing.assert_array_equal(result.as_numpy("output"), rows * 2)


def test_an_error_is_told_as_the_protocol_tells_it(client):
    with pytest.raises(InferenceServerException, match=r"a\.pdf is damaged"):
        client.infer("echo", [text_input("word", ["a.pdf"])], parameters={"method": "refuse"})
    with pytest.raises(InferenceServerException, match="no service"):
        client.infer("nothing", [text_input("word", ["x"])])


def asked(**changes: object) -> dict[str, object]:
    entry = {"name": "word", "datatype": "BYTES", "shape": [1], "data": ["x"]} | changes.pop("entry", {})
    return {"inputs": [entry], "parameters": {"method": "echo"}} | changes


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        asked(entry={"name": "other"}),
        asked(entry={"shape": [2]}),
        asked(entry={"shape": [-1]}),
        asked(entry={"shape": [0], "data": []}),
        asked(entry={"data": [1]}),
        asked(entry={"data": "x"}),
        asked(entry={"datatype": "FP32", "data": [1.0]}),
        asked(entry={"datatype": "FP99"}),
        asked(entry={"datatype": "UINT8", "data": [-1]}),
        asked(entry={"shape": [10**6, 10**6]}),
        asked(entry={"parameters": {"binary_data_size": 10}}),
        asked(entry={"parameters": {"binary_data_size": -1}}),
        asked(entry={"parameters": {"content_type": "application/msgpack"}}),
        asked(parameters={"method": "__init__"}),
        asked(outputs=[{"name": "other"}]),
    ],
    ids=str,
)
async def test_a_call_that_makes_no_sense_is_refused(mill, body):
    response = await mill.client.post("/v2/models/echo/infer", json=body)

    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "99999", "3"])
async def test_a_wrong_length_of_the_header_is_refused(mill, length):
    headers = {"Inference-Header-Content-Length": length}

    response = await mill.client.post("/v2/models/echo/infer", content=json.dumps(asked()), headers=headers)

    assert response.status_code == 400


async def test_probes_are_answered_in_the_words_of_the_protocol(mill):
    told = {path: (await mill.client.get(f"/v2/{path}")).json() for path in ("health/live", "health/ready")}

    assert told == {"health/live": {"live": True}, "health/ready": {"ready": True}}
    assert (await mill.client.get("/v2/models/echo/ready")).json() == {"name": "echo", "ready": True}


async def test_another_version_than_the_one_that_answers_is_not_found(mill):
    ready = await mill.client.get("/v2/models/echo/versions/sha256:0/ready")
    ours = await mill.client.get("/v2/models/echo/versions/1/ready")

    assert (ready.status_code, ours.status_code) == (404, 200)


async def test_a_host_that_is_not_headrace_is_asked_by_plain_tensors():
    """A host that knows the protocol and nothing of ours: it gives each text back in capitals."""
    seen = []

    async def host(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = json.loads(await reader.readexactly(length)) if length else None
            if body is not None:
                seen.append(body)
                data = [each.upper() for each in body["inputs"][0]["data"]]
                told = {"model_name": "m", "outputs": [{"name": "o", "datatype": "BYTES", "shape": [1], "data": data}]}
            else:
                told = {"name": "echo", "platform": "onnx", "inputs": [{"name": "their_name"}], "ready": True}
            answer = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()

    server = await asyncio.start_server(host, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    replicas = RemoteReplicas([f"http://127.0.0.1:{port}"], "echo", Echo.methods)
    await replicas.start()
    try:
        reply = await replicas.ask(Echo.methods["echo"], "water", Context())
    finally:
        await replicas.close()
        server.close()

    assert reply.value == "WATER"
    assert seen[0]["inputs"][0]["name"] == "their_name"
    assert "parameters" not in seen[0]


async def test_a_host_that_is_not_there_is_named_at_the_start():
    replicas = RemoteReplicas(["http://127.0.0.1:9"], "echo", Echo.methods, start_s=0.1)

    with pytest.raises(ServiceFailed, match="headrace up --only service:echo"):
        await replicas.start()
