"""Fields in JSON that a question does not have: none is passed over, at whatever depth, and the nearest is named."""

import dataclasses

import msgspec
import pytest
from pydantic import BaseModel

from headrace import pipeline
from headrace.errors import Malformed
from headrace.serving.pipeline import routes_of
from headrace.serving.question import decoder_of, question_type
from headrace.serving.unknown_fields import KnownFields, refusal_of


@dataclasses.dataclass
class Grain:
    name: str
    size: int = 1


@dataclasses.dataclass
class Load:
    text: str
    options: dict[str, Grain] | None = None
    grains: list[Grain] = dataclasses.field(default_factory=list)
    pair: tuple[Grain, int] | None = None


class Sack(msgspec.Struct, tag="sack"):
    text: str
    language: str = "en"


class Label(BaseModel):
    text: str


@pipeline
class Mill:
    async def grind(self, text: str) -> int:
        return len(text)

    async def carry(self, load: Load) -> int:
        return len(load.text)

    async def store(self, sack: Sack) -> int:
        return len(sack.text)

    async def note(self, label: Label) -> int:
        return len(label.text)

    async def mix(self, value: dict[str, object]) -> int:
        return len(value)


ROUTES = {route.method: route for route in routes_of(Mill)}


def asked(method, body):
    """What a caller is told, or None where the body is taken."""
    route, content = ROUTES[method], msgspec.json.encode(body)
    known = KnownFields(question_type(route))
    try:
        decoder_of(route).decode(content)
        if known.must_be_checked:
            known.check(body)
    except msgspec.ValidationError as error:
        return str(refusal_of(error, question_type(route), content))
    except Malformed as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("method", "body", "told"),
    [
        ("grind", {"text": "a", "deadline_ms": 3}, "The body has no field 'deadline_ms'. Known are: text."),
        ("grind", {"txet": "a"}, "The body has no field 'txet'. Did you mean 'text'?"),
        ("carry", {"text": "a", "optoins": {}}, "The body has no field 'optoins'. Did you mean 'options'?"),
        (
            "carry",
            {"text": "a", "options": {"b": {"name": "c", "siez": 2}}},
            "The body has no field 'options.b.siez'. Did you mean 'size'?",
        ),
        (
            "carry",
            {"text": "a", "grains": [{"name": "b"}, {"name": "b", "sise": 2}]},
            "The body has no field 'grains[1].sise'. Did you mean 'size'?",
        ),
        (
            "carry",
            {"text": "a", "pair": [{"name": "b", "naem": ""}, 1]},
            "The body has no field 'pair[0].naem'. Did you mean 'name'?",
        ),
        (
            "store",
            {"type": "sack", "text": "a", "lang": "de"},
            "The body has no field 'lang'. Did you mean 'language'?",
        ),
    ],
)
def test_a_field_that_is_not_known_is_refused_with_the_nearest(method, body, told):
    assert asked(method, body) == told


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("grind", {"text": "a"}),
        ("carry", {"text": "a", "options": {"any": {"name": "b"}}, "grains": [{"name": "c", "size": 2}]}),
        ("carry", {"text": "a", "options": None, "pair": [{"name": "b"}, 1]}),
        ("store", {"type": "sack", "text": "a", "language": "de"}),
        ("note", {"text": "a", "more": 1}),
        ("mix", {"value": {"any": {"thing": 1}}}),
    ],
)
def test_what_is_known_is_taken_and_models_say_themselves_what_they_take(method, body):
    assert asked(method, body) is None


def test_a_value_of_another_type_is_told_as_such():
    assert asked("grind", {"text": 5}).startswith("The body does not fit: Expected `str`, got `int`")


def test_only_types_that_decoding_does_not_hold_to_their_fields_are_looked_at_again():
    checked = {method: KnownFields(question_type(route)).must_be_checked for method, route in ROUTES.items()}

    assert checked == {"grind": False, "carry": True, "store": True, "note": False, "mix": False}
