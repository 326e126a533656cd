"""scikit-learn's own checks of estimators, and its own tests of MLPClassifier and MLPRegressor."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sklearn.neural_network as theirs
from sklearn.utils.estimator_checks import parametrize_with_checks

from pellucid.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore")  # their suites have their own idea of warnings

# ---- check_estimator ----------------------------------------------------------------------------

SOLVERS = [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"early_stopping": True}]
ESTIMATORS = [kind(**options) for kind in (MLPClassifier, MLPRegressor) for options in SOLVERS]
SPLIT = "which rows are held out depends on how many there are, and not on their weights"


def _expected(estimator: Any) -> dict[str, str]:
    """What cannot hold with early stopping, as in scikit-learn itself; nothing else may fail."""
    if not estimator.early_stopping:
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": SPLIT,
        "check_sample_weight_equivalence_on_sparse_data": SPLIT,
    }


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=_expected)
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


# ---- sklearn/neural_network/tests/test_mlp.py ---------------------------------------------------

LEFT_OUT = {
    "test_gradient": "calls _loss_grad_lbfgs, a private method, with scikit-learn's work arrays; "
    "test_estimators_curves.py compares the same gradient with central differences",
}


def _their_tests() -> dict[str, Any]:
    """Their tests, from a module that finds our classes where it looks for theirs."""
    kept = theirs.MLPClassifier, theirs.MLPRegressor
    theirs.MLPClassifier, theirs.MLPRegressor = MLPClassifier, MLPRegressor
    try:
        module = importlib.import_module("sklearn.neural_network.tests.test_mlp")
        found = vars(importlib.reload(module))
    finally:
        theirs.MLPClassifier, theirs.MLPRegressor = kept
    assert found["MLPClassifier"] is MLPClassifier
    assert found["MLPRegressor"] is MLPRegressor
    return {name: value for name, value in found.items() if name.startswith("test_")}


THEIRS = _their_tests()
globals().update({name: test for name, test in THEIRS.items() if name not in LEFT_OUT})


@pytest.fixture
def global_random_seed() -> int:
    """What scikit-learn's own configuration gives to its tests."""
    return 42


def test_what_is_left_out_exists() -> None:
    assert set(LEFT_OUT) <= set(THEIRS)
    assert len(THEIRS) - len(LEFT_OUT) >= 40


# ---- the counts ---------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest, counts: Counter[str]) -> Iterator[None]:
    name = request.node.originalname
    suite = "check_estimator" if name == "test_check_estimator" else "test_mlp.py"
    yield
    if name in THEIRS or name == "test_check_estimator":
        counts[suite] += 1


@pytest.fixture(scope="module")
def counts(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    yield found
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(
            f"\nscikit-learn's suites with Pellucid's classes: {found['check_estimator']} checks of "
            f"check_estimator, {found['test_mlp.py']} tests of test_mlp.py; left out: "
            f"{', '.join(LEFT_OUT)}"
        )
