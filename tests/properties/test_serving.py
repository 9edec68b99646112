"""Whatever comes in whatever order: every question is answered once, and in its own name."""

import asyncio
from dataclasses import dataclass
from types import NoneType

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Service, Unreadable, batched
from headrace.errors import ServiceFailed
from headrace.serving.batcher import Call, Line
from headrace.serving.context import Context, Priority
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace.serving.turns import Turns
from headrace.serving.wire import Codec


class Naming(Service):
    """Answers with the number it was asked, fails where it is negative, and dies a little where it is -13."""

    @batched(max_size=4)
    async def together(self, numbers: list[int]) -> list[int]:
        return [_named(number) for number in numbers]

    @batched(max_size=4, size=abs)
    async def together_by_size(self, numbers: list[int]) -> list[int]:
        return [_named(number) for number in numbers]

    async def alone(self, number: int) -> int:
        return _named(number)

    async def awaiting(self, number: int) -> int:
        await asyncio.sleep(0)
        return _named(number)


def _named(number: int) -> int:
    if number == -13:
        raise SystemExit(13)
    if number < 0:
        raise Unreadable(f"number {number}")
    return number


@dataclass(frozen=True)
class Arrival:
    number: int
    method: str
    is_cancelled: bool
    waits: bool
    priority: Priority


arrivals = st.lists(
    st.builds(
        Arrival,
        number=st.one_of(st.just(-13), st.integers(-20, 1000)),
        method=st.sampled_from(sorted(Naming.methods)),
        is_cancelled=st.booleans(),
        waits=st.booleans(),
        priority=st.sampled_from(Priority),
    ),
    max_size=60,
)


async def outcomes_of(arrivals, count, *, may_stay_aside, turns):
    replicas = ThreadReplicas(Naming, count=count, may_stay_aside=may_stay_aside, turns=turns)
    await replicas.start()
    try:
        async with asyncio.timeout(30):
            calls = []
            for arrival in arrivals:
                context = Context(priority=arrival.priority)
                question = replicas.ask(Naming.methods[arrival.method], arrival.number, context)
                calls.append(asyncio.create_task(question))
                if arrival.waits:
                    await asyncio.sleep(0)
                if arrival.is_cancelled:
                    calls[-1].cancel()
            return await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await replicas.close()


@settings(deadline=None, max_examples=60)
@given(arrivals=arrivals, count=st.integers(1, 3), may_stay_aside=st.booleans(), in_turn=st.booleans())
def test_every_question_is_answered_once_and_in_its_own_name(arrivals, count, may_stay_aside, in_turn):
    turns = Turns.opened(cores=1) if in_turn else None
    try:
        outcomes = asyncio.run(outcomes_of(arrivals, count, may_stay_aside=may_stay_aside, turns=turns))
        assert turns is None or turns.wait_s == 0.0
    finally:
        if turns is not None:
            turns.close()

    assert len(outcomes) == len(arrivals)
    for arrival, outcome in zip(arrivals, outcomes, strict=True):
        if isinstance(outcome, asyncio.CancelledError):
            assert arrival.is_cancelled
        elif arrival.number == -13:
            assert isinstance(outcome, ServiceFailed)
        elif arrival.number < 0:
            assert isinstance(outcome, Unreadable)
            assert outcome.detail == f"number {arrival.number}"
        else:
            assert outcome.value == arrival.number
            assert 1 <= outcome.batch_size <= 4


@settings(deadline=None, max_examples=100)
@given(
    names=st.lists(st.sampled_from(sorted(Naming.methods)), min_size=1, max_size=40), gone=st.sets(st.integers(0, 39))
)
def test_a_line_gives_each_wanted_call_once_and_keeps_the_order_of_a_method(names, gone):
    loop = asyncio.new_event_loop()
    line = Line(bound=100)
    calls = [
        Call(method=Naming.methods[name], question=number, context=Context(), future=loop.create_future())
        for number, name in enumerate(names)
    ]
    for call in calls:
        line.put(call)
    for number in gone & set(range(len(calls))):
        calls[number].future.cancel()

    wanted = [call for call in calls if not call.future.cancelled()]
    batches = []
    while sum(map(len, batches)) < len(wanted):
        batches.append(line.take())
    loop.close()

    taken = [call for batch in batches for call in batch]
    assert sorted(call.question for call in taken) == [call.question for call in wanted]
    for name in Naming.methods:
        of_name = [call.question for call in taken if call.method.name == name]
        assert of_name == sorted(of_name)
    for batch in batches:
        assert len({call.method.name for call in batch}) == 1
        assert len(batch) <= (batch[0].method.max_batch_size or 1)


@dataclass(frozen=True, slots=True)
class Parcel:
    name: str | None
    content: bytes
    numbers: tuple[int, ...]
    inner: "Parcel | None" = None


parcels = st.recursive(
    st.builds(Parcel, name=st.none() | st.text(), content=st.binary(), numbers=st.tuples(st.integers(0, 2**63 - 1))),
    lambda inner: st.builds(Parcel, name=st.text(), content=st.binary(), numbers=st.just(()), inner=inner),
    max_leaves=4,
)


@given(parcels)
def test_what_crosses_the_border_arrives_as_it_was(parcel):
    codec = Codec(Parcel)

    assert codec.decode(codec.encode(parcel)) == parcel


@given(
    shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    dtype=st.sampled_from(["<i4", "<i8", "<f4", "<f8", "|u1", "<u4", "|b1"]),
)
def test_arrays_of_every_shape_cross_the_border(shape, dtype):
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    codec = Codec(np.ndarray)

    crossed = codec.decode(codec.encode(array))

    assert crossed.dtype == array.dtype
    assert crossed.shape == array.shape
    assert (crossed == array).all()
    assert crossed.flags.writeable


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise_anything_but_a_decode_error(noise):
    for kind in (Parcel, np.ndarray, NoneType, list[Parcel]):
        try:
            Codec(kind).decode(noise)
        except msgspec.DecodeError:
            continue


@given(st.binary(max_size=64))
def test_no_extension_makes_the_decoder_raise_anything_but_a_decode_error(noise):
    frame = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, noise))

    try:
        Codec(np.ndarray).decode(frame)
    except msgspec.DecodeError:
        return
