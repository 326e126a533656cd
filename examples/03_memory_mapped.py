"""Training on 2 GB that stay on disk, in a process that may take no more than 200 MB.

The limit (`ulimit -v`) is on the address space, in which a mapped file counts though it is not in
memory. So it is set to what is mapped already and 200 MB more: reading the file fails under it.
"""

import resource
import tempfile
from pathlib import Path

import numpy as np

from pellucid import SGD, CrossEntropy, Dense, Network, set_threads


def address_space(line):
    """How large it is, in MB (line "VmSize"), or was at most ("VmPeak")."""
    status = dict(text.split(":") for text in Path("/proc/self/status").read_text().splitlines())
    return int(status[line].split()[0]) // 1024


set_threads(1)  # the matrix products of each thread would map memory of their own
with tempfile.TemporaryDirectory() as folder:
    path, rng = Path(folder, "rows.npy"), np.random.default_rng(0)
    x = np.lib.format.open_memmap(path, "w+", np.float32, (2_048, 262_144))  # 2 GB of zeros
    y = rng.integers(0, 2, len(x))
    x[:, :1000] = rng.normal(y[:, None] - 0.5, 4, (len(x), 1000))  # and a little to learn
    before = address_space("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, ((before + 200) * 2**20,) * 2)
    try:
        np.array(x)
        raise AssertionError("the limit does not bite")
    except MemoryError as error:
        print("read at once:", error)
    net = Network([Dense(2)], loss=CrossEntropy(), optimizer=SGD(1e-3))
    record = net.fit(x, y, epochs=1, batch_size=16, progress=False)
    print(f"trained on {x.nbytes >> 30} GB with {address_space('VmPeak') - before} MB of memory")
print(record)
assert record[-1]["accuracy"] > 0.9
