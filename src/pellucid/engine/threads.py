"""How many threads the engines use: one setting for all of them."""

from __future__ import annotations

import os

from pellucid.errors import OptionError


def set_threads(count: int) -> None:
    """Sets the number of threads for this process, BLAS included.

    The environment variable ``PELLUCID_NUM_THREADS`` does the same at the first import.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise OptionError(f"the number of threads is 1 or more, not {count!r}")
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=count)
    try:
        from pellucid import _core

        _core.set_threads(min(count, 64))
    except (ImportError, AttributeError):  # no compiled core: BLAS is all there is
        pass


def from_environment() -> None:
    """Follows ``PELLUCID_NUM_THREADS`` where it is set."""
    value = os.environ.get("PELLUCID_NUM_THREADS")
    if value is None:
        return
    if not value.isdigit() or int(value) < 1:
        raise OptionError(f"PELLUCID_NUM_THREADS is 1 or more, not {value!r}")
    set_threads(int(value))
