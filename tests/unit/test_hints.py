"""Aliases are written out: what they stand for decides how a question is read and an answer is checked."""

import sys
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import TypeAliasType

from headrace import Service, batched
from headrace.serving.finite import finder
from headrace.serving.hints import written_out
from headrace.serving.inference import face_of
from headrace.serving.wire import codecs_of

First, Second = TypeVar("First"), TypeVar("Second")
Word = TypeAliasType("Word", str)
Rows = TypeAliasType("Rows", list[First], type_params=(First,))
Turned = TypeAliasType("Turned", dict[Second, First], type_params=(First, Second))
Floats = TypeAliasType("Floats", np.ndarray[tuple[Any, ...], np.dtype[np.float64]])


@pytest.mark.parametrize(
    ("alias", "meant"),
    [
        (Word, str),
        (Rows[int], list[int]),
        (Rows[Word], list[str]),
        (Turned[int, str], dict[str, int]),
        (list[Rows[Word]], list[list[str]]),
        (Word | None, str | None),
        (Annotated[Word, "spoken"], Annotated[str, "spoken"]),
        (Literal["a"], Literal["a"]),
        (str, str),
        (npt.NDArray[np.float32], np.ndarray[tuple[Any, ...], np.dtype[np.float32]]),
    ],
)
def test_an_alias_is_what_it_stands_for(alias, meant):
    assert written_out(alias) == meant


def holding_itself() -> Any:
    """An alias for lists of what it is itself."""
    if sys.version_info >= (3, 12):
        names: dict[str, Any] = {}
        exec("type Tree = list[Tree]", names)
        return names["Tree"]
    # Before the statement `type` none could; this one looks like those that it makes.
    tree = SimpleNamespace()
    tree.__value__ = list[tree]
    return tree


def test_one_that_holds_itself_ends():
    tree = holding_itself()

    assert written_out(tree) == list[tree]


class Scale(Service):
    @batched(max_size=4)
    async def double(self, rows: Rows[Floats]) -> Rows[Floats]:
        return [2 * row for row in rows]


def test_questions_and_answers_are_what_their_aliases_stand_for():
    (method,) = Scale.methods.values()

    face, find = face_of(method), finder(method)
    question, _ = codecs_of(method)

    assert (face.input_datatype, face.output_datatype) == ("FP64", "FP64")
    np.testing.assert_array_equal(question.decode(question.encode(np.ones(3))), np.ones(3))
    assert find(np.array([1.0, np.nan])) == ""
