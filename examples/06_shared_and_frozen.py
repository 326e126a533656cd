"""A tower shared by two inputs learns whether two images show the same digit. Then, no longer
trainable, it helps to name digits of which only 50 were ever named to it.
"""

import numpy as np

from pellucid import Adam, CrossEntropy, Input, Network, shared
from pellucid.data import digits_8x8
from pellucid.layers import Add, Dense, Flatten, ReLU, Rescale

seen, unseen = digits_8x8().split(0.2)
one, two = np.random.default_rng(0).integers(0, len(seen), (2, 20_000))
pairs = {"one": seen.x[one] / 16, "two": seen.x[two] / 16}
same = (seen.y[one] == seen.y[two]).astype(int)

inputs = [Input((8, 8), name=name) for name in pairs]
tower = shared(Dense(64), name="tower")
a, b = (ReLU()(tower(Flatten()(x))) for x in inputs)
head = Dense(2)(ReLU()(Dense(32)(Add()(a, Rescale(-1)(b)))))  # looks at the difference a − b
siamese = Network(inputs=inputs, outputs=head, loss=CrossEntropy(), optimizer=Adam(0.003))
siamese.fit(pairs, same, epochs=5, batch_size=64, class_weight="balanced", progress=False)
print(siamese.summary())


def named(tower, weights):
    """A classifier over this tower, trained on 50 images, and how many others it names."""
    layers = [Rescale(1 / 16), Flatten(), tower, ReLU(), Dense(10)]
    net = Network(layers, inputs=(8, 8), loss=CrossEntropy(), optimizer=Adam(0.01))
    for name in weights:
        net.parameters[name] = siamese.parameters[name]
    net.fit(seen[:50], epochs=100, progress=False)
    return net, net.evaluate(unseen)["accuracy"]


net, known = named(Dense(64, name="tower", trainable=False), ["tower/W", "tower/b"])
_, fresh = named(Dense(64), [])
print(f"named right: {known:.1%} on the tower, {fresh:.1%} from scratch")
assert np.array_equal(net.parameters["tower/W"], siamese.parameters["tower/W"])
assert known > fresh + 0.05
