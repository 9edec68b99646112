"""The Open Inference Protocol over gRPC: each call is the call of `/v2` of the same name, made within this process.

So who may call, what is admitted, how long it may take, and what is counted is one and the same on both ways.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import grpc
import msgspec
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as service

from headrace.errors import HeadraceError, ServiceFailed
from headrace.gateway.app import Gateway
from headrace.gateway.inference import HEADER_LENGTH
from headrace.gateway.place import PortUnavailable
from headrace.gateway.problems import kind_of
from headrace.gateway.protobuf_form import answer_message, metadata_message, question_body
from headrace.gateway.request import Outflow

STATUSES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED, 404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT, 422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED, 503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
MOST_CALLS = 4096
KEEPALIVE_MS = 15_000


class GrpcServer:
    """Listens at a port of its own, which several processes may share; `body_bytes` is the largest message."""

    def __init__(self, gateway: Gateway, *, host: str, port: int, body_bytes: int) -> None:
        options = [
            ("grpc.max_receive_message_length", body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 1),
            # A client that has gone without a word is noticed, and its work dropped.
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
        service.add_GRPCInferenceServiceServicer_to_server(_Servicer(gateway), self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise PortUnavailable(
                f"gRPC cannot listen at {address}.", remedy="Choose another [server] grpc_port, or 0 for none."
            ) from error

    async def start(self) -> None:
        """Returns when calls are taken."""
        await self._server.start()

    async def stop(self, *, within_s: float) -> None:
        """Takes no new calls, and lets those that came in end."""
        await self._server.stop(within_s)


class _Servicer(service.GRPCInferenceServiceServicer):  # type: ignore[misc] # generated code has no types
    """The calls of the protocol; those that only Triton has stay unimplemented."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ServerLive(self, _asked: Any, context: Any) -> Any:  # noqa: N802 - named by the protocol
        """Whether it lives."""
        return messages.ServerLiveResponse(live=await self._is_so("/v2/health/live", context))

    async def ServerReady(self, _asked: Any, context: Any) -> Any:  # noqa: N802
        """Whether every service is warm."""
        return messages.ServerReadyResponse(ready=await self._is_so("/v2/health/ready", context))

    async def ModelReady(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Whether a service is warm."""
        path = _path(asked.name, asked.version)
        return messages.ModelReadyResponse(ready=await self._is_so(f"{path}/ready", context))

    async def ServerMetadata(self, _asked: Any, context: Any) -> Any:  # noqa: N802
        """What this server is."""
        body = (await self._called("GET", "/v2", context)).body
        return metadata_message(messages.ServerMetadataResponse, body)

    async def ModelMetadata(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """What a service takes and gives."""
        body = (await self._called("GET", _path(asked.name, asked.version), context)).body
        return metadata_message(messages.ModelMetadataResponse, body)

    async def ModelInfer(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """The answer of a service."""
        try:
            body, length = question_body(asked)
        except HeadraceError as error:
            await context.abort(STATUSES[kind_of(type(error)).status], error.outside)
        path = f"{_path(asked.model_name, asked.model_version)}/infer"
        answered = await self._called("POST", path, context, body=body, header_length=length)
        length_told = answered.told.get(HEADER_LENGTH)
        return answer_message(answered.body, None if length_told is None else int(length_told))

    async def _is_so(self, path: str, context: Any) -> bool:
        answered = await self._call("GET", path, context)
        if answered.status not in {200, 503}:
            await _abort(context, answered)
        return answered.status == 200

    async def _called(
        self, method: str, path: str, context: Any, *, body: bytes = b"", header_length: int | None = None
    ) -> _Exchange:
        answered = await self._call(method, path, context, body=body, header_length=header_length)
        if answered.status != 200:
            await _abort(context, answered)
        return answered

    async def _call(
        self, method: str, path: str, context: Any, *, body: bytes = b"", header_length: int | None = None
    ) -> _Exchange:
        headers = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        headers["content-length"] = str(len(body))
        headers.pop(HEADER_LENGTH, None)
        if header_length is not None:
            headers[HEADER_LENGTH] = str(header_length)
        left_s = context.time_remaining()
        if left_s is not None:
            headers["x-request-timeout-ms"] = str(max(1, int(left_s * 1000)))
        exchange = _Exchange(method, path, headers, body)
        await self._gateway(exchange)
        return exchange


class _Exchange:
    """A call and, once it is there, its answer; who goes away is seen by gRPC, which cancels."""

    query_string = ""

    def __init__(self, method: str, path: str, asked: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers: Any = asked
        self._asked = body
        self.status = 499
        self.told: dict[str, str] = {}
        self.body = b""

    def received(self) -> bytes:
        return self._asked

    async def whole(self) -> bytes:
        return self._asked

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._asked

    def answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self.status, self.told, self.body = status, dict(headers), body

    def answer_in_pieces(self, status: int, headers: Sequence[tuple[str, str]]) -> Outflow:
        raise ServiceFailed(f"A call of the protocol was answered {status} in pieces, with {len(headers)} headers.")


def _path(model: str, version: str) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


async def _abort(context: Any, answered: _Exchange) -> None:
    """Ends the call with what the gateway said; the wait that it asks for goes along."""
    try:
        told = msgspec.json.decode(answered.body)
    except msgspec.DecodeError:
        told = {}
    detail = str(told.get("error") or told.get("detail") or f"The call ended with {answered.status}.")
    wait = answered.told.get("retry-after")
    metadata = () if wait is None else (("retry-after", wait),)
    await context.abort(STATUSES.get(answered.status, grpc.StatusCode.INTERNAL), detail, metadata)
