"""The estimator of effects beside a published effect, with propensities that another library fitted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from cds_hooks.outcomes.effect import doubly_robust


def test_with_fitted_propensities_it_gives_the_published_effect_of_quitting_on_weight(data_folder: Path) -> None:
    """NHEFS (Hernan and Robins, Causal Inference: What If): 3.4 kg, 2.4 to 4.5; the naive difference is 2.5."""
    people = pd.read_csv(data_folder / "series" / "nhefs.csv.gz").dropna(subset=["wt82_71"])
    numbers = people[["age", "smokeintensity", "smokeyrs", "wt71"]]
    kinds = pd.get_dummies(people[["education", "exercise", "active"]].astype(str), drop_first=True)
    confounders = pd.concat([people[["sex", "race"]], numbers, numbers**2, kinds], axis=1).astype(float)
    design = sm.add_constant(confounders)
    quit_smoking, gain = people["qsmk"].to_numpy(dtype=float), people["wt82_71"].to_numpy(dtype=float)
    propensity = np.asarray(sm.Logit(quit_smoking, design).fit(disp=0).predict(design))
    expected = [np.asarray(sm.OLS(gain[quit_smoking == arm], design[quit_smoking == arm]).fit().predict(design))
                for arm in (1, 0)]  # fmt: skip
    mean, low, high = doubly_robust(quit_smoking, propensity, gain, *expected)
    assert mean == pytest.approx(3.4, abs=0.1)
    assert low == pytest.approx(2.4, abs=0.15)
    assert high == pytest.approx(4.4, abs=0.15)
