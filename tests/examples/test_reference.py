"""The pages of the reference are those that the code would write: HEADRACE_WRITE_DOCS=1 writes them."""

import os
from pathlib import Path

import msgspec
import pytest

from headrace.gateway.problem_kinds import KINDS
from headrace.settings import AlertRuleSettings, OutcomeSettings, ReplicaSettings, Settings

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference"


def problems():
    lines = [
        "# Problems",
        "",
        "Errors are `application/problem+json` (RFC 9457). `code` is stable and for machines, `retryable` says whether",
        "the same call may be sent again, `detail` what failed, with which value, and what to do. `filename` is there",
        "where a file was sent that has a name.",
        "",
    ]
    for kind in KINDS:
        lines += [f"## {kind.code}", "", f"Status {kind.status}: {kind.title}.", "", kind.meaning, ""]
        lines += [f"**What to do.** {kind.remedy}", ""]
    return "\n".join(lines)


def configuration():
    lines = [
        "# Configuration",
        "",
        "Settings come from `headrace.toml` in the working folder, then from `HEADRACE_<SECTION>__<KEY>` in the",
        "environment, then from flags; the last one wins. An unknown key is an error that names the nearest known one;",
        "a variable that names no section, such as `HEADRACE_SHARED`, is none of ours and is passed over.",
        "Nothing needs to be set.",
        "",
    ]
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            lines += section(f"[{field.encode_name}]", field.type)
    lines += section("[alerts.<name>]", AlertRuleSettings)
    lines += section("[outcomes.<metric>]", OutcomeSettings)
    lines += section("[services.<name>]", ReplicaSettings)
    return "\n".join(lines)


def section(title, kind):
    told = " ".join((kind.__doc__ or "").split()).removeprefix(f"`{title}`. ")
    lines = [f"## `{title}`", "", told, "", "| key | default |", "|---|---|"]
    rows = [f"| `{field.encode_name}` | {default_of(field)} |" for field in msgspec.structs.fields(kind)]
    return [*lines, *rows, ""]


def default_of(field):
    if field.required:
        return "has to be given"
    made = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return f"`{msgspec.json.encode(made).decode()}`"


@pytest.mark.parametrize(("name", "written"), [("problems", problems), ("configuration", configuration)])
def test_a_page_of_the_reference_says_what_the_code_says(name, written):
    page = REFERENCE / f"{name}.md"
    if os.environ.get("HEADRACE_WRITE_DOCS"):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(written(), encoding="utf-8")

    assert page.read_text(encoding="utf-8") == written()


def test_every_page_is_found_from_the_first_one():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")) if path.parent != DOCS]

    assert not [page for page in pages if f"({page})" not in index]
