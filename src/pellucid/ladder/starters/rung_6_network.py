"""Rung 6: a network that trains.

Layers now remember between forward and backward what backward needs. What you wrote on the first
five rungs goes into the methods. Then run:

    pellucid check rung_6_network.py
    pellucid train digits --layers rung_6_network.py
"""

import numpy as np


class Dense:
    """y = x W + b."""

    def __init__(self, inputs, units, rng):
        """Makes self.W (inputs, units), from rng.normal, and self.b (units,), zeros.

        Random weights of standard deviation √(2 / inputs) keep the signal at its size.
        """
        raise NotImplementedError

    def forward(self, x):
        """Returns y, and keeps x."""
        raise NotImplementedError

    def backward(self, dy):
        """Sets self.dW and self.db, and returns dx."""
        raise NotImplementedError


class ReLU:
    def forward(self, z):
        raise NotImplementedError

    def backward(self, da):
        """Returns dz."""
        raise NotImplementedError


class CrossEntropy:
    def forward(self, scores, labels):
        """Returns the loss, one number."""
        raise NotImplementedError

    def backward(self):
        """Returns the gradient of the loss by the scores of the last forward."""
        raise NotImplementedError


class SGD:
    def __init__(self, learning_rate):
        raise NotImplementedError

    def update(self, layers):
        """Changes W and b of every layer that has them; a ReLU has none."""
        raise NotImplementedError


def train_step(layers, loss, optimizer, x, labels):
    """Forward through the layers, the loss, backward through them, update; returns the loss."""
    raise NotImplementedError


def train_epoch(layers, loss, optimizer, x, labels, size, order):
    """One pass: the rows x[order], `size` at a time, a `train_step` for each batch.

    order : (N,)  every row number once
    Returns the mean loss over all rows.
    """
    raise NotImplementedError
