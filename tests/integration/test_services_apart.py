"""One pipeline whole in one process, and as four processes at four ports: the same answers, byte for byte."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from raised import raised

SAMPLES = Path(__file__).parents[2] / "samples" / "inbox"
DOCUMENTS = ("1103.pdf", "d_0417.txt", "es-02-2026.docx", "message-2.eml", "export-77.csv")
SERVICES = ("text_extractor", "classifier", "summarizer")
APP = "headrace_documents.app:app"
VARYING = re.compile(rb'"(decision_id|timings_ms)":("[^"]*"|\{[^}]*\}),?')


def answered(server):
    """The answers without the id of the decision and the times, which are never the same twice."""
    found = {}
    with server.client() as client:
        for name in DOCUMENTS:
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            response = client.post(
                "/v1/document-analyzer/analyze", content=(SAMPLES / name).read_bytes(), headers=headers
            )
            assert response.status_code == 200, response.text
            found[name] = VARYING.sub(b"", response.content)
    return found


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    return [tmp_path_factory.mktemp(name) for name in ("whole", "apart", *SERVICES)]


def test_services_apart_answer_as_they_do_together(homes):
    whole_home, apart_home, *service_homes = homes
    with raised(whole_home, "--only", "gateway", app=APP) as whole:
        together = answered(whole)
    with ExitStack() as stack:
        urls = {}
        for name, home in zip(SERVICES, service_homes, strict=True):
            service = stack.enter_context(raised(home, "--only", f"service:{name}", app=APP))
            urls[f"HEADRACE_SERVICES__{name.upper()}__HOST"] = service.url
        front = stack.enter_context(raised(apart_home, "--only", "gateway", app=APP, **urls))
        apart = answered(front)
        with front.client() as client:
            services = client.get("/readyz").json()["services"]

    assert set(services) == set(SERVICES)
    assert apart == together


def test_a_host_of_a_service_may_have_the_settings_of_those_who_ask_it(tmp_path):
    settings = {"HEADRACE_SERVICES__ECHO__URL": "http://127.0.0.1:9"}

    with raised(tmp_path, "--only", "service:echo", app="millapp:app", **settings) as server, server.client() as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_service_that_is_no_part_of_the_application_is_named(tmp_path):
    with pytest.raises(AssertionError, match="nothing"):
        with raised(tmp_path, "--only", "service:nothing", app=APP):
            pass
