"""From table to file: the same every time, proven, small, and judged by its floors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models_onnx.artifact.folder import Artifact
from models_onnx.serving.runtime import Model
from models_onnx.spec import AdditiveCox
from models_onnx.workbench.compiler.reference import build_reference
from models_onnx.workbench.release.documentation import model_page
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.pipeline import BIN_PERCENTILES, Trained, train
from tests.models_onnx.invented import INVENTED, as_table


@pytest.mark.slow
def test_training_twice_gives_the_same_file_for_any_number_of_samples(trained: Trained, rows: pd.DataFrame) -> None:
    again = train(INVENTED, as_table(rows.copy()), 1, 20, no_progress)
    assert again.content == trained.content
    assert again.manifest.file == trained.manifest.file


@pytest.mark.slow
def test_another_table_gives_another_file(trained: Trained, rows: pd.DataFrame) -> None:
    other = train(INVENTED, as_table(rows.iloc[:-100]), 1, 0, no_progress)
    assert other.manifest.file.sha256 != trained.manifest.file.sha256


def test_a_model_of_times_becomes_a_file_that_explains_itself(rows: pd.DataFrame) -> None:
    estimator = AdditiveCox(knots=2, penalty=5.0, horizons_years=(1, 2))
    spec = replace(INVENTED, estimator=estimator, subgroups={}, panels={}, standardise_by=None)
    told = train(spec, as_table(rows), 1, 0, no_progress)
    model = Model(Artifact(told.manifest, told.content))
    cohort = build_cohort(spec, rows)
    found = model.predict_rows(cohort.X)
    assert told.manifest.estimator == estimator.words
    assert (told.manifest.link, told.manifest.horizons_years) == ("cloglog", (1.0, 2.0, 5.0))
    by_time = told.manifest.evaluation["horizons"]
    assert [row["years"] for row in by_time["rows"]] == [1.0, 2.0, 5.0]
    assert by_time["rows"][2]["brier"] == told.manifest.evaluation["all"]["brier"]
    assert all(0.7 < row["observed_expected"]["value"] < 1.4 for row in by_time["rows"]), by_time
    assert f"integrated) is {by_time['integrated_brier']}" in model_page(told.manifest, folder=None)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert np.abs(found.margin - model.manifest.base - found.contributions.sum(axis=1)).max() <= 1e-5
    assert told.manifest.evaluation["all"]["auroc"]["value"] > 0.6


def test_evaluation_says_n_and_events_of_every_group_and_marks_the_small_ones(trained: Trained) -> None:
    groups = trained.manifest.evaluation["subgroups"]
    assert {group["axis"] for group in groups} == set(INVENTED.subgroups)
    for group in groups:
        assert group["sufficient"] == (group["events"] >= 100 and "insufficient" not in group)
    by_sex = [group for group in groups if group["axis"] == "sex"]
    # The cycle of whom nobody was followed to the horizon counts in no figure.
    assert sum(group["n"] for group in by_sex) == trained.manifest.evaluation["all"]["n"] < trained.manifest.cohort.n


def test_the_manifest_says_which_panels_are_still_scored(trained: Trained) -> None:
    scored = {panel["words"]: panel["scored"] for panel in trained.manifest.evaluation["panels"]}
    assert scored["without RDW and lymphocytes"]
    assert not scored["without any of the 11 labs (not scored)"]


# Bins of the reference cohort: everyone once, rates that rise, limits that are nobody's own value.


def test_a_bin_in_which_fewer_had_the_event_is_joined_with_the_one_below() -> None:
    margin = np.linspace(-4, 2, 1000)
    y = np.zeros(1000, dtype=np.int64)
    y[300:400] = 1
    rates = [each.rate for each in build_reference(margin, margin, y, np.ones(1000), percentiles=BIN_PERCENTILES).bins]
    assert rates == sorted(rates)
    assert len(rates) < 13
