"""All six rungs, written number by number where that is possible: slow, and right all the same."""

import math

import numpy as np


def dense_forward(x, W, b):
    y = np.zeros((x.shape[0], W.shape[1]))
    for i in range(x.shape[0]):
        for o in range(W.shape[1]):
            total = b[o]
            for k in range(x.shape[1]):
                total += x[i, k] * W[k, o]
            y[i, o] = total
    return y


def cross_entropy(scores, labels):
    total = 0.0
    for row, label in zip(scores, labels):
        top = max(row)
        total += math.log(sum(math.exp(s - top) for s in row)) - (row[label] - top)
    return total / len(labels)


def cross_entropy_gradient(scores, labels):
    result = np.empty_like(scores)
    for i, row in enumerate(scores):
        e = np.exp(row - row.max())
        result[i] = e / e.sum()
        result[i, labels[i]] -= 1.0
    return result / len(scores)


def sigmoid(z):
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def sigmoid_derivative(z):
    return sigmoid(z) * sigmoid(-z)


def relu(z):
    result = z.copy()
    result[result < 0] = 0
    return result


def relu_derivative(z):
    return z > 0


def dense_backward(dy, x, W, b):
    dW = np.zeros(W.shape)
    for row, slope in zip(x, dy):
        dW += np.outer(row, slope)
    dx = np.array([W @ slope for slope in dy])
    return [dx, dW, sum(dy)]


def sgd_step(parameters, gradients, learning_rate):
    for i in range(len(parameters)):
        parameters[i][...] = parameters[i] - learning_rate * gradients[i]


def batches(x, y, size):
    result, start = [], 0
    while start < len(x):
        stop = min(start + size, len(x))
        result.append([x[start:stop], y[start:stop]])
        start = stop
    return result


class Dense:
    def __init__(self, inputs, units, rng):
        bound = np.sqrt(6 / inputs)
        self.W = rng.uniform(-bound, bound, (inputs, units))
        self.b = np.zeros(units)

    def forward(self, x):
        self.inputs = x.copy()
        return np.einsum("bi,io->bo", x, self.W) + self.b

    def backward(self, dy):
        self.dW = np.einsum("bi,bo->io", self.inputs, dy)
        self.db = np.ones(len(dy)) @ dy
        return np.einsum("bo,io->bi", dy, self.W)


class ReLU:
    def forward(self, z):
        self.positive = z > 0
        return np.where(self.positive, z, 0.0)

    def backward(self, da):
        return np.where(self.positive, da, 0.0)


class CrossEntropy:
    def forward(self, scores, labels):
        shifted = scores - scores.max(axis=-1)[:, None]
        logs = shifted - np.log(np.exp(shifted).sum(axis=-1))[:, None]
        self.p, self.one_hot = np.exp(logs), np.eye(scores.shape[1])[labels]
        return float(-(logs * self.one_hot).sum() / len(scores))

    def backward(self):
        return (self.p - self.one_hot) / len(self.p)


class SGD:
    def __init__(self, learning_rate):
        self.rate = learning_rate

    def update(self, layers):
        for layer in layers:
            try:
                layer.W, layer.b = layer.W - self.rate * layer.dW, layer.b - self.rate * layer.db
            except AttributeError:
                pass  # a layer without weights


def train_step(layers, loss, optimizer, x, labels):
    a = x
    for i in range(len(layers)):
        a = layers[i].forward(a)
    result = loss.forward(a, labels)
    slope = loss.backward()
    for i in range(len(layers) - 1, -1, -1):
        slope = layers[i].backward(slope)
    optimizer.update(layers)
    return result


def train_epoch(layers, loss, optimizer, x, labels, size, order):
    losses = []
    for k in range(0, len(order), size):
        rows = order[k : k + size]
        losses += [train_step(layers, loss, optimizer, x[rows], labels[rows])] * len(rows)
    return np.mean(losses)
