"""The calls of `/v2`: every service in the Open Inference Protocol, for clients that know nothing of Headrace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from headrace.errors import HeadraceError, InvalidInput, Malformed, NotFound, Overloaded, ServiceFailed, TooLarge
from headrace.gateway.caller import Access
from headrace.gateway.endpoints import context_of
from headrace.gateway.operation import Content, Operation, Parameter
from headrace.gateway.problems import kind_of, problem_response
from headrace.gateway.request import Request
from headrace.gateway.response import Response, json_response
from headrace.gateway.route import Handler, Route
from headrace.serving.context import Context, Progress, within
from headrace.serving.inference import CONTENT_TYPE, MSGPACK, Face
from headrace.serving.runtime import Health, ReplicaState
from headrace.serving.service import Method
from headrace.serving.tensors import Entry, Question, Reply, Tensor, entries_of, joined, question_in

PLATFORM = "headrace"
HEADER_LENGTH = "inference-header-content-length"
UNVERSIONED = "1"
TAG = "inference"


class Asked(Protocol):
    """A service as a platform has it."""

    async def call(self, method: Method, question: object) -> Any:
        """The answer; what it took is noted in the current context."""
        ...

    @property
    def model(self) -> str | None:
        """The digest of the model that answers."""
        ...

    def health(self) -> Health:
        """How it is."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A service that is offered: its methods by name, each as tensors; the first one answers when none is named."""

    name: str
    service: Asked
    faces: Mapping[str, Face]

    @property
    def version(self) -> str:
        """The digest of its model, or 1 where it has none."""
        return self.service.model or UNVERSIONED

    @property
    def is_ready(self) -> bool:
        """Whether it can answer now."""
        health = self.service.health()
        return health.state is ReplicaState.READY and health.replicas > 0


