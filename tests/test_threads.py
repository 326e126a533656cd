"""Threads in company: with joblib, with other threads, after a fork, at rest and at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pytest

from pellucid import Adam, CrossEntropy, Dense, Dropout, Network, ReLU, set_threads
from pellucid.engine.native import missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the core is compiled")
X = np.random.default_rng(5).random((600, 300), dtype=np.float32)
Y = np.arange(600) % 10
CORES = joblib.cpu_count()  # of the affinity mask and the control group, by somebody else's reading
posix = pytest.mark.skipif(sys.platform == "win32", reason="a fork needs a POSIX system")


def trained(seed: int = 0, epochs: int = 3) -> Any:
    """The parameters of a network whose products are large enough to be shared among threads."""
    net = Network([Dense(256), ReLU(), Dropout(0.2), Dense(10)], inputs=300, loss=CrossEntropy(),
                  optimizer=Adam(0.01), seed=seed, engine="native")  # fmt: skip
    net.fit(X, Y, epochs=epochs, batch_size=128, progress=False)
    return net.parameters.vector


def script(code: str, **environment: str) -> str:
    """What a fresh interpreter prints; a hang or a crash fails."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], check=False,
                          capture_output=True, text=True, timeout=60, env=inherited | environment)  # fmt: skip
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
    assert not done.stderr, done.stderr[-2000:]
    return done.stdout.strip()


FIT = """
import os, sys, threading, time
import numpy as np
from pellucid import *
def trained(epochs=3, seed=0):
    rng = np.random.default_rng(5)
    net = Network([Dense(256), ReLU(), Dense(10)], inputs=300, loss=CrossEntropy(), optimizer=Adam(0.01),
                  seed=seed, engine="native")
    net.fit(rng.random((600, 300), dtype=np.float32), np.arange(600) % 10, epochs=epochs, batch_size=128,
            progress=False)
    return net.parameters.vector
"""


# ---- how many ------------------------------------------------------------------------------------

ASK = "import pellucid.engine.native; from pellucid import _core; print(_core.threads())"
PINNED = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]);"


