"""Estimators with scikit-learn's interface, built on networks.

`MLPClassifier` and `MLPRegressor` take the place of scikit-learn's: the same parameters, attributes
and numbers, trained by Pellucid's engines. They need scikit-learn: ``pip install
"pellucid[sklearn]"``.
"""

from pellucid.errors import MissingExtraError

try:
    import sklearn as _sklearn  # noqa: F401  # asked first, so that its absence is said in words
except ImportError as error:
    raise MissingExtraError.of("scikit-learn", "sklearn") from error

from pellucid.estimators.classifier import MLPClassifier
from pellucid.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
