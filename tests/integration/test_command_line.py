"""The commands as a user runs them: real processes, real documents, real exit codes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from headrace.domain.decision import new_id
from headrace.domain.report import QuarantinedInput
from headrace.settings import load_settings
from headrace.storage.reports import SqlReports
from headrace.storage.schema import opened_database

SAMPLES = Path(__file__).parents[2] / "samples"
DEADLINE_S = 120


def headrace(*arguments: object, cwd, input=None):  # noqa: A002 - named as in subprocess.run
    """Its finished process; the data folder is the test's own."""
    return subprocess.run(
        [sys.executable, "-c", "from headrace.cli.main import run; run()", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        input=input,
    )


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A folder with good documents, a broken one and one made to harm, analysed once with a report."""
    home = tmp_path_factory.mktemp("analysed")
    inbox = home / "inbox"
    inbox.mkdir()
    for name in ("A7-final-signed.pdf", "d_0417.txt"):
        shutil.copy(SAMPLES / "inbox" / name, inbox)
    (inbox / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no PDF")
    script = "<script>document.title='run'</script><b>Invoice</b> number 7: the amount due is 100."
    (inbox / "<img src=x onerror=alert(1)>.txt").write_text(script)
    os.mkfifo(inbox / "pipe")
    return home, headrace("analyze", "inbox", "--json", "--out", "report", cwd=home)


def test_json_lines_come_in_the_order_of_the_names_with_all_fields(analysed):
    _, done = analysed

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == [
        "inbox/<img src=x onerror=alert(1)>.txt", "inbox/A7-final-signed.pdf", "inbox/d_0417.txt",
    ]  # fmt: skip
    for line in lines:
        assert {"decision_id", "release", "document", "classification", "summary", "quality", "timings_ms"} <= set(line)
        assert 0 < line["classification"]["characters_read"] <= line["document"]["characters"]
        explanation = line["classification"]["explanation"]
        weights = sum(each["weight"] for each in explanation["evidence"])
        assert explanation["base"] + weights + explanation["rest"] == pytest.approx(explanation["total"], abs=1e-4)


def test_failures_are_told_with_reason_and_remedy_and_the_others_are_delivered(analysed):
    _, done = analysed

    assert done.returncode == 3
    told = [line for line in done.stderr.splitlines() if line.startswith("inbox/")]
    assert len(told) == 2
    assert told[0].startswith("inbox/broken.pdf: ")
    assert "a pipe" in told[1]


def test_a_decision_can_be_looked_up_and_explained_afterwards(analysed):
    home, done = analysed
    decision_id = json.loads(done.stdout.splitlines()[0])["decision_id"]

    shown = headrace("decisions", "show", decision_id, "--json", cwd=home)
    explained = headrace("decisions", "explain", decision_id, cwd=home)

    assert json.loads(shown.stdout)["decision_id"] == decision_id
    assert explained.returncode == 0
    assert "base" in explained.stdout


def test_a_real_browser_shows_the_report_and_runs_nothing_of_the_documents(analysed, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        message = "No Chromium: the report was not looked at in a browser. apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    home, _ = analysed
    page = next((home / "report" / "documents").glob("*img-src*.html"))
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
        "--disable-background-networking", "--disable-sync", f"--user-data-dir={tmp_path}",
    ]  # fmt: skip

    done = subprocess.run(
        [browser, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert "<title>run</title>" not in done.stdout
    assert "the amount due is 100" in done.stdout
    assert "&lt;script&gt;" in done.stdout
    assert "<script" not in done.stdout


def test_documents_of_which_none_can_be_read_are_a_failure(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")

    done = headrace("analyze", "empty.txt", "missing.pdf", cwd=tmp_path)

    assert done.returncode == 1
    assert "missing.pdf: There is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_on_a_full_disc_is_given_up_and_the_answers_come_all_the_same(tmp_path):
    (tmp_path / "a.txt").write_text("Invoice number 7: the amount due is 100.")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").symlink_to("/dev/full")

    done = headrace("analyze", "a.txt", "--json", "--out", "report", cwd=tmp_path)

    assert json.loads(done.stdout)["path"] == "a.txt"
    assert "report: The report is incomplete: No space left on device. Make room" in done.stderr
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)


@pytest.mark.parametrize("wish", [(), ("--json",)])
def test_answers_onto_a_full_disc_are_a_failure_in_words(tmp_path, wish):
    (tmp_path / "a.txt").write_text("Invoice number 7: the amount due is 100.")
    program = [sys.executable, "-c", "from headrace.cli.main import run; run()", "analyze", "a.txt", *wish]

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            program, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=False
        )

    assert done.returncode == 1
    assert "incomplete: No space left on device. Make room" in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_in_the_settings_are_all_the_labels_there_are(tmp_path):
    (tmp_path / "headrace.toml").write_text(
        '[services.classifier]\nlabels = {tea = "tea in leaves", ore = "iron ore"}\n'
    )
    (tmp_path / "a.txt").write_text("Two sacks of iron ore.")

    done = headrace("analyze", "a.txt", "--json", cwd=tmp_path)

    assert set(json.loads(done.stdout)["classification"]["probabilities"]) == {"tea", "ore"}


def test_a_label_set_of_one_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "headrace.toml").write_text('[services.classifier]\nlabels = {tea = "tea in leaves"}\n')
    (tmp_path / "a.txt").write_text("Two sacks of iron ore.")

    done = headrace("analyze", "a.txt", cwd=tmp_path)

    assert done.returncode == 1
    assert "at least two labels and has 1. Describe them" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("port", "told"), [("taken", "is taken"), ("99999", "is no port")])
def test_a_port_that_cannot_be_had_is_named_with_the_remedy(tmp_path, port, told):
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        chosen = str(holder.getsockname()[1]) if port == "taken" else port

        done = headrace("up", "--port", chosen, cwd=tmp_path)

    assert done.returncode == 1
    assert chosen in done.stderr
    assert told in done.stderr
    assert "--port" in done.stderr


def test_standard_input_is_a_document(tmp_path):
    done = headrace("analyze", "-", "--json", cwd=tmp_path, input="Invoice number 7: the amount due is 100.")

    assert done.returncode == 0
    assert json.loads(done.stdout)["document"]["media_type"].startswith("text/")


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze"],
        ["analyze", "a", "--colour"],
        ["frobnicate"],
        ["train", ".", "--budget", "soon"],
        ["monitor", "report", "--window", "1y"],
        ["monitor", "report", "--out", "report.pdf"],
    ],
)
def test_a_wrong_call_ends_with_2(tmp_path, arguments):
    done = headrace(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "Usage" in done.stderr


def test_a_mistyped_command_is_answered_with_the_nearest(tmp_path):
    done = headrace("analyse", "a.pdf", cwd=tmp_path)

    assert done.returncode == 2
    assert "Did you mean 'analyze'?" in done.stderr


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    done = headrace("models", "lock", "--out", "no/such/folder.lock", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: no/such/folder.lock cannot be used: No such file")


def test_a_server_whose_address_is_none_is_not_asked(tmp_path):
    done = headrace("jobs", "list", "--server", "localhost:8000", cwd=tmp_path)

    assert done.returncode == 1
    assert "'localhost:8000' is no address of a server. Write http://host:port." in done.stderr


@pytest.mark.parametrize("command", ["analyze", "train", "doctor"])
def test_every_command_has_help_with_an_example(tmp_path, command):
    done = headrace(command, "--help", cwd=tmp_path)

    assert done.returncode == 0
    assert f"headrace {command}" in done.stdout
    assert "Example" in done.stdout


def test_the_list_of_commands_imports_none_of_them(tmp_path):
    program = (
        "import sys\nfrom headrace.cli.main import run\n"
        "try:\n    run(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'sqlalchemy', 'onnxruntime', 'headrace.assembly'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_training_tells_what_could_not_be_read_and_crowns_the_new_model(tmp_path):
    shutil.copytree(SAMPLES / "train" / "invoice", tmp_path / "examples" / "invoice")
    shutil.copytree(SAMPLES / "train" / "cv", tmp_path / "examples" / "cv")
    (tmp_path / "examples" / "cv" / "broken.pdf").write_bytes(b"%PDF-1.7\nno")

    done = headrace("train", "examples", "--budget", "5s", cwd=tmp_path)

    assert done.returncode == 3, done.stderr
    assert "broken.pdf" in done.stderr
    assert "document-classifier@champion is now sha256:" in done.stdout


def kept_back(content):
    return QuarantinedInput(
        id=new_id("qua"),
        created_at=datetime.now(UTC),
        endpoint="document-analyzer/analyze",
        release="sha256:r",
        digest="sha256:question",
        filename="x.txt",
        media_type="text/plain",
        size_bytes=len(content),
        findings=(),
        input_digest=f"sha256:{sha256(content).hexdigest()}",
    )


def test_training_leaves_out_what_sits_in_quarantine_and_tells_how_many(tmp_path):
    shutil.copytree(SAMPLES / "train" / "invoice", tmp_path / "examples" / "invoice")
    shutil.copytree(SAMPLES / "train" / "cv", tmp_path / "examples" / "cv")
    bad, fine = (tmp_path / "examples" / "cv" / name for name in ("a_bad.txt", "a_fine.txt"))
    bad.write_text("curriculum vitae qqqq")
    fine.write_text("curriculum vitae of a miller")
    (tmp_path / "data").mkdir()
    settings = load_settings(tmp_path, {}, {"data": str(tmp_path / "data")})
    with closing(opened_database(settings.store_url)) as database:
        store = SqlReports(database)
        store.keep(kept_back(bad.read_bytes()))
        store.keep(kept_back(fine.read_bytes()).released(now=datetime.now(UTC), decision_id="dec_1"))
    examples = len(list((tmp_path / "examples").glob("*/*")))

    done = headrace("train", "examples", "--budget", "5s", "--data", "data", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "1 documents sit in quarantine and were left out." in done.stderr
    assert f"({examples - 1} examples)" in done.stdout


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('{"text": "a", "label": "x"}\n{"text": "b", "label": "x"}', "at least two labels"),
        ('{"text": "a", "label": "x"}\nnonsense', "Line 2"),
        ('{"text": "a"}', "Line 1"),
        ('{"text": "a", "label": null}', "got `null` - at `$.label`"),
        ('{"text": "a", "label": " "}', "Line 1"),
        ("", "at least two labels"),
    ],
)
def test_examples_that_teach_nothing_are_refused_with_the_reason(tmp_path, lines, told):
    (tmp_path / "examples.jsonl").write_text(lines)

    done = headrace("train", "examples.jsonl", cwd=tmp_path)

    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_are_taken_as_other_programs_write_them(tmp_path):
    texts = ["please pay the invoice", "invoice due on Friday", "dear sir or madam", "yours faithfully"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, (0, "0 ", 1, "1"), strict=True)]
    (tmp_path / "examples.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8-sig")

    done = headrace("train", "examples.jsonl", "--budget", "5s", "--data", "data", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    labels = [line.split()[:2] for line in done.stdout.partition("precision")[2].splitlines() if line.split()]
    assert [each for each in labels if each[0] in "01"][:2] == [["0", "2"], ["1", "2"]]


def test_what_lies_in_a_folder_and_teaches_nothing_is_told(tmp_path):
    for label, name, text in (
        ("invoice", "a.txt", "please pay the invoice"),
        ("invoice", "b.txt", "invoice due on Friday"),
        ("letter", "c.txt", "dear sir or madam"),
        ("letter", "d.txt", "please pay the invoice"),
    ):
        (tmp_path / "examples" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "examples" / label / name).write_text(text)
    (tmp_path / "examples" / "memo").mkdir()
    (tmp_path / "examples" / "loose.txt").write_text("of no label")

    done = headrace("train", "examples", "--budget", "5s", "--data", "data", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    told = " ".join(done.stderr.split())
    assert "examples/memo holds no document" in told
    assert "outside of a label's folder have no label: 1 in examples" in told
    assert "more than one label: examples/invoice/a.txt (invoice), examples/letter/d.txt (letter)" in told


def test_an_empty_folder_teaches_nothing(tmp_path):
    (tmp_path / "examples").mkdir()

    done = headrace("train", "examples", cwd=tmp_path)

    assert done.returncode == 1
    assert "one folder a label" in done.stderr


def test_the_doctor_names_what_is_broken_and_the_remedy(tmp_path):
    (tmp_path / "headrace.toml").write_text("[limits]\nuplod = 3\n")

    done = headrace("doctor", cwd=tmp_path)

    assert done.returncode == 1
    assert "upload" in done.stdout


def test_the_doctor_finds_this_machine_well(tmp_path):
    done = headrace("doctor", "--json", cwd=tmp_path)

    findings = {line["what"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert findings["data folder"]["state"] == "ok"
    assert findings["text_extractor is confined by"]["detail"]


DECISION = "dec_01a227f0-76e1-74d5-b19d-3127fe45dfdc"


@pytest.mark.parametrize(
    "command",
    [
        f"decisions show {DECISION}", f"decisions explain {DECISION}", f"decisions replay {DECISION}",
        f"decisions feedback {DECISION}", f"feedback label {DECISION} letter", f"feedback outcome {DECISION} saved 1",
        "monitor status", "monitor report", "releases list", "rollouts status", "rollouts promote", "keys list",
        "models list", "models verify", "models lock",
    ],
)  # fmt: skip
def test_a_mistyped_data_folder_is_named_and_not_made(tmp_path, command):
    asked = headrace(*command.split(), "--data", "nodata", cwd=tmp_path)

    assert asked.returncode == 1
    assert asked.stderr == "Error: Nothing is kept in nodata. Check --data; `headrace up` and `train` begin to keep.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_makes_no_data_folder(tmp_path):
    (tmp_path / "headrace.toml").write_text('[services.classifier]\nfeatures = ["words"]\n')

    examined = headrace("doctor", "--data", "nodata", cwd=tmp_path)

    assert examined.returncode == 0, examined.stdout
    assert "data folder: nodata is not there yet" in examined.stdout
    assert "store: sqlite:///nodata/headrace.db" in examined.stdout
    assert not (tmp_path / "nodata").exists()


def test_a_server_that_is_not_there_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("x")

    done = headrace("analyze", "a.txt", "--server", "http://127.0.0.1:9", cwd=tmp_path)

    assert done.returncode == 1
    assert "headrace up" in done.stderr
