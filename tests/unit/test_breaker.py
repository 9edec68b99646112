"""The breaker: closed, open, half-open, and closed again."""

import pytest

from headrace.serving.breaker import FEWEST, FIRST_REST_S, LONGEST_REST_S, PROBES_TO_CLOSE, Breaker, BreakerState


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(clock):
    breaker = Breaker(clock=clock)
    for _ in range(FEWEST):
        breaker.permit().failed()
    return breaker


def test_it_opens_when_half_of_the_last_calls_failed_and_not_before(clock):
    breaker = Breaker(clock=clock)

    for _ in range(6):
        breaker.permit().succeeded()
    for _ in range(5):
        breaker.permit().failed()
    before = breaker.state
    breaker.permit().failed()

    assert before is BreakerState.CLOSED
    assert breaker.state is BreakerState.OPEN
    assert breaker.permit() is None


def test_a_few_failures_at_the_start_do_not_open_it(clock):
    breaker = Breaker(clock=clock)

    for _ in range(FEWEST - 1):
        breaker.permit().failed()

    assert breaker.state is BreakerState.CLOSED


def test_after_its_rest_it_lets_one_probe_pass_at_a_time(clock):
    breaker = opened(clock)

    clock.now = FIRST_REST_S
    probe = breaker.permit()

    assert breaker.state is BreakerState.HALF_OPEN
    assert probe is not None
    assert breaker.permit() is None


def test_good_probes_close_it(clock):
    breaker = opened(clock)
    clock.now = FIRST_REST_S

    for _ in range(PROBES_TO_CLOSE):
        breaker.permit().succeeded()

    assert breaker.state is BreakerState.CLOSED


def test_failed_probes_make_its_rests_longer_up_to_a_bound(clock):
    breaker = opened(clock)
    rests = []
    for _ in range(5):
        begun = clock.now
        while breaker.state is BreakerState.OPEN:
            clock.now += 0.25
        rests.append(clock.now - begun)
        breaker.permit().failed()

    assert rests == [FIRST_REST_S, 1.0, LONGEST_REST_S, LONGEST_REST_S, LONGEST_REST_S]


def test_a_probe_whose_caller_went_away_makes_room_for_the_next(clock):
    breaker = opened(clock)
    clock.now = FIRST_REST_S

    breaker.permit().abandoned()

    assert breaker.permit() is not None


def test_what_calls_from_before_it_opened_tell_changes_nothing(clock):
    breaker = Breaker(clock=clock)
    old = [breaker.permit() for _ in range(PROBES_TO_CLOSE + 1)]
    for _ in range(FEWEST):
        breaker.permit().failed()
    clock.now = FIRST_REST_S
    probe = breaker.permit()

    for permit in old:
        permit.succeeded()
    still = breaker.state
    probe.failed()

    assert still is BreakerState.HALF_OPEN
    assert breaker.state is BreakerState.OPEN
