"""From scikit-learn's fitted objects to ours, and back: parameters, weights and optimizers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import OptionError
from pellucid.estimators.descent import AdamSteps, MomentumSteps, Steps

if TYPE_CHECKING:
    from pellucid.estimators.base import MLP

Array = NDArray[Any]
_SHARED = (  # attributes that mean the same in both
    "n_features_in_", "feature_names_in_", "n_outputs_", "n_layers_", "n_iter_", "t_",
    "out_activation_", "loss_", "best_loss_", "loss_curve_", "validation_scores_",
    "best_validation_score_", "_no_improvement_count", "classes_", "_label_binarizer", "coefs_",
    "intercepts_", "_random_state",
)  # fmt: skip


def converted(model: Any, kind: type[MLP], engine: str) -> MLP:
    """Ours with everything that scikit-learn's `model` knows; the two share no array."""
    theirs = _theirs(kind)
    if not isinstance(model, theirs):
        raise OptionError(
            f"{kind.__name__}.from_sklearn takes scikit-learn's {theirs.__name__}, not {model!r}"
        )
    made = kind(**model.get_params(deep=False), engine=engine)
    _copy(model, made)
    if hasattr(model, "_optimizer"):
        made._optimizer = _steps(model._optimizer)
    return made


def given_back(model: MLP, kind: type[MLP]) -> Any:
    """scikit-learn's with everything that ours knows, but for the engine."""
    parameters = model.get_params(deep=False)
    del parameters["engine"]
    made = _theirs(kind)(**parameters)
    _copy(model, made)
    if hasattr(model, "coefs_"):
        made._best_coefs = [w.copy() for w in made.coefs_]
        made._best_intercepts = [b.copy() for b in made.intercepts_]
    if hasattr(model, "_optimizer"):
        made._optimizer = _optimizer(model._optimizer, made.coefs_, made.intercepts_)
    return made


def _theirs(kind: type[MLP]) -> Any:
    """scikit-learn's class of the same name as ours, or as that which `kind` derives from."""
    import sklearn.neural_network

    return next(
        getattr(sklearn.neural_network, base.__name__)
        for base in kind.__mro__
        if hasattr(sklearn.neural_network, base.__name__)
    )


def _copy(one: Any, other: Any) -> None:
    for name in _SHARED:
        if hasattr(one, name):
            setattr(other, name, copy.deepcopy(getattr(one, name)))


# ---- optimizers ---------------------------------------------------------------------------------
# Theirs keep a list of arrays, all weights before all biases; ours a flat vector, layer by layer.


def _steps(theirs: Any) -> Steps:
    steps: Steps
    if hasattr(theirs, "velocities"):
        steps = MomentumSteps(
            theirs.learning_rate_init, theirs.lr_schedule, theirs.momentum, theirs.nesterov,
            theirs.power_t,
        )  # fmt: skip
        steps.learning_rate = float(theirs.learning_rate)
        if theirs.momentum:
            steps.slots = {"velocity": _flat(theirs.velocities)}
    else:
        steps = AdamSteps(
            theirs.learning_rate_init, theirs.beta_1, theirs.beta_2, theirs.epsilon
        )  # fmt: skip
        steps.t = int(theirs.t)
        steps.slots = {"m": _flat(theirs.ms), "v": _flat(theirs.vs)}
    return steps


def _optimizer(steps: Steps, coefs: list[Array], intercepts: list[Array]) -> Any:
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    arrays = [*coefs, *intercepts]
    if isinstance(steps, MomentumSteps):
        made = SGDOptimizer(
            arrays, steps.learning_rate_init, steps.schedule, steps.momentum, steps.nesterov,
            steps.power_t,
        )  # fmt: skip
        made.learning_rate = steps.learning_rate
        if "velocity" in steps.slots:
            made.velocities = _listed(steps.slots["velocity"], arrays)
        return made
    assert isinstance(steps, AdamSteps)
    made = AdamOptimizer(
        arrays, steps.learning_rate_init, steps.beta_1, steps.beta_2, steps.epsilon
    )
    made.t, made.learning_rate = steps.t, steps.learning_rate
    if steps.slots:
        made.ms, made.vs = (_listed(steps.slots[key], arrays) for key in ("m", "v"))
    return made


def _flat(arrays: Sequence[Array]) -> Array:
    """Weights and then biases, as one vector layer by layer."""
    layers = len(arrays) // 2
    pairs = zip(arrays[:layers], arrays[layers:], strict=True)
    return np.concatenate([a.ravel() for pair in pairs for a in pair])


def _listed(vector: Array, like: Sequence[Array]) -> list[Array]:
    """The opposite: arrays of the shapes of `like`."""
    layers, start = len(like) // 2, 0
    found: list[Array] = [*like]
    for place in range(layers):
        for number in (place, layers + place):
            shape = like[number].shape
            stop = start + like[number].size
            found[number] = vector[start:stop].reshape(shape).copy()
            start = stop
    return found
