"""The numbers of the system calls that a guarded worker has no business with, by machine.

From the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h for aarch64.
Calls from 424 on have one number everywhere.
"""

from __future__ import annotations

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Sockets of every kind.
_NETWORK = {
    "x86_64": (41, 42, 43, 44, 46, 49, 50, 53, 288, 307),
    "aarch64": (198, 199, 200, 201, 202, 203, 206, 211, 242, 269),
}
# fork, vfork, execve, execveat; and leaving the group that is killed: setpgid, setsid.
_PROGRAMS = {"x86_64": (57, 58, 59, 109, 112, 322), "aarch64": (154, 157, 221, 281)}
# ptrace, process_vm_readv and _writev, kcmp, rt_sigqueueinfo, rt_tgsigqueueinfo, priorities of others.
_OTHER_PROCESSES = {
    "x86_64": (101, 129, 141, 142, 144, 297, 310, 311, 312, 314),
    "aarch64": (117, 118, 119, 138, 140, 240, 270, 271, 272, 274),
}
# mount, umount2, pivot_root, chroot, unshare, setns, file handles, fanotify_init.
_NAMESPACES = {
    "x86_64": (155, 161, 165, 166, 272, 300, 303, 304, 308),
    "aarch64": (39, 40, 41, 51, 97, 262, 264, 265, 268),
}
# What Landlock does not watch: owners, modes, times and attributes of files, nodes, and truncation by path.
_METADATA = {
    "x86_64": (76, 90, 91, 92, 93, 94, 132, 133, 188, 189, 190, 197, 198, 199, 235, 259, 260, 261, 268, 280),
    "aarch64": (5, 6, 7, 14, 15, 16, 33, 45, 52, 53, 54, 55, 88),
}
# Memory that no limit counts: memfd_create, System V and POSIX queues.
_SHARED_MEMORY = {"x86_64": (29, 30, 31, 64, 68, 240, 319), "aarch64": (180, 186, 190, 194, 195, 196, 279)}
# bpf, perf_event_open, userfaultfd, keys, modules, kexec, reboot, swap, syslog, acct, quotactl, clocks, names, ports.
_KERNEL = {
    "x86_64": (
        *(103, 135, 159, 163, 164, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 227, 246),
        *(248, 249, 250, 298, 305, 313, 320, 321, 323),
    ),
    "aarch64": (
        *(60, 89, 92, 104, 105, 106, 112, 116, 142, 161, 162, 170, 171, 217, 218, 219, 224, 225),
        *(241, 266, 273, 280, 282, 294),
    ),
}
# pidfd_send_signal, io_uring, new mount calls, pidfd_open, pidfd_getfd, process_madvise, mount_setattr, memfd_secret,
# fchmodat2, setxattrat, removexattrat.
_NEWER = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 440, 442, 447, 452, 463, 466)

_GROUPS = (_NETWORK, _PROGRAMS, _OTHER_PROCESSES, _NAMESPACES, _METADATA, _SHARED_MEMORY, _KERNEL)
REFUSED = {
    machine: tuple(sorted({number for group in _GROUPS for number in group[machine]} | set(_NEWER)))
    for machine in AUDIT_ARCH
}

CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
PRCTL = {"x86_64": 157, "aarch64": 167}
PRLIMIT64 = {"x86_64": 302, "aarch64": 261}
SIGNALS = {"x86_64": (62, 200, 234), "aarch64": (129, 130, 131)}
"""kill, tkill and tgkill: allowed towards the caller itself, for that is how a program aborts."""

SECCOMP = {"x86_64": 317, "aarch64": 277}
CAPSET = {"x86_64": 126, "aarch64": 91}
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
