"""The contenders, and the forms in which each is tried before the rounds begin.

A contender's module has two classes, `Trainer` and `Predictor` (or one of them), made from a job, a
form and a number of threads. A trainer has `train(epochs)`, which runs whole epochs from the
initial weights that `reset` puts back, and `weights()`; a predictor has `predict()`, one call from
Python on all rows of the job.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.jobs import Job

Form = dict[str, Any]
OURS = "Pellucid"
NUMPY = "Pellucid, NumPy engine"
PRODUCTS = "products alone"
NO_PEERS = (OURS, NUMPY, PRODUCTS)  # whom no target is held against
TINY = 10_000  # parameters, below which some forms pay and above which others do


class Peer(NamedTuple):
    """A contender: its name, the module that runs it, and what pip calls its library."""

    name: str
    module: str
    distribution: str


PEERS = [
    Peer(OURS, "benchmarks.peers.pellucid_fit", "pellucid"),
    Peer(NUMPY, "benchmarks.peers.pellucid_fit", "pellucid"),
    Peer("PyTorch eager", "benchmarks.peers.pytorch_eager", "torch"),
    Peer("PyTorch compiled", "benchmarks.peers.pytorch_compiled", "torch"),
    Peer("JAX", "benchmarks.peers.jax_scan", "jax"),
    Peer("scikit-learn", "benchmarks.peers.scikit_learn", "scikit-learn"),
    Peer("ONNX Runtime", "benchmarks.peers.onnx_runtime", "onnxruntime"),
    Peer(PRODUCTS, "benchmarks.peers.products", "torch"),
]
BY_NAME = {peer.name: peer for peer in PEERS}


def forms(name: str, job: Job) -> list[Form]:
    """The forms of a contender worth trying on a job; none where it cannot do it."""
    image = len(job.row) == 3
    tiny = sum(array.size for array in job.weights) < TINY
    if name == OURS:
        return [{"engine": "auto"}]
    if name == NUMPY:
        return [{"engine": "numpy"}]
    if name == "PyTorch eager":
        layouts = ["channels_last", "contiguous"] if image else ["rows"]
        gathers = ["batch", "epoch"] if job.trains else ["none"]
        return [{"layout": a, "gather": b} for a in layouts for b in gathers]
    if name == "PyTorch compiled":
        layouts = ["channels_last", "contiguous"] if image else ["rows"]
        steps = ["functional"] if tiny else ["functional", "module"]
        steps = steps if job.trains else ["none"]
        return [{"layout": a, "step": b} for a in layouts for b in steps]
    if name == "JAX":
        pairs = [("patches", "reshape"), ("patches", "maximum"), ("lax", "maximum")]
        if not job.trains:
            pairs = [("lax", "reduce_window"), ("patches", "reshape")]
        ways = [{"conv": a, "pool": b} for a, b in pairs] if image else [{}]
        vectors, unrolls = (["tree", "flat"], [1, 4]) if tiny else (["tree"], [1])
        if not job.trains:
            return ways
        return [{**w, "vector": a, "unroll": b} for w in ways for a in vectors for b in unrolls]
    if name == "scikit-learn":
        return [] if image else [{}]
    if name == "ONNX Runtime":
        return [] if job.trains else [{"call": "run"}, {"call": "io binding"}]
    if name == PRODUCTS:
        return [{}] if job.trains and not image and not tiny else []
    raise KeyError(name)
