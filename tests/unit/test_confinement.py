"""The parts of the confinement that need no process of their own."""

import struct

import pytest

from headrace.serving.cores import usable_cores
from headrace.serving.driving import never_awaits
from headrace.serving.runtimes.seccomp import program
from headrace.serving.runtimes.syscalls import AUDIT_ARCH, CLONE, CLONE3, PRCTL, PRLIMIT64, REFUSED, SIGNALS
from headrace.serving.sources import digest_of_sources

ALLOW, REFUSE, NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38
OWN_PID = 4242


def verdict(machine, number, *, architecture=None, first_argument=0):
    """What the kernel's interpreter of classic BPF makes of one call."""
    architecture = AUDIT_ARCH[machine] if architecture is None else architecture
    data = struct.pack("=IIQ6Q", number, architecture, 0, first_argument, 0, 0, 0, 0, 0)
    lines = program(machine, own_pid=OWN_PID)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, operand)[0]
            case 0x06:
                return operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false


@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_every_listed_call_is_refused_and_every_other_allowed(machine):
    special = {CLONE[machine], CLONE3, PRCTL[machine], PRLIMIT64[machine], *SIGNALS[machine]}

    for number in range(600):
        if number not in special:
            assert verdict(machine, number) == (REFUSE if number in REFUSED[machine] else ALLOW), number


@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_threads_may_be_started_and_processes_may_not(machine):
    assert verdict(machine, CLONE[machine], first_argument=0x003D0F00) == ALLOW
    assert verdict(machine, CLONE[machine], first_argument=17) == REFUSE
    assert verdict(machine, CLONE3) == NO_SUCH_CALL


@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_signals_and_limits_reach_the_process_itself_alone(machine):
    for number in SIGNALS[machine]:
        assert verdict(machine, number, first_argument=OWN_PID) == ALLOW
        assert verdict(machine, number, first_argument=1) == REFUSE
    assert verdict(machine, PRLIMIT64[machine], first_argument=0) == ALLOW
    assert verdict(machine, PRLIMIT64[machine], first_argument=1) == REFUSE


@pytest.mark.parametrize("machine", sorted(AUDIT_ARCH))
def test_the_tie_to_the_parent_cannot_be_cut(machine):
    assert verdict(machine, PRCTL[machine], first_argument=1) == REFUSE
    assert verdict(machine, PRCTL[machine], first_argument=15) == ALLOW


def test_calls_of_another_architecture_are_refused():
    assert verdict("x86_64", 0, architecture=0x40000003) == REFUSE
    assert verdict("x86_64", 0x40000000) == REFUSE


def test_a_quota_of_a_container_bounds_the_cores(tmp_path):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "free").write_text("max 100000\n")

    assert usable_cores(tmp_path / "cpu.max") == 1
    assert usable_cores(tmp_path / "free") == usable_cores(tmp_path / "missing") >= 1


def test_the_digest_of_sources_is_steady_and_tells_packages_apart():
    once, again = digest_of_sources("headrace"), digest_of_sources("headrace", "headrace")

    assert once == again
    assert once != digest_of_sources("msgspec")
    assert digest_of_sources("no_such_package") != once


def test_only_code_that_can_be_suspended_needs_an_event_loop():
    async def plain(number):
        return number

    async def awaits(number):
        return await plain(number)

    async def manages(lock):
        async with lock:
            return 1

    async def walks(items):
        async for item in items:
            return item
        return [item async for item in items]

    assert never_awaits(plain)
    assert not any(map(never_awaits, (awaits, manages, walks)))
