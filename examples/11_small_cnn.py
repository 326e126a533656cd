"""A small convolutional network reads handwriting: over 98 % of 2,000 images it has never seen.

Two blocks of convolution, pooling, batch normalisation and ReLU; ReLU after pooling gives what it
would give before, for a quarter of the work. About 7 seconds of one core.
"""

from pellucid import Adam, Cosine, CrossEntropy, Network, Reshape
from pellucid.data import digits
from pellucid.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Rescale

train, test = digits()


def block(filters, size):
    """Looks for patterns of this size, and keeps the strongest answer of four neighbours."""
    return [Conv2D(filters, size, use_bias=False), MaxPool2D(2), BatchNorm(), ReLU()]


body = [Reshape((28, 28, 1)), Rescale(1 / 255), *block(8, 5), *block(32, 3), Flatten()]
optimizer = Adam(Cosine(0.005, steps=1_250))  # 125 updates an epoch
net = Network([*body, Dropout(0.5), Dense(10)], loss=CrossEntropy(), optimizer=optimizer)
record = net.fit(train, epochs=10, batch_size=64, progress=False)
print(net.summary(), record, sep="\n")

answers = net.predict(test.x)  # (2000, 10): probabilities
wrong = (answers.argmax(axis=1) != test.y).nonzero()[0]
for row in wrong[answers[wrong].max(axis=1).argsort()[:-4:-1]]:
    said = answers[row].argmax()
    print(f"image {row} is a {test.y[row]}; read as {said}, {answers[row, said]:.0%} sure")
accuracy = net.evaluate(test)["accuracy"]
print(f"held out: {100 * accuracy:.2f} %")
assert accuracy >= 0.98