class ServerMetadata(msgspec.Struct):
    """What this server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct):
    """A tensor as a model takes or gives it; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """A service as a model; `parameters` names its methods, separated by commas."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, str]


class InferenceError(msgspec.Struct):
    """An error by the protocol; `parameters` adds what it has no place for."""

    error: str
    parameters: dict[str, str | bool]


class Live(msgspec.Struct):
    """Whether the server lives."""

    live: bool


class Ready(msgspec.Struct):
    """Whether every service is warm."""

    ready: bool


class ModelReady(msgspec.Struct):
    """Whether one service is warm."""

    name: str
    ready: bool


_NAME = Parameter("model", "The service.", where="path", required=True, example="classifier")
_VERSION = Parameter("version", "The digest of its model.", where="path", required=True, example=UNVERSIONED)
_LENGTH = {"type": "integer", "minimum": 0, "maximum": 2**31}
_BINARY = Parameter(HEADER_LENGTH, "Where the JSON ends, when tensors follow it.", where="header", schema=_LENGTH)
_QUESTION = {"inputs": [{"name": "texts", "datatype": "BYTES", "shape": [1], "data": ["Invoice number 7"]}]}
_ERRORS = (Malformed, NotFound, TooLarge, InvalidInput, Overloaded, ServiceFailed)


@dataclass(frozen=True, slots=True)
class Desk:
    """What calls of `/v2` go through: the offers by name, a place for each call, and the usual budget."""

    offers: Mapping[str, Offer]
    admitted: Callable[[Context], AbstractContextManager[Any]]
    budget_s: float
    version: str


def routes(desk: Desk) -> list[Route]:
    """All calls of the protocol; errors are of its form, with ours in their parameters."""
    said, warm = Content(ModelMetadata), Content(ModelReady)
    model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    found = [
        Route("GET", "/v2", _server(desk), _told("The server", Content(ServerMetadata)), Access.OPEN),
        Route("GET", "/v2/health/live", _live, _told("Does it live", Content(Live)), Access.OPEN),
        Route("GET", "/v2/health/ready", _ready(desk), _told("Is every service warm", Content(Ready)), Access.OPEN),
    ]
    for path, names in ((model, (_NAME,)), (versioned, (_NAME, _VERSION))):
        infer = Operation(
            "Ask a service",
            TAG,
            "Questions are elements of one BYTES tensor, or an array. `parameters.method` names the method.",
            parameters=(*names, _BINARY),
            takes=(Content(Question, example=_QUESTION), Content(_OCTETS, media_type="application/octet-stream")),
            gives={200: Content(Reply)},
            errors=_ERRORS,
            error_form=Content(InferenceError),
        )
        found += [
            Route("GET", path, _by_protocol(_metadata(desk)), _told("A service", said, *names)),
            Route("GET", f"{path}/ready", _by_protocol(_model_ready(desk)), _told("Is it warm", warm, *names)),
            Route("POST", f"{path}/infer", _by_protocol(_infer(desk)), infer, Access.WRITE),
        ]
    return found


_OCTETS = {"type": "string", "contentMediaType": "application/octet-stream"}


def _told(summary: str, content: Content, *parameters: Parameter) -> Operation:
    gives: dict[int, Content | None] = {200: content}
    if content.schema in {Ready, ModelReady}:
        gives[503] = content
    errors = (NotFound,) if parameters else ()
    form = Content(InferenceError) if parameters else None
    return Operation(summary, TAG, parameters=parameters, gives=gives, errors=errors, error_form=form)


def _by_protocol(handle: Handler) -> Handler:
    """Errors in the form of the protocol; the status is that of the problem."""

    async def handled(request: Request) -> Any:
        try:
            return await handle(request)
        except HeadraceError as error:
            kind = kind_of(type(error))
            parameters: dict[str, str | bool] = {
                "code": error.code, "detail": error.detail, "remedy": error.remedy, "retryable": error.retryable,
            }  # fmt: skip
            told = InferenceError(error.outside, parameters)
            headers = problem_response(error, request_id=request.id).headers
            return json_response(told, status=kind.status, headers=headers)

    return handled


async def _live(_request: Request) -> Response:
    return json_response(Live(True))


def _server(desk: Desk) -> Handler:
    async def server(_request: Request) -> Response:
        return json_response(ServerMetadata("headrace", desk.version, ["binary_tensor_data"]))

    return server


def _ready(desk: Desk) -> Handler:
    async def ready(_request: Request) -> Response:
        is_ready = all(offer.is_ready for offer in desk.offers.values())
        return json_response(Ready(is_ready), status=200 if is_ready else 503)

    return ready


def _model_ready(desk: Desk) -> Handler:
    async def ready(request: Request) -> Response:
        offer = _offer(desk, request)
        is_ready = offer.is_ready
        return json_response(ModelReady(offer.name, is_ready), status=200 if is_ready else 503)

    return ready


def _metadata(desk: Desk) -> Handler:
    async def metadata(request: Request) -> Response:
        offer = _offer(desk, request)
        face = next(iter(offer.faces.values()))
        return json_response(
            ModelMetadata(
                offer.name,
                [offer.version],
                PLATFORM,
                [TensorMetadata(face.input_name, face.input_datatype, [-1])],
                [TensorMetadata("output", face.output_datatype, [-1])],
                {"methods": ",".join(offer.faces)},
            )
        )

    return metadata


def _offer(desk: Desk, request: Request) -> Offer:
    name, version = request.params["model"], request.params.get("version")
    offer = desk.offers.get(name)
    if offer is None:
        raise NotFound(f"There is no service {name[:80]!r} here.", remedy=f"There are: {', '.join(desk.offers)}.")
    if version is not None and version not in {offer.version, UNVERSIONED}:
        raise NotFound(f"{name} answers by {offer.version}, not by {version[:80]}.", remedy="Leave the version out.")
    return offer


def _infer(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def infer(request: Request) -> Response:
        offer = _offer(desk, request)
        context = context_of(request, budget_s=desk.budget_s)
        with desk.admitted(context):
            given, tensors = question_in(await request.body(), _header_length(request))
            face = _face(offer, given)
            questions = face.questions(_only(tensors, face))
            if not questions:
                raise Malformed("There is no question in it.", remedy="Send at least one element.")
            seen: list[Progress] = []
            context.progress = seen.append
            with within(context):
                values = await _all_answers(offer, face, questions)
        as_msgpack = given.parameters.get(CONTENT_TYPE) == MSGPACK
        output = face.answers(values, as_msgpack=as_msgpack)
        return _response(offer, given, output, _took(context, seen))

    return infer


async def _all_answers(offer: Offer, face: Face, questions: Sequence[Any]) -> list[Any]:
    if len(questions) == 1:
        return [await offer.service.call(face.method, questions[0])]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(offer.service.call(face.method, question)) for question in questions]
    return [task.result() for task in tasks]


def _face(offer: Offer, given: Question) -> Face:
    method = given.parameters.get("method")
    if method is None:
        return next(iter(offer.faces.values()))
    face = offer.faces.get(str(method))
    if face is None:
        raise Malformed(f"{offer.name} has no method {method!r:.80}.", remedy=f"It has {', '.join(offer.faces)}.")
    return face


def _only(tensors: Sequence[Tensor], face: Face) -> Tensor:
    if len(tensors) != 1 or tensors[0].name != face.input_name:
        names = ", ".join(repr(each.name[:40]) for each in tensors) or "none"
        raise Malformed(f"The inputs are {names}.", remedy=f"{face.method.name} takes one: {face.input_name!r}.")
    return tensors[0]


def _header_length(request: Request) -> int | None:
    given = request.header(HEADER_LENGTH)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 12):
        raise Malformed(f"Inference-Header-Content-Length is {given[:40]!r}.", remedy="Send the length of the JSON.")
    return int(given)


def _took(context: Context, seen: Sequence[Progress]) -> dict[str, str | int | float | bool]:
    """What our own callers want to know of the way to the answer; numbers, and JSON in a string."""
    took: dict[str, str | int | float | bool] = {}
    if context.calls:
        last = context.calls[-1]
        took = {"queued_ms": last.queued_ms, "compute_ms": last.compute_ms, "batch_size": last.batch_size}
    if context.degraded:
        took["degraded"] = msgspec.json.encode(context.degraded).decode()
    if context.spent:
        took["tokens"] = msgspec.json.encode(context.spent).decode()
    if seen:
        took["progress"] = msgspec.json.encode(seen).decode()
    return took


def _response(offer: Offer, given: Question, output: Tensor, took: Mapping[str, Any]) -> Response:
    wanted = next((each for each in given.outputs if each.name == output.name), Entry(output.name))
    if given.outputs and wanted not in given.outputs:
        raise Malformed(f"There is no output {given.outputs[0].name[:40]!r}.", remedy=f"There is {output.name!r}.")
    is_binary = output.parameters.get(CONTENT_TYPE) == MSGPACK or bool(
        wanted.parameters.get("binary_data", given.parameters.get("binary_data_output", False))
    )
    entries, rest = entries_of([output], binary=[is_binary])
    reply = Reply(offer.name, entries, offer.version, given.id, dict(took))
    body, length = joined(reply, rest)
    if length is None:
        return Response(body)
    return Response(body, media_type="application/octet-stream", headers=[(HEADER_LENGTH, str(length))])