@pytest.mark.parametrize(
    ("code", "environment", "expected"),
    [
        (ASK, {}, min(CORES, 64)),
        (ASK, {"OMP_NUM_THREADS": "1"}, 1),
        (ASK, {"OMP_NUM_THREADS": "1,4"}, 1),
        (ASK, {"OMP_NUM_THREADS": "1000"}, min(CORES, 64)),
        (ASK, {"OMP_NUM_THREADS": "many"}, min(CORES, 64)),
        (ASK, {"OMP_NUM_THREADS": "1", "PELLUCID_NUM_THREADS": "3"}, 3),
        ("import pellucid; pellucid.set_threads(5);" + ASK, {"PELLUCID_NUM_THREADS": "3"}, 5),
        pytest.param(PINNED + ASK, {}, 1, marks=pytest.mark.skipif(
            not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")),
    ],
)  # fmt: skip
def test_the_number_of_threads(code: str, environment: dict[str, str], expected: int) -> None:
    assert int(script(code, **environment)) == expected


def seen_in_a_worker(seed: int) -> tuple[int, Any]:
    from pellucid import _core

    return _core.threads(), trained(seed)


def test_joblib_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "PELLUCID_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    jobs = [joblib.delayed(seen_in_a_worker)(seed) for seed in range(4)]
    for inner, expected in ((None, max(CORES // 2, 1)), (2, min(2, CORES))):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=inner):
            found = joblib.Parallel()(jobs)
        assert [threads for threads, _ in found] == [expected] * 4
        assert all(np.array_equal(vector, trained(seed)) for seed, (_, vector) in enumerate(found))


COST = """
import sys
from pellucid import *
set_threads(int(sys.argv[1]))
trained(1); print(flush=True); sys.stdin.readline()
before = time.process_time(); trained(10); print(time.process_time() - before)
"""


def test_too_many_threads_waste_little() -> None:
    """Processes with as many threads as cores each: the work, and not much waiting, costs time."""

    def cost(threads: int) -> float:
        runs = [subprocess.Popen([sys.executable, "-c", FIT + COST, str(threads)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) for _ in range(2)]  # fmt: skip
        for run in runs:
            assert run.stdout
            run.stdout.readline()
        return sum(float(run.communicate("\n", timeout=60)[0]) for run in runs)

    assert any(
        cost(2 * CORES) < 1.5 * cost(1) for _ in range(4)
    )  # on a busy machine, not each time


# ---- side by side --------------------------------------------------------------------------------


def all_at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    start = threading.Barrier(count)

    def begin(index: int) -> Any:
        start.wait(30)
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count), timeout=60))


@pytest.fixture
def two_threads() -> Any:
    set_threads(2)
    yield
    set_threads(1)


def test_threads_that_fit_have_the_bits_of_one(two_threads: None) -> None:
    alone = [trained(seed) for seed in range(8)]
    together = all_at_once(trained, 8)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    with joblib.parallel_config("threading", n_jobs=8):
        nested = joblib.Parallel()(joblib.delayed(trained)(seed) for seed in range(8))
    assert all(np.array_equal(a, b) for a, b in zip(alone, nested, strict=True))


def test_the_number_may_change_while_others_fit(two_threads: None) -> None:
    alone, done = trained(0), threading.Event()

    def change() -> None:
        count = 0
        while not done.wait(0.002):
            count += 1
            set_threads(1 + count % 4)

    other = threading.Thread(target=change)
    other.start()
    try:
        together = all_at_once(lambda _: trained(0), 3)
    finally:
        done.set()
        other.join(30)
    assert all(np.array_equal(alone, vector) for vector in together)


def test_threads_predict_what_one_predicts(two_threads: None) -> None:
    net = Network([Dense(256), ReLU(), Dense(10)], inputs=300, loss=CrossEntropy(),
                  optimizer=Adam(0.01), engine="native")  # fmt: skip
    net.fit(X, Y, epochs=1, batch_size=128, progress=False)
    rows = np.tile(X, (10, 1))  # several blocks
    expected = net.predict(rows)
    for found in all_at_once(lambda _: [net.predict(rows) for _ in range(5)], 8):
        assert all(np.array_equal(expected, other) for other in found)


# ---- forks ---------------------------------------------------------------------------------------

FORK = """
set_threads(2)
before = trained()
def child():
    assert np.array_equal(before, trained())
    assert len(os.listdir("/proc/self/task")) == 2 if os.path.isdir("/proc/self/task") else True
    set_threads(3)
    assert np.array_equal(before, trained())
def forked():
    if (pid := os.fork()) == 0:
        status = 1
        try:
            child()
            status = 0
        finally:
            {leave}
    return os.waitpid(pid, 0)[1]
assert forked() == 0
assert np.array_equal(before, trained())
busy = threading.Thread(target=lambda: trained(60))
busy.start()
assert [forked() for _ in range(3)] == [0, 0, 0]
busy.join()
print("good")
"""


@posix
@pytest.mark.parametrize("leave", ["os._exit(status)", "sys.exit(status)"])
def test_the_child_of_a_fork_has_workers_of_its_own(leave: str) -> None:
    assert script(FIT + FORK.format(leave=leave)) == "good"


@posix
def test_multiprocessing_by_fork() -> None:
    code = (
        "import multiprocessing\n"
        "set_threads(2); before = trained()\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: found = pool.map(trained, [3] * 4)\n"
        "assert all(np.array_equal(before, other) for other in [*found, trained()]); print('good')"
    )
    assert script(FIT + code) == "good"


# ---- at rest, and at the end ---------------------------------------------------------------------


def test_workers_sleep_when_there_is_nothing_to_do() -> None:
    code = (
        "set_threads(4); trained(); time.sleep(0.1)\n"
        "before = time.process_time(); time.sleep(0.3); print(time.process_time() - before)"
    )
    assert float(script(FIT + code)) < 0.01


@pytest.mark.parametrize("moment", [0.0, 0.013, 0.029])
def test_the_program_may_end_while_a_daemon_thread_fits(moment: float) -> None:
    code = (
        "set_threads(2)\n"
        "threading.Thread(target=trained, args=[10**6], daemon=True).start()\n"
        f"time.sleep(0.3 + {moment}); print('good')"
    )
    assert script(FIT + code) == "good"
