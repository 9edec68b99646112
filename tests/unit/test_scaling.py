"""How many replicas a service has, by how long questions wait for one."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.serving.scaling import GROW_EVERY_S, IDLE_S, Scaling


def test_it_grows_while_questions_wait_and_no_faster_than_replicas_come_to_life():
    scaling = Scaling(least=1, start=1, most=4)

    wanted = []
    for step in range(40):
        scaling.note(waited_s=1.0, busy=scaling.wanted, now=step * GROW_EVERY_S / 4)
        wanted.append(scaling.wanted)

    assert wanted[:9] == [2, 2, 2, 2, 3, 3, 3, 3, 4]
    assert wanted[-1] == 4


def test_it_does_not_grow_while_nobody_waits():
    scaling = Scaling(least=1, start=1, most=4)

    for step in range(100):
        scaling.note(waited_s=0.05, busy=1, now=float(step))

    assert scaling.wanted == 1


def test_what_is_not_needed_is_given_back_one_by_one():
    scaling = Scaling(least=1, start=3, most=4)
    scaling.note(waited_s=0.0, busy=3, now=0.0)

    looks = [scaling.look(now=IDLE_S * number) for number in (0.5, 1, 1.5, 2, 3, 4)]

    assert looks == [False, True, False, True, False, False]
    assert scaling.wanted == 1


def test_what_is_needed_is_kept():
    scaling = Scaling(least=1, start=2, most=4)

    for step in range(10):
        scaling.note(waited_s=0.0, busy=2, now=step * IDLE_S / 2)
        assert not scaling.look(now=step * IDLE_S / 2 + 1)

    assert scaling.wanted == 2


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9), st.floats(0, 40)), max_size=60))
def test_it_stays_within_its_bounds(events):
    scaling, now = Scaling(least=2, start=3, most=5), 0.0

    for waited_s, busy, later in events:
        now += later
        scaling.note(waited_s=waited_s, busy=busy, now=now)
        scaling.look(now=now)

        assert 2 <= scaling.wanted <= 5
