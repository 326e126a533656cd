"""The benchmark: its table is sound, its networks are what they say, its page follows its results.

No peer is needed here: what the peers do is checked by the benchmark itself, run by run.
"""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ is no part of the package

from benchmarks import jobs, networks, report, scaling, workloads  # noqa: E402
from benchmarks.data import DATA  # noqa: E402
from benchmarks.peers import BY_NAME, NUMPY, OURS, PEERS, PRODUCTS, forms  # noqa: E402

PROMISED = {  # the targets of the issue that asked for them: (peer, at least)
    "small": {"best": 2, "PyTorch eager": 30},
    "regression": {"best": 2},
    "digits": {"best": 1.2},
    "digits60k": {"best": 1.5},
    "wide": {"best": 1.0},
    "lenet": {"best": 2},
    "conv": {"best": 1.4},
    "one_small": {"ONNX Runtime": 2},
    "one": {"ONNX Runtime": 1.2},
    "rows": {"ONNX Runtime": 1.0},
    "lenet_images": {"ONNX Runtime": 1.2},
}
TINY = workloads.Workload(
    "tiny", "tiny", "train", [("conv", 3, 3, 1), ("relu",), ("pool", 2), ("flatten",), ("dense", 4)],
    "", {"best": 1}, batch=8, epochs=2,
)  # fmt: skip


@pytest.fixture
def tiny_job(tmp_path: Path) -> jobs.Job:
    rng = np.random.default_rng(0)
    x = rng.random((20, 6, 6, 2), np.float32)
    return jobs.write(tmp_path, TINY, (x, rng.integers(0, 4, 20)))


def test_every_target_is_there():
    assert {w.name: w.targets for w in workloads.WORKLOADS} == PROMISED


@pytest.mark.parametrize("work", workloads.WORKLOADS, ids=lambda w: w.name)
def test_workload_is_sound(work):
    assert work.data in DATA
    assert work.rounds >= 5
    assert set(work.targets) <= {"best", *BY_NAME}
    if work.kind == "train":
        assert work.batch > 0
        assert work.optimizer in ("adam", "sgd")
    else:
        assert work.tolerance <= 1e-5


def test_data_is_what_the_page_says():
    x, y = DATA["many_digits"]()
    assert x.shape == (60_000, 784)
    assert x.dtype == np.float32
    assert not np.array_equal(x[0], x[8000])  # the same digit, other noise
    assert y[0] == y[8000]
    for name in set(DATA) - {"many_digits", "ten_thousand"}:  # those take a second each
        x, y = DATA[name]()
        assert x.dtype == np.float32, name
        assert len(x) == len(y)


def test_shapes_and_work_of_lenet():
    shapes = networks.shapes(workloads.LENET, (28, 28, 1))
    assert [s for s in shapes if len(s) == 3][-1] == (5, 5, 16)
    assert shapes[-1] == (10,)
    # 784 · 25 · 6, 100 · 150 · 16, 400 · 120, 120 · 84, 84 · 10 products of one image, forward
    each = [784 * 25 * 6, 100 * 150 * 16, 400 * 120, 120 * 84, 84 * 10]
    flops = networks.step_flops(workloads.LENET, (28, 28, 1), 64)
    assert flops == 2 * 64 * (3 * sum(each) - each[0])


def test_channels_first_and_back(tiny_job):
    turned = networks.channels_first(TINY.layers, tiny_job.row, tiny_job.weights)
    assert turned[0].shape == (3, 2, 3, 3)
    x = np.arange(3 * 3 * 3.0).reshape(3, 3, 3)  # (H, W, C), flattened either way
    np.testing.assert_allclose(
        x.transpose(2, 0, 1).ravel() @ turned[2], x.ravel() @ tiny_job.weights[2], rtol=1e-5
    )
    back = networks.channels_last(TINY.layers, tiny_job.row, turned)
    for array, original in zip(back, tiny_job.weights, strict=True):
        np.testing.assert_array_equal(array, original)


