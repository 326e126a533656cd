"""Ten typical mistakes as one types them, and what Pellucid says: where, what, and the remedy."""

import numpy as np

import pellucid

rng = np.random.default_rng(0)
x, labels, prices = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.normal(size=20)
net = pellucid.mlp([4, 8, 3], loss="cross_entropy", optimizer="adam")
images, holes = rng.normal(size=(20, 8, 8)), np.where(x > 1, np.nan, x)
words = {"x": x, "labels": labels, "prices": prices, "images": images, "holes": holes, "net": net}

mistakes = {
    "Dense(8, trainabel=False)": "Did you mean 'trainable'?",
    "Network([Dense(8), ReLU, Dense(3)])": "call it: ReLU()",
    "Network([Dense(3)]).parameters": "net.build(shape)",
    "Network([Dense(3), Softmax()], inputs=4, loss=CrossEntropy())": "remove softmax_1",
    "Add()(Dense(8)(Input(4)), Dense(9)(Input(4)))": "a Dense of as many units",
    "Network([Conv2D(8, 3)]).predict(images)": "put Reshape((8, 8, 1)) before it",
    "net.fit(x, labels + 1)": "number the classes from 0",
    "net.fit(holes, labels)": "Fill or drop such rows",
    "mlp([4, 8, 1], loss=MSE()).evaluate(x, prices)": "write y[:, None]",
    "net.step(x, labels).backward()": "call step.loss() first",
}
for mistake, remedy in mistakes.items():
    named = False
    try:
        eval(mistake, vars(pellucid) | words)
    except pellucid.PellucidError as error:
        print(f">>> {mistake}\n{type(error).__name__}: {error}\n")
        named = remedy in str(error)
    assert named, mistake
