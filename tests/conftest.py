"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Hypothesis asserts how long an example takes, and how long it takes to make some. On a machine that has other work to
# do neither says anything about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
