"""The generated OpenAPI document, and the server held against it by a fuzzer that knows nothing of our code."""

from contextlib import nullcontext, suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from served import Background

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    unsupported_method,
    negative_data_rejection,
]
EXAMPLES = 12
MAY_FAIL_INSIDE = {"/v1/mill/stumble", "/v1/mill/trip"}
"""They fail on purpose."""
TAKES_FILES = {"/v1/mill/measure"}
"""Whatever the bytes are, they are a file: the fuzzer cannot send a wrong one in a form or as the body."""
SLOW = {"/v1/mill/linger"}
JOBS_ALONE = ("Prefer", "Idempotency-Key", "X-Headrace-Webhook")
"""They make a call a job, and nobody works here."""


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    with Background(tmp_path_factory.mktemp("contract")) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def operations(contract):
    return [result.ok() for result in contract.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=["valid", "invalid"])
def test_every_call_of_the_contract_is_answered_as_it_says(contract, mode):
    for operation in operations(contract):
        if operation.path in SLOW:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case):
            for name in JOBS_ALONE:
                case.headers.pop(name, None)
            excluded = [not_a_server_error] if case.operation.path in MAY_FAIL_INSIDE else []
            case.call_and_validate(checks=[each for each in CHECKS if each not in excluded], timeout=30)

        # What takes nothing cannot be sent wrongly.
        with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
            holds()


def test_the_contract_names_every_route_once_with_an_answer(contract):
    raw = contract.raw_schema

    identifiers = [each["operationId"] for methods in raw["paths"].values() for each in methods.values()]
    assert raw["openapi"] == "3.1.0"
    assert len(set(identifiers)) == len(identifiers)
    for methods in raw["paths"].values():
        for operation in methods.values():
            assert any(status.startswith("2") for status in operation["responses"])
            assert operation["summary"]


def test_the_contract_says_what_each_answer_holds(contract):
    raw = contract.raw_schema
    asked = raw["paths"]["/v1/mill/grind"]["post"]

    (form,) = asked["responses"]["200"]["content"].values()
    answer = raw["components"]["schemas"][form["schema"]["$ref"].rpartition("/")[2]]
    assert {"decision_id", "release", "variant", "degraded", "timings_ms", "output"} == set(answer["required"])
    assert answer["properties"]["output"] == {"type": "string"}
    assert set(JOBS_ALONE) <= {each["name"] for each in asked["parameters"]}
    assert "202" in asked["responses"]
