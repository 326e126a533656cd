"""Time per training step beside scikit-learn's MLP, interleaved in one run.

Both train the same float32 data for the same epochs at the same batch size with the same
optimizer; the final losses are compared so that the same work is timed. Each round times one after
the other; the median over the rounds of each time, and of their ratio, is printed.

    python benchmarks/against_sklearn.py [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import pellucid
from pellucid import MSE, SGD, Adam, CrossEntropy, GlorotUniform
from pellucid.data import digits, digits_8x8
from pellucid.engine.native import missing


class Workload(NamedTuple):
    """One network, one data set, one way to train, and what was promised."""

    name: str
    sizes: list[int]
    batch: int
    epochs: int
    solver: str
    rate: float
    at_most: float  # the share of scikit-learn's time that was promised
    data: Callable[[], tuple[np.ndarray, np.ndarray]]


def small_digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 digits of 8×8 pixels, scaled to 0 … 1."""
    data = digits_8x8()
    return data.x.reshape(-1, 64).astype(np.float32) / 16, data.y


def regression() -> tuple[np.ndarray, np.ndarray]:
    """64,000 rows of five normal features and a noisy linear target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64_000, 5)).astype(np.float32)
    y = x @ np.array([0.8, 0.4, -0.2, 1.0, 2.0], np.float32)
    return x, (y + rng.normal(size=64_000)).astype(np.float32)


def images() -> tuple[np.ndarray, np.ndarray]:
    """8,000 digits of 28×28 pixels, scaled to 0 … 1."""
    train, _ = digits()
    return train.x.reshape(-1, 784).astype(np.float32) / 255, train.y


WORKLOADS = [
    Workload("64-15-10, batch 15, Adam", [64, 15, 10], 15, 20, "adam", 1e-3, 0.6, small_digits),
    Workload("5-10-10-1, batch 64, SGD", [5, 10, 10, 1], 64, 2, "sgd", 1e-2, 0.6, regression),
    Workload("784-128-10, batch 128, Adam", [784, 128, 10], 128, 4, "adam", 1e-3, 0.9, images),
]


def ours(work: Workload, x: np.ndarray, y: np.ndarray, engine: str) -> tuple[float, float]:
    """Seconds of a fit and its final training loss."""
    layers: list[Any] = []
    for units in work.sizes[1:-1]:
        layers += [pellucid.Dense(units, kernel_initializer=GlorotUniform()), pellucid.ReLU()]
    regress = work.sizes[-1] == 1
    net = pellucid.Network(
        [*layers, pellucid.Dense(work.sizes[-1])], inputs=work.sizes[0],
        loss=MSE() if regress else CrossEntropy(),
        optimizer=Adam(work.rate) if work.solver == "adam" else SGD(work.rate),
        engine=engine,
    )  # fmt: skip
    target = y[:, None] if regress else y
    start = time.perf_counter()
    record = net.fit(
        x, target, epochs=work.epochs, batch_size=work.batch, metrics=[], progress=False
    )
    return time.perf_counter() - start, record["loss"][-1]


def theirs(work: Workload, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The same with scikit-learn, whose squared loss has a half in front."""
    regress = work.sizes[-1] == 1
    kind = MLPRegressor if regress else MLPClassifier
    model = kind(
        hidden_layer_sizes=tuple(work.sizes[1:-1]), solver=work.solver,
        learning_rate_init=work.rate, alpha=0.0, batch_size=work.batch, max_iter=work.epochs,
        tol=0.0, n_iter_no_change=10_000,
        momentum=0.0, nesterovs_momentum=False, random_state=0,
    )  # fmt: skip
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return time.perf_counter() - start, model.loss_curve_[-1] * (2 if regress else 1)


def measure(work: Workload, rounds: int, engines: list[str]) -> dict[str, Any]:
    """Medians over interleaved rounds, and whether all did the same work."""
    x, y = work.data()
    steps = work.epochs * -(-len(x) // work.batch)
    runs: dict[str, Callable[..., tuple[float, float]]] = {
        engine: partial(ours, engine=engine) for engine in engines
    }
    runs["sklearn"] = theirs
    for run in runs.values():
        run(work, x[:2000], y[:2000])
    found = [{name: run(work, x, y) for name, run in runs.items()} for _ in range(rounds)]
    losses = {name: loss for name, (_, loss) in found[0].items()}
    peer = losses["sklearn"]
    return {
        "workload": work.name,
        "us_per_step": {
            name: statistics.median(f[name][0] for f in found) / steps * 1e6 for name in runs
        },
        "ratio": {
            name: statistics.median(f[name][0] / f["sklearn"][0] for f in found) for name in engines
        },
        "at_most": work.at_most,
        "losses": losses,
        "same_work": all(abs(loss - peer) <= 0.15 * peer for loss in losses.values()),
    }


def main() -> None:
    """Prints the table; writes it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    engines = ["numpy"] + ([] if missing() else ["native"])
    rows = []
    for work in WORKLOADS:
        row = measure(work, options.rounds, engines)
        rows.append(row)
        print(row["workload"])
        for name, time_ in row["us_per_step"].items():
            ratio = row["ratio"].get(name)
            share = f"{ratio:.2f} of scikit-learn's" if ratio is not None else ""
            target = f" (promised: {work.at_most})" if name == "numpy" else ""
            loss = row["losses"][name]
            print(f"  {name:<8} {time_:>7.1f} µs a step  {share}{target}  final loss {loss:.4f}")
        if not row["same_work"]:
            print("  NOT THE SAME WORK")
    if options.json:
        about = {"python": platform.python_version(), "machine": platform.machine(),
                 "numpy": np.__version__, "sklearn": sklearn.__version__,
                 "pellucid": pellucid.__version__}  # fmt: skip
        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
