"""Jobs that are left to others come back in good order."""

from headrace.assembly.binding import LONGEST_WAIT_S, RETURNS_A_SECOND, Returns


def test_a_job_that_is_left_again_and_again_is_looked_at_less_often():
    now = iter(range(0, 1000, 100))
    returns = Returns(ticking=lambda: float(next(now)))

    waits = [returns.wait_s(number) for number in range(1, 8)]

    assert waits == [0.25, 0.5, 1.0, 2.0, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_many_jobs_that_are_left_at_once_come_back_one_after_the_other():
    returns = Returns(ticking=lambda: 7.0)

    waits = [returns.wait_s(1) for _ in range(10_000)]

    assert waits == sorted(waits)
    assert waits[-1] - waits[0] > 0.99 * 10_000 / RETURNS_A_SECOND
