"""Learns to read handwritten digits, shows how well, and reads one from an image file.

The network is a small convolutional one. It learns from 7,200 images and is watched on 800 others;
the 2,000 images of the test set are looked at once, at the very end.
"""

import time

import pellucid as pl
from pellucid.data import digits, read_image, sample_images
from pellucid.metrics import classification_report, confusion_matrix

EPOCHS, BATCH = 8, 64

train, test = digits()
rest, validation = train.split(0.1)
net = pl.Network(
    [
        pl.Rescale(1 / 255), pl.Reshape((28, 28, 1)),  # 0 … 255 to 0 … 1, and an axis for channels
        pl.Conv2D(16, 5, strides=2), pl.ReLU(),  # (12, 12, 16): strokes
        pl.Conv2D(32, 3), pl.ReLU(), pl.MaxPool2D(2),  # (5, 5, 32): corners and curves
        pl.Flatten(), pl.Dropout(0.4), pl.Dense(10),  # one score for each digit
    ],
    inputs=(28, 28),
    loss=pl.CrossEntropy(),
    optimizer=pl.Adam(pl.Cosine(3e-3, EPOCHS * -(-len(rest) // BATCH))),
)  # fmt: skip
print(net.summary(), flush=True)

began = time.perf_counter()
net.fit(rest, epochs=EPOCHS, batch_size=BATCH, validation=validation)
print(f"trained in {time.perf_counter() - began:.1f} s")

chances = net.predict(test.x)  # (2000, 10): a probability for each digit
print("\nhow well each digit of the test set is read\n")
print(classification_report(test.y, chances, test.names))
print("\nhow often each digit (row) was taken for each (column)\n")
print(confusion_matrix(test.y, chances))

net.save("digits.safetensors")
net = pl.Network.load("digits.safetensors")
path = sample_images()[5]
image = read_image(path)  # (28, 28), from 0 for paper to 255 for ink
chance = net.predict(image[None])[0]  # (10,)
print(f"\nsaved as digits.safetensors and loaded again; it looks at {path.name} and sees\n")
for row in range(4, 24):
    line = "".join(" ░▒▓█"[value // 52] * 2 for value in image[row])
    digit, between = divmod(row - 4, 2)
    bar = "" if between else f"{digit} {chance[digit]:7.2%} {'█' * round(20 * chance[digit])}"
    print(f"{line}  {bar}".rstrip())
print(f"\na {chance.argmax()}, with a probability of {chance.max():.2%}\n")
print(f"held-out accuracy: {100 * net.evaluate(test)['accuracy']:.2f} %")
