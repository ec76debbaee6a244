"""How many threads a large step may use.

By default as many as this process has CPUs: those of its affinity, and no more than its cgroup may use at a time.
The environment variable ``GDCORE_NUM_THREADS`` gives another number. Small steps use the caller's thread alone.
"""

import math
import numbers
import os
from typing import Final

from . import _pool

ENVIRONMENT: Final = "GDCORE_NUM_THREADS"


def set_num_threads(count: int) -> None:
    """Use at most ``count`` threads, the caller's among them, for each step from now on.

    Results do not depend on it. Raises TypeError unless ``count`` is an integer, ValueError unless it is >= 1.

    Arguments:
        count: an int >= 1.

    >>> import gdcore as gd
    >>> before = gd.get_num_threads()
    >>> gd.set_num_threads(1)
    >>> gd.get_num_threads()
    1
    >>> gd.set_num_threads(before)
    """
    if isinstance(count, bool) or not isinstance(count, numbers.Integral):
        raise TypeError(f"count: expected an integer >= 1, got {count!r}")
    if count < 1:
        raise ValueError(f"count: expected an integer >= 1, got {count}")
    _pool.set_threads(min(int(count), 2**31 - 1))


def get_num_threads() -> int:
    """Return how many threads a large step may use, the caller's among them; at most 64.

    >>> import gdcore as gd
    >>> gd.get_num_threads() >= 1
    True
    """
    return _pool.threads()


def default_threads(cgroups: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> int:
    """Return the number of CPUs that this process may use at a time."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        groups = [line.split(":", 2)[2].strip("/") for line in _read(own).splitlines()]
    except (OSError, IndexError):
        return cpus
    limits = [limit for group in {"", *groups} for limit in _quotas(cgroups, group)]
    return max(1, min([cpus, *(math.ceil(limit) for limit in limits)]))


def _quotas(cgroups: str, group: str) -> list[float]:
    # A limit set on any ancestor holds too. Version 2 has cpu.max, version 1 two files under cpu/.
    parts = group.split("/") if group else []
    found = []
    for depth in range(len(parts), -1, -1):
        place = "/".join(parts[:depth])
        try:
            quota, period = _read(f"{cgroups}/{place}/cpu.max").split()
            found.append(float(quota) / float(period))
        except (OSError, ValueError):  # no such file, or "max"
            pass
        try:
            quota, period = (_read(f"{cgroups}/cpu/{place}/cpu.cfs_{name}_us") for name in ("quota", "period"))
            if int(quota) > 0:
                found.append(int(quota) / int(period))
        except (OSError, ValueError):
            pass
    return found


def _read(path: str) -> str:
    # pathlib would take longer to import than the rest of the package's files to read.
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def _from_environment(value: str | None) -> int:
    if not value:
        return default_threads()
    if not value.isdecimal() or int(value) < 1:
        raise ImportError(f"{ENVIRONMENT}: expected an integer >= 1, got {value!r}")
    return int(value)


set_num_threads(_from_environment(os.environ.get(ENVIRONMENT)))
