"""What an author may write, and what is refused where it is written, with what to write instead."""

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from headrace import InvalidConfiguration, Service, ServiceFailed, batched, fallback, pipeline
from headrace.assembly.parts import parts_of
from headrace.serving.driving import never_awaits
from headrace.serving.pipeline import instance_of, routes_of, services_of
from headrace.serving.question import checked_routes
from headrace.settings import Settings


class Echo(Service):
    async def echo(self, text: str) -> str:
        return text


def written(body):
    """The body of a class that `pipeline` is put above."""
    return lambda: pipeline(type("Mill", (), body))


def a_service(**body: object):
    return lambda: type("Mill", (Service,), body)


async def no_argument(self):
    return 1


async def two_arguments(self, one: str, two: str = ""):
    return one + two


async def by_name(self, *, text: str):
    return text


async def yielding(self, text: str):
    yield text


async def untold(self, text: "Nowhere"):  # noqa: F821 - the name is to be unknown
    return text


def ordinary(self, text: str):
    return text


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (written({"grind": no_argument}), r"Mill.grind takes 0 arguments"),
        (written({"grind": two_arguments}), r"Mill.grind takes 2 arguments.*one dataclass"),
        (written({"grind": by_name}), r"Mill.grind does not take its argument by place"),
        (written({"grind": yielding}), r"Mill.grind yields its answer.*Return a list"),
        (written({"grind": staticmethod(by_name)}), r"Mill.grind is a static method"),
        (written({"grind": untold}), r"Mill.grind name 'Nowhere'"),
        (a_service(grind=no_argument), r"Mill.grind takes 0 arguments"),
        (a_service(grind=two_arguments), r"Mill.grind takes 2 arguments"),
        (a_service(grind=yielding), r"Mill.grind yields its answer"),
        (a_service(load=two_arguments), r"Mill.load is async.*Write def"),
        (a_service(_less=fallback("less", of=Echo.echo)(ordinary)), r"Mill._less is a lesser way, and not async"),
        (lambda: batched(max_size=4)(ordinary), r"ordinary is batched, and not async"),
        (lambda: batched(max_size=0), r"max_size=0.*1 or more"),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused_where_it_is_written(write, named):
    with pytest.raises(InvalidConfiguration, match=named):
        write()


def test_a_private_method_may_be_written_as_its_author_likes():
    service = a_service(_grind=two_arguments, _sift=yielding)()

    assert service.methods == {}


def test_a_decorated_method_is_an_endpoint():
    def timed(function):
        @functools.wraps(function)
        def run(*arguments: object):
            return function(*arguments)

        return run

    class Timed(Service):
        @timed
        async def grind(self, corn: str) -> str:
            return corn

    @pipeline
    class Mill:
        @timed
        async def grind(self, corn: str) -> str:
            return corn

    assert [*Timed.methods] == ["grind"]
    assert not never_awaits(Timed.methods["grind"].run)
    assert [route.path for route in routes_of(Mill)] == ["mill/grind"]


def test_endpoints_of_the_classes_that_a_pipeline_extends_are_its_own():
    class Base:
        async def grind(self, corn: str) -> str:
            return corn

        async def sift(self, corn: str) -> str:
            return corn

    @pipeline
    class Mill(Base):
        async def sift(self, corn: int) -> int:
            return corn

    assert [(route.path, route.argument) for route in routes_of(Mill)] == [("mill/grind", str), ("mill/sift", int)]


def test_services_are_found_wherever_a_pipeline_holds_them():
    @pipeline
    class Inner:
        def __init__(self) -> None:
            self.echo = Echo()
            self.outer = None

        async def ask(self, text: str) -> str:
            return await self.echo.echo(text)

    class Outer:
        __slots__ = ("inner", "slotted")
        shared = Echo()

        def __init__(self) -> None:
            self.slotted = {"en": Echo(), "de": Echo()}
            self.inner = [Inner(), Echo()]
            self.inner[0].outer = self.inner[0]

    assert sorted(services_of(Outer())) == ["echo", "inner_1", "shared", "slotted_de", "slotted_en"]


