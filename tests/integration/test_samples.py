"""The project's own documents against the text that they were rendered from."""

from collections import Counter

import pytest
from extracted import SAMPLES, check_places, extracted, normal, sample, truth_of

from headrace_documents.media_types import EXTENSIONS

PICTURES = {".png", ".jpg", ".tif"}
NAMES = [
    str(path.relative_to(SAMPLES))
    for split in ("inbox", "train")
    for path in sorted((SAMPLES / split).rglob("*"))
    if path.is_file() and path.suffix not in PICTURES and not path.name.startswith(("scan-", "mixed-"))
]


def words(text: str) -> Counter[str]:
    return Counter(normal(text).split())


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_read_as_it_was_written(name):
    text = extracted(sample(name), name.rpartition("/")[2])

    check_places(text)
    truth = truth_of(name)
    missing = words(truth) - words(text.characters)
    assert missing.total() <= 0.03 * words(truth).total()
    assert text.document.media_type in {k for k, e in EXTENSIONS.items() if name.rpartition(".")[2] in e}
    assert text.document.language
