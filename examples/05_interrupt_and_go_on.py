"""Ctrl-C in the middle of an epoch, then on from there: the bits of a run that never stopped.

From one process to another: `Checkpoint(path)` among the callbacks, then `resume=path`.
"""

import signal

import numpy as np

from pellucid import Adam, Cosine, CrossEntropy, Network, Observer
from pellucid.data import digits_8x8
from pellucid.errors import Interrupted
from pellucid.layers import BatchNorm, Dense, Dropout, Flatten, ReLU, Rescale

body = [Flatten(), Rescale(1 / 16), Dense(32), BatchNorm(), ReLU(), Dropout(0.2)]
through = Network([*body, Dense(10)], loss=CrossEntropy(), optimizer=Adam(Cosine(0.01, 60)))
stopped = through.copy()
options = {"epochs": 4, "batch_size": 100, "validation": 0.2, "progress": False}


class ControlC(Observer):
    """Presses the keys after update 25, in the second epoch."""

    every = 25

    def on_step(self, event):
        if event.step == 25:
            signal.raise_signal(signal.SIGINT)


through.fit(digits_8x8(), **options)
try:
    stopped.fit(digits_8x8(), callbacks=[ControlC()], **options)
except Interrupted as stop:
    print(stop)
print(stopped.fit(digits_8x8(), resume=True, **options))
assert np.array_equal(through.parameters.vector, stopped.parameters.vector)
assert np.array_equal(through.state.vector, stopped.state.vector)
print("the two networks are the same, bit for bit")
