"""A twin in float64, trained on the same batches, shows how far rounding carries float32: not far.

Both drop the same units, because random numbers depend on the seed, the node and the step alone.
"""

import numpy as np

from pellucid import SGD, CrossEntropy, Network
from pellucid.data import digits_8x8
from pellucid.layers import Dense, Dropout, Flatten, Rescale, Tanh

x, y = digits_8x8()
layers = [Flatten(), Rescale(1 / 16), Dense(64), Tanh(), Dropout(0.5), Dense(10)]
net = Network(layers, loss=CrossEntropy(), optimizer=SGD(0.1))
twin = net.astype("float64")

worst = 0.0
for epoch in range(5):
    for network in (net, twin):
        record = network.fit(x, y, epochs=1, batch_size=100, progress=False)
    apart = np.abs(net(x) - twin(x)).max()
    worst = max(worst, apart)
    print(
        f"epoch {epoch + 1}: loss {record[-1]['loss']:.4f}, raw outputs at most {apart:.1e} apart"
    )

assert twin(x).dtype == np.float64
assert 0 < worst < 1e-5
print(f"the twins agree on {np.mean(net(x).argmax(1) == twin(x).argmax(1)):.2%} of the digits")
