"""Rung 1: a dense layer's forward pass.

Write the function, then run:  pellucid check rung_1_forward.py
"""

import numpy as np


def dense_forward(x, W, b):
    """Every unit's weighted sum of every row, plus its bias.

    x : (B, I)  a batch of B rows with I features each
    W : (I, O)  a column of weights for each of O units
    b : (O,)    a bias for each unit

    Returns y, (B, O).
    """
    raise NotImplementedError
