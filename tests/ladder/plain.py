"""All six rungs, written plainly: functions first, then the classes that use them."""

import numpy as np


def dense_forward(x, W, b):
    return x @ W + b


def softmax(scores):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(scores, labels):
    p = softmax(scores)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


def cross_entropy_gradient(scores, labels):
    p = softmax(scores)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


def sigmoid(z):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def sigmoid_derivative(z):
    a = sigmoid(z)
    return a * (1 - a)


def relu(z):
    return np.maximum(z, 0)


def relu_derivative(z):
    return (z > 0).astype(float)


def dense_backward(dy, x, W, b):
    dx = dy @ W.T
    dW = x.T @ dy
    db = dy.sum(axis=0)
    return dx, dW, db


def sgd_step(parameters, gradients, learning_rate):
    for p, g in zip(parameters, gradients):
        p -= learning_rate * g


def batches(x, y, size):
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


class Dense:
    def __init__(self, inputs, units, rng):
        self.W = rng.normal(size=(inputs, units)) * np.sqrt(2 / inputs)
        self.b = np.zeros(units)

    def forward(self, x):
        self.x = x
        return dense_forward(x, self.W, self.b)

    def backward(self, dy):
        dx, self.dW, self.db = dense_backward(dy, self.x, self.W, self.b)
        return dx


class ReLU:
    def forward(self, z):
        self.z = z
        return relu(z)

    def backward(self, da):
        return da * relu_derivative(self.z)


class CrossEntropy:
    def forward(self, scores, labels):
        self.scores = scores
        self.labels = labels
        return cross_entropy(scores, labels)

    def backward(self):
        return cross_entropy_gradient(self.scores, self.labels)


class SGD:
    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def update(self, layers):
        for layer in layers:
            if hasattr(layer, "W"):
                sgd_step([layer.W, layer.b], [layer.dW, layer.db], self.learning_rate)


def train_step(layers, loss, optimizer, x, labels):
    for layer in layers:
        x = layer.forward(x)
    value = loss.forward(x, labels)
    dy = loss.backward()
    for layer in reversed(layers):
        dy = layer.backward(dy)
    optimizer.update(layers)
    return value


def train_epoch(layers, loss, optimizer, x, labels, size, order):
    total = 0.0
    for xs, ys in batches(x[order], labels[order], size):
        total += len(xs) * train_step(layers, loss, optimizer, xs, ys)
    return total / len(x)
