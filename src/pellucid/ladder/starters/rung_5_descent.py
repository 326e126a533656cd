"""Rung 5: gradient descent.

Write both functions, then run:  pellucid check rung_5_descent.py
"""

import numpy as np


def sgd_step(parameters, gradients, learning_rate):
    """Takes one step downhill: changes every array of `parameters` in place.

    parameters, gradients : lists of arrays, the second has the gradient by each of the first
    learning_rate : how far to go

    Returns nothing.
    """
    raise NotImplementedError


def batches(x, y, size):
    """All rows, `size` at a time, in the order in which they stand.

    x : (N, I)    y : (N,)

    Gives pairs (some rows of x, the same rows of y); as a generator or a list.
    """
    raise NotImplementedError
