"""A layer and a loss of one's own, from `own_pieces.py`: checked, saved, loaded elsewhere."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from own_pieces import LogCosh, Sine
from pellucid import Adam, Dense, Network, gradcheck

x = np.linspace(-3, 3, 400)[:, None]  # (400, 1)
y = np.sin(2 * x) + 0.5 * np.sin(5 * x)
print("the layer alone:", gradcheck(Sine(), x[::40]), sep="\n")
print("the loss alone:", gradcheck(LogCosh(), y[::40], x[::40]), sep="\n")

net = Network([Dense(32), Sine(8.0), Dense(1)], loss=LogCosh(), optimizer=Adam(0.01))
record = net.fit(x, y, epochs=100, progress=False)
print(f"loss {record['loss'][0]:.4f} at first, {record['loss'][-1]:.6f} after 100 epochs")
assert record["loss"][-1] < 1e-4

elsewhere = """
import sys, own_pieces, numpy as np, pellucid
net = pellucid.Network.load(sys.argv[1])
print("another process loaded", net, "with", net.loss)
np.save(sys.argv[2], net(np.load(sys.argv[2])))
"""
with tempfile.TemporaryDirectory() as folder:
    model, numbers = Path(folder, "sine.safetensors"), Path(folder, "numbers.npy")
    net.save(model)
    np.save(numbers, x)
    command = [sys.executable, "-c", elsewhere, str(model), str(numbers)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    assert np.array_equal(np.load(numbers), net(x))
print("and gave the same outputs, bit for bit")
