"""Two networks trained in two threads at once: each gets the bits it gets alone.

A layer holds no arrays and no random generator, so one list of layers serves both networks.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pellucid import Adam, CrossEntropy, Network
from pellucid.data import digits_8x8
from pellucid.layers import BatchNorm, Dense, Dropout, Flatten, ReLU, Rescale

seen, unseen = digits_8x8().split(0.2)
body = [Flatten(), Rescale(1 / 16), Dense(128), BatchNorm(), ReLU(), Dropout(0.2)]


def trained(seed):
    """A network trained from this seed."""
    net = Network([*body, Dense(10)], loss=CrossEntropy(), optimizer=Adam(0.01), seed=seed)
    net.fit(seen, epochs=10, batch_size=100, progress=False)
    return net


alone = [trained(seed) for seed in (1, 2)]
with ThreadPoolExecutor(2) as pool:
    together = list(pool.map(trained, (1, 2)))

for seed, one, other in zip((1, 2), alone, together, strict=True):
    print(f"seed {seed}: accuracy {one.evaluate(unseen)['accuracy']:.4f} alone", end=", ")
    print(f"{other.evaluate(unseen)['accuracy']:.4f} beside the other")
    assert np.array_equal(one.parameters.vector, other.parameters.vector)
    assert np.array_equal(one.state.vector, other.state.vector)
assert not np.array_equal(alone[0].parameters.vector, alone[1].parameters.vector)
print("the same bits in either case")
