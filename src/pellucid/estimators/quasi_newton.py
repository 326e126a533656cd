"""L-BFGS by SciPy, which asks an objective for its value and gradient over all rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.estimators.objective import Objective
from pellucid.estimators.rows import Rows

Array = NDArray[Any]


def minimize(
    objective: Objective, rows: Rows, *, max_iter: int, max_fun: int, tol: float
) -> tuple[int, float]:
    """Changes the network's parameters; returns the iterations made and the value reached.

    The vector handed to SciPy has all weights before all biases, as scikit-learn's has. A
    ConvergenceWarning says why it ended where that was not the gradient's smallness.
    """
    from scipy import optimize
    from sklearn.exceptions import ConvergenceWarning

    parts, theta = rows.whole(), objective.net.parameters.vector
    g, order = objective.program.gradients.vector, _weights_first(objective)

    def asked(packed: Array) -> tuple[float, Array]:
        theta[order] = packed
        return objective.gradient(parts), g[order]

    result = optimize.minimize(
        asked, theta[order], method="L-BFGS-B", jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )  # fmt: skip
    theta[order] = result.x
    iterations = min(int(result.nit), max_iter)
    if result.status != 0:
        advice = f"\n\nIncrease max_iter, {max_iter} now." if iterations == max_iter else ""
        warnings.warn(
            f"lbfgs failed to converge after {iterations} iteration(s) (status={result.status}):\n"
            f"{result.message}\n{advice}\nFeatures of very different sizes are a usual cause: "
            "scale them, with StandardScaler for one.",
            ConvergenceWarning, stacklevel=4,
        )  # fmt: skip
    return iterations, float(result.fun)


def _weights_first(objective: Objective) -> Array:
    """The places in the flat vector of all weights, then those of all biases."""
    parameters = objective.net.parameters
    spans = [(name, *parameters.stretch(name)) for name in parameters]
    spans.sort(key=lambda span: span[0].endswith("/b"))  # a stable sort: layer by layer
    return np.concatenate([np.arange(start, stop) for _, start, stop in spans])