def within_each_other(kind: type[Service]) -> Any:
    """A pipeline with an `Echo` called `echo`, which holds another whose own `echo` is of that kind."""

    @pipeline
    class Inner:
        def __init__(self) -> None:
            self.echo = kind()

        async def ask(self, text: str) -> str:
            return await self.echo.echo(text)

    @pipeline
    class Outer:
        def __init__(self) -> None:
            self.echo = Echo()
            self.inner = Inner()

        async def ask(self, text: str) -> str:
            return await self.inner.ask(text)

    return instance_of(Outer)


def test_services_of_one_name_in_pipelines_within_each_other_share_replicas():
    outer = within_each_other(Echo)
    bound = parts_of([outer], Settings())["echo"].bound

    assert [each is own for each, own in zip(bound, (outer.echo, outer.inner.echo), strict=True)] == [True, True]


def test_different_services_of_one_name_within_each_other_are_refused():
    class Other(Service):
        async def echo(self, text: str) -> str:
            return text

    with pytest.raises(InvalidConfiguration, match="different services under the name 'echo'"):
        parts_of([within_each_other(Other)], Settings())


async def test_a_question_may_be_given_by_its_name():
    class Pair(Service):
        async def grind(self, corn: str) -> str:
            return corn

    assert await Pair().grind(corn="rye") == "rye"
    with pytest.raises(TypeError, match="takes one argument, corn, and was given rye"):
        await Pair().grind(rye="corn")
    with pytest.raises(TypeError, match="takes one argument, corn, and was given one by place, coarsely"):
        await Pair().grind("rye", coarsely=True)
    with pytest.raises(TypeError, match="takes one argument, corn, and was given one by place, corn"):
        await Pair().grind("rye", corn="oats")


def test_the_model_of_a_bound_service_is_not_used_beside_its_replicas():
    class Table(Service):
        def load(self, artifact):
            return {"a": 1}

        def look(self, name: str) -> int:
            return self.loaded[name]

    class Elsewhere:
        async def call(self, method, question):
            return None

    table = Table()

    table.bind(Elsewhere())
    with pytest.raises(ServiceFailed, match=r"Table.loaded was used by a method that is not async.*await it"):
        table.look("a")

    table.bind(None)
    table.ensure_loaded()
    assert table.look("a") == 1


class Needy(Service):
    def __init__(self, name) -> None:
        self.name = name

    async def echo(self, text: str) -> str:
        return self.name + text


class Stranger:
    pass


@dataclass
class One:
    number: int


@dataclass
class Other:
    name: str


def test_what_a_platform_makes_is_made_without_arguments():
    class Mill:
        def __init__(self, size) -> None:
            self.size = size

    with pytest.raises(InvalidConfiguration, match="Mill is made by the platform, without arguments, and wants size"):
        instance_of(Mill)
    with pytest.raises(InvalidConfiguration, match=r"an instance of Mill.*Platform\(Mill\)"):
        instance_of(Mill(3))

    holder = type("Holder", (), {"needy": Needy("x")})()
    with pytest.raises(InvalidConfiguration, match="Needy is made by the platform, without arguments, and wants name"):
        parts_of([holder], Settings())


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        (Stranger, "JSON cannot be read as Stranger"),
        (list[Stranger], "JSON cannot be read as Stranger"),
        (One | Other, "JSON cannot be read as that: Type unions"),
    ],
)
def test_an_argument_that_no_body_can_become_is_refused_at_the_start(argument, named):
    class Mill:
        async def grind(self, corn: argument) -> str:
            return ""

    with pytest.raises(InvalidConfiguration, match=f"mill/grind takes corn, and {named}"):
        checked_routes([Mill])


def test_two_endpoints_at_one_path_are_refused():
    @pipeline
    class Mill:
        async def grind(self, corn: str) -> str:
            return corn

    with pytest.raises(InvalidConfiguration, match="Two endpoints would answer at /v1/mill/grind"):
        checked_routes([Mill, type("Mill", (Mill,), {})])
