"""Every tensor of every step and every phase observed: the same bits as a run nobody watched."""

from collections import Counter

import numpy as np

from pellucid import Adam, CrossEntropy, Network, Observer
from pellucid.data import digits_8x8
from pellucid.layers import BatchNorm, Dense, Dropout, Flatten, ReLU, Rescale


class Watcher(Observer):
    """Looks at everything there is, at every update."""

    every = 1
    phases = True
    tensors = "all"

    def __init__(self):
        self.phases_seen, self.values_seen = Counter(), 0

    def on_phase(self, event):
        self.phases_seen[event.phase] += 1

    def on_step(self, event):
        self.values_seen += sum(array.size for array in event.tensors.values())
        if event.step == 1:
            for name, array in event.tensors.items():
                print(f"{name:<20} {array.shape!s:<11} {array.min():9.4f} … {array.max():.4f}")


body = [Flatten(), Rescale(1 / 16), Dense(32), BatchNorm(), ReLU(), Dropout(0.2)]
unwatched = Network([*body, Dense(10)], loss=CrossEntropy(), optimizer=Adam(0.01))
watched, watcher = unwatched.copy(), Watcher()
unwatched.fit(digits_8x8(), epochs=3, progress=False)
watched.fit(digits_8x8(), epochs=3, progress=False, callbacks=[watcher])
print(f"{watcher.values_seen:,} numbers in {dict(watcher.phases_seen)}")
assert set(watcher.phases_seen.values()) == {watched.updates}
assert np.array_equal(unwatched.parameters.vector, watched.parameters.vector)
