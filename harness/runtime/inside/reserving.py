"""Keeps a process and all that it starts from reserving disk without writing it.

`fallocate` takes a hundred gigabytes in a moment, so that nobody who looks once a second at a quota sees it coming, and
neighbours on the same disk pay for it. A filter of the kernel (seccomp) answers that the file system cannot do it, as
many cannot: programs write instead, which takes its time and is seen.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
MODE_FILTER = 2
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""Opcodes of classic BPF: load a word of what was called, jump by it, answer (linux/bpf_common.h)."""

NUMBER, MACHINE, SECOND_ARGUMENT = 0, 4, 24
"""Offsets in `struct seccomp_data`; of an argument the lower half, on a little-endian machine."""

ALLOW, DENY = 0x7FFF0000, 0x00050000 | errno.EOPNOTSUPP
OTHER_NUMBERS = 0x40000000
"""From here on x86_64 numbers the calls of its x32 kind, which nothing here uses."""

CALLS = {
    0xC000003E: (285, 16),  # x86_64
    0x40000003: (324, 54),  # i386, which runs on the former
    0xC00000B7: (47, 29),  # aarch64
    0x40000028: (352, 54),  # arm, which runs on the former
}
"""Machine (AUDIT_ARCH_*) -> its numbers of fallocate and ioctl."""

RESERVING = (0x40305828, 0x4030582A, 0x40305839, 0x402C5828, 0x402C582A, 0x402C5839)
"""FS_IOC_RESVSP, RESVSP64 and ZERO_RANGE, by which ioctl does the same; last as a 32-bit program says them."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def forbid() -> None:
    """From now on, for good. Raises OSError where the kernel has no such filters."""
    words = [_Instruction(*word) for machine, calls in CALLS.items() for word in _filter(machine, *calls)]
    words.append(_Instruction(RETURN, 0, 0, ALLOW))
    program = _Program(len(words), (_Instruction * len(words))(*words))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"reserving disk cannot be forbidden: {os.strerror(ctypes.get_errno())}")


def _filter(machine: int, fallocate: int, ioctl: int) -> Iterator[tuple[int, int, int, int]]:
    """What to answer to calls of one kind of machine; falls through for another. A jump counts what it leaves out."""
    asked = len(RESERVING)
    yield LOAD, 0, 0, MACHINE
    yield EQUAL, 0, asked + 7, machine
    yield LOAD, 0, 0, NUMBER
    yield AT_LEAST, asked + 4, 0, OTHER_NUMBERS
    yield EQUAL, asked + 3, 0, fallocate
    yield EQUAL, 0, asked + 1, ioctl
    yield LOAD, 0, 0, SECOND_ARGUMENT
    for number, request in enumerate(RESERVING):
        yield EQUAL, asked - number, 0, request
    yield RETURN, 0, 0, ALLOW
    yield RETURN, 0, 0, DENY
