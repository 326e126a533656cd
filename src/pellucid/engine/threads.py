"""How many threads the engines use: one setting for all of them."""

from __future__ import annotations

import os

from pellucid.errors import OptionError


def set_threads(count: int) -> None:
    """Sets the number of threads for this process, BLAS included.

    The environment variable ``PELLUCID_NUM_THREADS`` does the same at the first import. Where
    neither is used, the compiled core takes as many threads as ``OMP_NUM_THREADS`` says, which
    joblib, Dask and others set in the processes that they start, and never more than there are
    cores for this process: those of its affinity mask, or what its control group pays for. The
    number of threads changes no result of the compiled engine, not by a bit.

    Parameters
    ----------
    count : int
        At least 1. The compiled core takes 64 at most.

    Examples
    --------
    >>> from pellucid import set_threads
    >>> set_threads(1)
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
