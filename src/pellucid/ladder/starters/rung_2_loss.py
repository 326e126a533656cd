"""Rung 2: a loss and its gradient.

Write both functions, then run:  pellucid check rung_2_loss.py
"""

import numpy as np


def cross_entropy(scores, labels):
    """How surprised the probabilities are by the labels: one number, the mean over the rows.

    scores : (B, K)  a score for each of K classes; a softmax makes them probabilities
    labels : (B,)    whole numbers, the class that each row belongs to

    The loss of a row is −log of the probability of its label.
    """
    raise NotImplementedError


def cross_entropy_gradient(scores, labels):
    """The gradient of `cross_entropy` by the scores.

    Returns an array of the scores' shape, (B, K).
    """
    raise NotImplementedError
