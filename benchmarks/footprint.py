"""What the package costs before it computes: import time, and memory beyond the data.

python benchmarks/footprint.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

TRAIN = """
import resource, numpy as np
from pellucid import Network, Dense, ReLU, CrossEntropy, Adam
x = np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
y = np.arange(60_000) % 10
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
net = Network([Dense(128), ReLU(), Dense(10)], loss=CrossEntropy(), optimizer=Adam())
net.fit(x, y, epochs=2, batch_size=128, validation=0.1, progress=False)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def seconds(code: str) -> float:
    """Wall-clock time of a fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    pairs = [(seconds("import numpy"), seconds("import pellucid")) for _ in range(rounds + 1)][1:]
    numpy, both = (statistics.median(p[i] for p in pairs) * 1e3 for i in (0, 1))
    extra = statistics.median(b - a for a, b in pairs) * 1e3
    print(f"import numpy {numpy:.0f} ms, import pellucid {both:.0f} ms: {extra:.0f} ms more")
    out = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True)
    print(f"784-128-10 on 60,000 float32 images, with a validation split: "
          f"{float(out.stdout):.0f} MB over the data at the peak")  # fmt: skip


if __name__ == "__main__":
    main()
