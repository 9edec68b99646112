"""Where a change gathers, though it shows in the whole first."""

import numpy as np
import pytest

from headrace.monitoring.gathered import gathered_in
from headrace.monitoring.window import Exemplar

KNOWN = frozenset({"source=erp", "source=mail", "source=web", "language=es"})


def exemplars(rng, decisions, choose):
    """Decisions of three sources; `choose` gives the language of each."""
    found = []
    for number in range(decisions):
        source = str(rng.choice(["erp", "mail", "web"], p=[0.5, 0.3, 0.2]))
        language = choose(source)
        segments = ("all", f"source={source}", f"language={language}", "variant=champion")
        categories = {"source": source, "language": language}
        found.append(Exemplar(f"dec_{number}", "r", segments, {}, categories))
    return found


def lift(name):
    return 20.0 if name == "es" else 1.0


def test_a_new_category_of_one_source_is_told_of_that_source():
    rng = np.random.default_rng(1)
    seen = exemplars(rng, 100, lambda source: "es" if source == "mail" and rng.random() < 0.5 else "en")

    assert gathered_in(seen, "language", lift, known=KNOWN) == "source=mail"


@pytest.mark.parametrize("seed", range(10))
def test_what_comes_from_all_sources_is_told_of_none(seed):
    rng = np.random.default_rng(seed)
    seen = exemplars(rng, 100, lambda _: "es" if rng.random() < 0.2 else "en")

    assert gathered_in(seen, "language", lift, known=KNOWN) is None


def test_a_segment_that_came_with_the_change_has_not_changed():
    rng = np.random.default_rng(1)
    seen = exemplars(rng, 100, lambda _: "en")
    new = [Exemplar("dec", "r", ("all", "source=fax"), {}, {"language": "es"})] * 30

    assert gathered_in([*seen, *new], "language", lift, known=KNOWN) is None
    assert gathered_in([*seen, *new], "language", lift, known=KNOWN | {"source=fax"}) is None


def test_too_few_say_nothing_of_where_they_come_from():
    rng = np.random.default_rng(1)
    seen = exemplars(rng, 100, lambda _: "en")
    few = [Exemplar("dec", "r", ("all", "source=mail"), {}, {"language": "es"})] * 3

    assert gathered_in([*seen, *few], "language", lift, known=KNOWN) is None
    assert gathered_in([*seen, *few], "weight", lift, known=KNOWN) is None
    assert gathered_in([], "language", lift, known=KNOWN) is None
