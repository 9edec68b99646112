"""The shelf: what lies on it is what was put there, whoever looks at it."""

import tracemalloc

from headrace.domain.observation import Observation
from headrace.monitoring.shelf import SketchShelf, unpacked
from headrace.monitoring.window import Seen, WindowSketch


def sketch_of_numbers(count):
    sketch = WindowSketch()
    for place in range(count):
        sketch.add(Seen.of(Observation(numbers={f"number_{each}": 1.03**place for each in range(8)})))
    return sketch


def test_what_is_done_to_a_sketch_from_the_shelf_is_not_done_to_the_shelf():
    shelf = SketchShelf({"all": sketch_of_numbers(10)})

    shelf.get("all").merge(sketch_of_numbers(5))

    assert shelf.get("all") == sketch_of_numbers(10)
    assert unpacked(shelf.packed()) == {"all": sketch_of_numbers(10)}
    assert shelf.get("source=never") is None


def test_a_shelf_holds_sketches_in_a_fraction_of_the_memory_that_they_need_at_work():
    tracemalloc.start()
    try:
        begun = tracemalloc.get_traced_memory()[0]
        at_work = sketch_of_numbers(200)
        needed = tracemalloc.get_traced_memory()[0] - begun
        shelf = SketchShelf({"all": at_work})
        packed = tracemalloc.get_traced_memory()[0] - begun - needed
    finally:
        tracemalloc.stop()

    assert len(shelf) == 1
    assert packed < needed / 5
