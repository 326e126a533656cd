"""Rung 4: a dense layer's backward pass.

Write the function, then run:  pellucid check rung_4_backward.py
"""

import numpy as np


def dense_backward(dy, x, W, b):
    """The gradients of the loss by what went into y = x W + b.

    dy : (B, O)  the gradient of the loss by y
    x, W, b      what went in: (B, I), (I, O), (O,)

    Returns dx (B, I), dW (I, O), db (O,), in this order.
    """
    raise NotImplementedError
