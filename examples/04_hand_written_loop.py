"""A loop written by hand, phase by phase, gives the bits that `fit` gives.

`shuffled` tells the order in which `fit` visits the rows of an epoch: it depends on the seed and
the epoch alone. Dropout draws the same units, batch normalisation keeps the same statistics.
"""

import numpy as np

from pellucid import Adam, CrossEntropy, Network
from pellucid.data import digits_8x8
from pellucid.layers import BatchNorm, Dense, Dropout, Flatten, ReLU, Rescale
from pellucid.training import shuffled

x, y = digits_8x8()
body = [Flatten(), Rescale(1 / 16), Dense(32), BatchNorm(), ReLU(), Dropout(0.2)]
by_fit = Network([*body, Dense(10)], loss=CrossEntropy(), optimizer=Adam(0.01), seed=7)
by_hand = by_fit.copy()

by_fit.fit(x, y, epochs=3, batch_size=100, progress=False)

for epoch in range(3):
    order = shuffled(by_hand, len(x), epoch)
    for start in range(0, len(x), 100):
        rows = order[start : start + 100]
        step = by_hand.step(x[rows], y[rows])
        step.forward()  # the outputs
        loss = step.loss()  # the mean over the batch
        step.backward()  # from here on step.gradients["dense_1/W"]
        step.update()  # Adam changes the parameters
    print(f"epoch {epoch + 1}: loss of the last batch {loss:.4f}")

assert np.array_equal(by_fit.parameters.vector, by_hand.parameters.vector)
assert np.array_equal(by_fit.state.vector, by_hand.state.vector)
assert by_fit.updates == by_hand.updates
print(f"all {by_fit.parameters.vector.size:,} parameters are the same, bit for bit")
