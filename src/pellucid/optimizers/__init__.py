"""Optimizers: what to do with a gradient. `base` says what one is; the others are a family each."""

from pellucid.errors import OptionError, did_you_mean
from pellucid.optimizers.adagrad import Adadelta, Adagrad, RMSProp
from pellucid.optimizers.adam import Adam, AdamW
from pellucid.optimizers.averages import EMA, SWA, Average
from pellucid.optimizers.base import Optimizer
from pellucid.optimizers.lbfgs import LBFGS
from pellucid.optimizers.nadam import NAdam, RAdam
from pellucid.optimizers.runs import Incoming, Run, Runs, joined
from pellucid.optimizers.sgd import SGD, Lion

__all__ = [
    "EMA", "LBFGS", "SGD", "SWA", "Adadelta", "Adagrad", "Adam", "AdamW", "Average", "Incoming",
    "Lion", "NAdam", "Optimizer", "RAdam", "RMSProp", "Run", "Runs", "as_optimizer",
    "joined",
]  # fmt: skip

_NAMES: dict[str, Optimizer] = {
    "sgd": SGD(),
    "adam": Adam(),
    "adamw": AdamW(),
    "amsgrad": Adam(amsgrad=True),
    "nadam": NAdam(),
    "radam": RAdam(),
    "adagrad": Adagrad(),
    "rmsprop": RMSProp(),
    "adadelta": Adadelta(),
    "lion": Lion(),
    "lbfgs": LBFGS(),
}


def as_optimizer(x: Optimizer | str) -> Optimizer:
    """The optimizer of this name with its defaults, or the optimizer itself.

    >>> as_optimizer("adam")
    Adam()
    >>> as_optimizer("amsgrad")
    Adam(amsgrad=True)
    """
    if isinstance(x, Optimizer):
        return x
    if isinstance(x, str):
        if x in _NAMES:
            return _NAMES[x]
        raise OptionError(f"no optimizer {x!r}. {did_you_mean(x, _NAMES)}")
    raise OptionError(f"an optimizer or its name is needed, not {x!r}")
