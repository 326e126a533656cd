"""What becomes of an estimator when a method is not there, or fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from pellucid.errors import PellucidError


class NotAvailableError(PellucidError, AttributeError, ValueError):
    """A method that an estimator does not have with the parameters that it was given."""


class Incremental:
    """Makes `partial_fit` a method that only an estimator has that can learn epoch by epoch.

    ``hasattr`` is False with "lbfgs", which looks at all rows, and with early stopping, which has
    to hold rows out; asked for all the same, a NotAvailableError says which it is.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, estimator: Any, owner: type) -> Callable[..., Any]:
        if estimator is None:
            return self._function
        if estimator.solver not in ("sgd", "adam"):
            raise NotAvailableError(
                "partial_fit is only available for stochastic optimizers. "
                f"{estimator.solver} is not stochastic."
            )
        if estimator.early_stopping:
            raise NotAvailableError("partial_fit does not support early_stopping=True")
        return MethodType(self._function, estimator)


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Takes back what a fit did to an estimator where it fails."""
    before = dict(estimator.__dict__)
    arrays = [a.copy() for name in ("coefs_", "intercepts_") for a in before.get(name, ())]
    steps = copy.deepcopy(before.get("_optimizer"))
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        if arrays:
            for view, array in zip(
                [*estimator.coefs_, *estimator.intercepts_], arrays, strict=True
            ):
                view[...] = array
        if steps is not None:
            estimator._optimizer = steps
        raise