def test_a_job_holds_what_fit_does(tiny_job):
    """Replaying the job's order by hand gives the weights that `fit` comes to."""
    job = jobs.read(tiny_job.folder)
    assert job.layers == TINY.layers
    assert job.orders.shape == (2, 20)
    fitted = jobs.network(job, job.row, engine="numpy")
    for name, array in zip(fitted.parameters, job.weights, strict=True):
        np.testing.assert_array_equal(fitted.parameters[name], array)
    by_hand = fitted.copy()
    fitted.fit(job.x, job.y, epochs=2, batch_size=8, metrics=[], progress=False)
    for order in job.orders:
        for start in range(0, 20, 8):
            rows = order[start : start + 8]
            step = by_hand.step(job.x[rows], job.y[rows])
            step.forward()
            step.loss()
            step.backward()
            step.update()
    for name in fitted.parameters:
        np.testing.assert_array_equal(fitted.parameters[name], by_hand.parameters[name])
    weights = [np.array(fitted.parameters[name]) for name in fitted.parameters]
    assert jobs.judged(job, weights) == pytest.approx(
        fitted.evaluate(job.x, job.y)["loss"], rel=1e-5
    )


def test_our_own_contender(tiny_job):
    from benchmarks.peers import pellucid_fit

    trainer = pellucid_fit.Trainer(tiny_job, {"engine": "auto"}, 1)
    losses = []
    for epochs in (2, 1, 2):
        trainer.reset()
        trainer.train(epochs)
        losses.append(jobs.judged(tiny_job, trainer.weights()))
    assert losses[0] == losses[2] != losses[1]


def test_every_contender_has_a_file_and_forms(tiny_job):
    for peer in PEERS:
        path = ROOT / (peer.module.replace(".", "/") + ".py")
        names = {
            n.name for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.ClassDef)
        }
        assert names & {"Trainer", "Predictor"}, path
        assert isinstance(forms(peer.name, tiny_job), list)
    asked = replace(tiny_job, kind="predict")
    assert forms("ONNX Runtime", asked)
    assert not forms("ONNX Runtime", tiny_job)
    assert not forms("scikit-learn", tiny_job), "it has no convolutions"


def test_crossovers():
    def point(value, ours, theirs):
        times = {OURS: ours, "JAX": theirs}
        return {"value": value, "entries": [
            {"peer": p, "median": t, "same": True, "threads": 1} for p, t in times.items()
        ]}  # fmt: skip

    points = [point(16, 10, 20), point(64, 20, 40), point(256, 80, 40), point(1024, 320, 640)]
    found = scaling.crossovers(points, "JAX")
    assert [theirs for _, theirs in found] == [True, False]
    assert found[0][0] == pytest.approx(128)
    assert found[1][0] == pytest.approx(512)
    assert scaling.crossovers(points[:2], "JAX") == []


def test_different_work_never_counts():
    from benchmarks import run

    def row(peer, median, same):
        return {"peer": peer, "median": median, "rounds": [median], "same": same}

    rows = [row(OURS, 10, True), row("JAX", 5, False), row("PyTorch eager", 30, True),
            row(NUMPY, 1, True), row(PRODUCTS, 1, None)]  # fmt: skip
    (target,) = run._targets(replace(TINY, targets={"best": 2}), rows)
    assert target == {"against": "best", "peer": "PyTorch eager", "at_least": 2, "ratio": 3.0,
                      "met": True}  # fmt: skip
    (target,) = run._targets(replace(TINY, targets={"JAX": 0.1}), rows)
    assert target["met"] is False
    rows[0]["same"] = False
    (target,) = run._targets(replace(TINY, targets={"best": 2}), rows)
    assert target["ratio"] is None


def test_page_follows_the_results():
    page = report.PAGE.read_text("utf-8")
    results = report.stored()
    parts = report.sections(results)
    assert set(report.markers(page)) == set(parts)
    assert report.rewritten(page, parts) == page, "run: python -m benchmarks report"


def test_stored_results_are_of_full_runs():
    for name, result in report.stored().items():
        assert result["quick"] is False, name
        assert result["about"]["versions"]["pellucid"], name
        if "workload" in result:
            work = next(w for w in workloads.WORKLOADS if w.name == name)
            assert result["workload"] == json.loads(json.dumps(jobs.described(work))), name
            assert all(entry.get("same", True) for entry in result["entries"]), name


def test_page_shows_figures_that_are_there():
    import re

    page = report.PAGE.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (report.PAGE.parent / target).exists(), target
