"""Nobody is predicted by a model, or by a recalibration, that has seen them."""

from dataclasses import replace

import numpy as np
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.crossvalidate import Folds
from models_onnx.workbench.training.data.cohort import Cohort
from tests.models_onnx.invented import INVENTED


def margins(cohort: Cohort) -> np.ndarray:
    """Out-of-fold margins of everyone."""
    return Folds(INVENTED, cohort, INVENTED.feature_names).out_of_fold(no_progress, "").margin


def test_a_folds_own_outcomes_do_not_move_its_predictions(cohort: Cohort) -> None:
    mine = cohort.fold == 2
    lied = replace(cohort, observed=replace(cohort.observed, y=np.where(mine, 1 - cohort.y, cohort.y)))
    before, after = margins(cohort), margins(lied)
    assert (before[mine] == after[mine]).all()
    assert not np.allclose(before[~mine], after[~mine], atol=1e-3)


def test_a_folds_own_values_do_not_move_knots_or_scaling_of_its_model(cohort: Cohort) -> None:
    mine = cohort.fold == 0
    X = cohort.X.copy()
    X[mine] = X[mine] * 3 + 1
    changed = Folds(INVENTED, replace(cohort, X=X), INVENTED.feature_names).recalibrated_without(0)
    same = Folds(INVENTED, cohort, INVENTED.feature_names).recalibrated_without(0)
    assert changed.model.edges == same.model.edges
    assert (changed.model.contributions(cohort.X) == same.model.contributions(cohort.X)).all()


def test_a_table_without_folds_cannot_be_cross_validated(cohort: Cohort) -> None:
    with pytest.raises(TrainingRefused, match="folds"):
        Folds(INVENTED, replace(cohort, fold=np.full(len(cohort), -1)), INVENTED.feature_names)
    with pytest.raises(TrainingRefused, match="folds"):
        Folds(INVENTED, replace(cohort, fold=cohort.fold % 2), INVENTED.feature_names)
