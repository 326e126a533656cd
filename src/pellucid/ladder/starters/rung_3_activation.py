"""Rung 3: an activation and its derivative.

Write the four functions, then run:  pellucid check rung_3_activation.py
Each takes an array of any shape and gives an array of the same shape, entry by entry.
"""

import numpy as np


def sigmoid(z):
    """a = 1 / (1 + e^−z), between 0 and 1."""
    raise NotImplementedError


def sigmoid_derivative(z):
    """da/dz of the sigmoid, at z."""
    raise NotImplementedError


def relu(z):
    """a = z where z > 0, else 0."""
    raise NotImplementedError


def relu_derivative(z):
    """da/dz of the ReLU, at z: 1.0 or 0.0 (at z = 0 take 0)."""
    raise NotImplementedError
