"""Two inputs, two outputs, two losses: everything goes by the name of its node.

A house is described by eight numbers and by its district. One network predicts its price and
whether it sells within a month; the second loss counts half. The sum of both is minimised.
"""

import numpy as np

from pellucid import MSE, Adam, BinaryCrossEntropy, Input, Network
from pellucid.layers import Concatenate, Dense, Embedding, Flatten, ReLU

rng = np.random.default_rng(0)
x = {"house": rng.normal(size=(8_000, 8)), "district": rng.integers(0, 5, (8_000, 1))}
worth = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[x["district"]]  # (8000, 1): what a district adds
price = x["house"][:, :1] + 0.5 * x["house"][:, 1:2] ** 2 + worth
y = {"price": price, "sold": (x["house"][:, 2:3] > worth).astype(int)}

house, district = Input(8), Input(1, "int")
both = Concatenate()(house, Flatten()(Embedding(5, 3)(district)))
body = ReLU()(Dense(32)(both))
net = Network(
    inputs={"house": house, "district": district},
    outputs={"price": Dense(1)(body), "sold": Dense(1)(body)},
    loss={"price": MSE(), "sold": 0.5 * BinaryCrossEntropy()},
    optimizer=Adam(0.005),
)
print(net.summary())

record = net.fit(x, y, epochs=20, batch_size=64, validation=0.2, progress=False)
print("\n".join(f"{name:<31} {value:.4g}" for name, value in record[-1].items()))

answer = net.predict({"house": x["house"][:3], "district": x["district"][:3]})
print("price", answer["price"].ravel().round(2), "where the truth is", price[:3].ravel().round(2))
print("sold ", answer["sold"].ravel().round(2), "where the truth is", y["sold"][:3].ravel())
assert record[-1]["validation_price/loss"] < 0.1
assert record[-1]["validation_sold/binary_accuracy"] > 0.93
