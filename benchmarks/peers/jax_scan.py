"""JAX: one jitted function an epoch, a `lax.scan` over its batches, rows picked inside.

Parameters and optimizer state are donated, so that nothing is copied between epochs. The shorter
last batch is one more step after the scan. Adam is written out: it is five lines, and saves
a dependency. Forms: `vector` keeps the parameters apart or in one flat vector, `unroll` is how many
batches the scan lays out one after the other; `conv` and `pool` choose between ways to write the
same, whose gradients differ much in speed.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from benchmarks.jobs import Job

Array = NDArray[Any]


def forward(job: Job, form: dict[str, Any], theta: list[Any], x: Any) -> Any:
    """The network's outputs; images stay (B, H, W, C)."""
    left = iter(theta)
    for kind, *given in job.layers:
        if kind == "dense":
            x = x @ next(left) + next(left)
        elif kind == "conv":
            x = CONVOLUTIONS[form["conv"]](x, next(left), given[2]) + next(left)
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "pool":
            x = POOLS[form["pool"]](x, given[0])
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
    return x


def _lax(x: Any, W: Any, padding: int) -> Any:
    return lax.conv_general_dilated(
        x, W, (1, 1), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _patches(x: Any, W: Any, padding: int) -> Any:
    """The windows side by side in a matrix, and one product: XLA's gradients of this are faster."""
    kh, kw, _, maps = W.shape
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    b, h, w = x.shape[0], x.shape[1] - kh + 1, x.shape[2] - kw + 1
    taps = [x[:, i : i + h, j : j + w] for i in range(kh) for j in range(kw)]
    columns = jnp.concatenate(taps, axis=-1).reshape(b * h * w, -1)
    return (columns @ W.reshape(-1, maps)).reshape(b, h, w, maps)


def _reduce_window(x: Any, size: int) -> Any:
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def _reshape(x: Any, size: int) -> Any:
    b, h, w, c = x.shape
    return x.reshape(b, h // size, size, w // size, size, c).max((2, 4))


def _maximum(x: Any, size: int) -> Any:
    taps = [x[:, i::size, j::size] for i in range(size) for j in range(size)]
    return reduce(jnp.maximum, taps)


CONVOLUTIONS = {"lax": _lax, "patches": _patches}
POOLS = {"reduce_window": _reduce_window, "reshape": _reshape, "maximum": _maximum}


def loss(job: Job, form: dict[str, Any], theta: list[Any], x: Any, y: Any) -> Any:
    """The mean over the batch."""
    y_pred = forward(job, form, theta, x)
    if job.loss == "mse":
        return jnp.square(y_pred - y).mean()
    picked = jnp.take_along_axis(jax.nn.log_softmax(y_pred), y[:, None], axis=1)
    return -picked.mean()


class Trainer:
    """One call of a compiled function for each epoch."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job, self.form = job, form
        self.x, self.y = jnp.asarray(job.x), jnp.asarray(job.y.astype(_narrow(job.y)))
        self.orders = [jnp.asarray(order.astype(np.int32)) for order in job.orders]
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.reset()

    def use(self) -> None:
        """The number of threads was fixed when the process started."""

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "jit, scan over an epoch"

    def reset(self) -> None:
        """The initial weights, and an optimizer that has seen nothing."""
        theta: Any = [jnp.array(a) for a in self.job.weights]
        self.unravel: Any = lambda theta: theta
        if self.form["vector"] == "flat":
            theta, self.unravel = ravel_pytree(theta)
        m, v = jax.tree.map(jnp.zeros_like, theta), jax.tree.map(jnp.zeros_like, theta)
        self.carry = jax.block_until_ready((theta, m, v, jnp.zeros((), jnp.float32)))

    def _loss(self, theta: Any, x: Any, y: Any) -> Any:
        return loss(self.job, self.form, self.unravel(theta), x, y)

    def _step(self, x: Any, y: Any, carry: Any, rows: Any) -> tuple[Any, Any]:
        theta, m, v, t = carry
        value, g = jax.value_and_grad(self._loss)(theta, x[rows], y[rows])
        t, each = t + 1, jax.tree.map
        if self.job.optimizer == "sgd":
            return (each(lambda p, d: p - self.job.rate * d, theta, g), m, v, t), value
        m = each(lambda a, d: 0.9 * a + 0.1 * d, m, g)
        v = each(lambda a, d: 0.999 * a + 0.001 * d * d, v, g)
        c = jnp.sqrt(-jnp.expm1(t * np.log(0.999)))  # √(1 − β₂ᵗ), exact where t is small
        rate = self.job.rate * c / -jnp.expm1(t * np.log(0.9))
        theta = each(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-8 * c), theta, m, v)
        return (theta, m, v, t), value

    def _epoch(self, carry: Any, x: Any, y: Any, order: Any) -> tuple[Any, Any]:
        size = self.job.batch
        whole = len(order) // size
        step = partial(self._step, x, y)
        rows = order[: whole * size].reshape(whole, size)
        carry, values = lax.scan(step, carry, rows, unroll=self.form["unroll"])
        if len(order) > whole * size:
            carry, _ = step(carry, order[whole * size :])
        return carry, values

    def train(self, epochs: int) -> None:
        """The carry goes from epoch to epoch without leaving the device's memory."""
        carry = self.carry
        for order in self.orders[:epochs]:
            carry, _ = self.epoch(carry, self.x, self.y, order)
        self.carry = jax.block_until_ready(carry)

    def weights(self) -> list[Array]:
        """The weights as they are now."""
        return [np.asarray(a) for a in self.unravel(self.carry[0])]


class Predictor:
    """From a NumPy array to an array of probabilities, jitted."""

    def __init__(self, job: Job, form: dict[str, Any], threads: int) -> None:
        self.job = job
        self.theta = [jnp.asarray(a) for a in job.weights]
        self.call = jax.jit(lambda theta, x: jax.nn.softmax(forward(job, form, theta, x)))

    def use(self) -> None:
        """The number of threads was fixed when the process started."""

    def about(self) -> str:
        """What is worth saying beside the form."""
        return "jit"

    def predict(self) -> Array:
        """Probabilities."""
        return np.asarray(self.call(self.theta, self.job.x))


def _narrow(y: Array) -> Any:
    return np.int32 if y.dtype.kind == "i" else np.float32
