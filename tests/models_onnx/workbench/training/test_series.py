"""Models over series, from charts: 290 people with liver disease (pbcseq), one year after enrolment.

The table's visits become charts, `features.toml` says what is read from them, and models are judged by people whom
they never saw. The figures to reach are in reference.json beside the data (baseline C 0.811, last values 0.838, the
slope adds nothing), with more inputs than here.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.declared import add_declared_features
from fhir.mapping.features.feature import map_features
from fhir.record.record import read_record
from fhir.record.resources import decoder
from models_onnx.artifact.folder import Artifact
from models_onnx.serving.runtime import Model
from models_onnx.spec import AdditiveCox, Fitted, Floors, FollowUp, InputSpec, ModelSpec, OutcomeSpec, PopulationSpec
from models_onnx.workbench.training.commands import no_progress
from models_onnx.workbench.training.crossvalidate import Folds
from models_onnx.workbench.training.data.cohort import Table, build_cohort
from models_onnx.workbench.training.data.follow_up import c_index
from models_onnx.workbench.training.pipeline import train
from tests.fhir.builders import observation
from tests.fhir.mapping.features.test_declared import _forget
from tests.models_onnx.workbench.networks import HIDDEN, gru

__all__ = ["_forget"]
LABS = {"bili": ("bilirubin_total", "1975-2", "mg/dL"), "albumin": ("albumin", "1751-7", "g/dL")}
STEPS, LANDMARK, YEARS = 3, 365, 8.0
ENTRY = '[[feature]]\nname = "{name}"\nwords = "Invented words"\nevidence = "a test"\n{rest}\n'


def declaration() -> str:
    entries = [("prothrombin_s", 'loinc = ["5902-2"]\nunit = "s"\nlow = 5\nhigh = 120\nwindow_days = 400')]
    for name, (analyte, _, _) in LABS.items():
        quantity = f'analyte = "{analyte}"\n'
        entries += [
            (f"{name}_now", quantity + "window_days = 400"),
            (f"{name}_slope", quantity + 'window_days = 400\nstatistic = "slope"'),
            (f"{name}_at", quantity + f"steps = {STEPS}\nstep_hours = 3000"),
            (f"log_{name}", f'formula = "log({name}_now)"\nunit = "1"\nlow = -5\nhigh = 10'),
        ]
    return "".join(ENTRY.format(name=name, rest=rest) for name, rest in entries)


def chart(visits: pd.DataFrame) -> bytes:
    """All visits of a person as Observations, those after the landmark among them."""
    codes = {**{column: (code, unit) for column, (_, code, unit) in LABS.items()}, "protime": ("5902-2", "s")}
    start = datetime(1980, 1, 1, tzinfo=UTC)
    resources = [
        observation(
            code,
            when=(start + timedelta(days=float(day))).isoformat(),
            patient="p",
            id=f"{column}{day:.0f}",
            valueQuantity={"value": float(value), "code": unit, "system": "http://unitsofmeasure.org"},
        )
        for column, (code, unit) in codes.items()
        for day, value in zip(visits["day"], visits[column], strict=True)
        if not np.isnan(value)
    ]
    entries = [{"resource": resource} for resource in resources]
    return orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})


@pytest.fixture
def table(data_folder: Path, tmp_path: Path, _forget: None) -> pd.DataFrame:
    """One row per person who was alive and not transplanted a year after enrolment, as their charts have it."""
    (tmp_path / "features.toml").write_text(declaration())
    names = add_declared_features(tmp_path)
    as_of = datetime(1980, 1, 1, tzinfo=UTC) + timedelta(days=LANDMARK)
    rows: list[dict[str, Any]] = []
    for _, visits in pd.read_csv(data_folder / "series" / "pbcseq.csv").groupby("id"):
        first = visits.iloc[0]
        if first["futime"] <= LANDMARK:
            continue
        record = read_record({"labs": decoder.decode(chart(visits))}, "p", as_of)
        values = map_features(record, features_named(names)).values
        row = {"patient": f"p{len(rows)}", "age_years": float(first["age"] + 1), "death": int(first["status"] == 2)}
        rows.append({**row, "time": first["futime"] - LANDMARK, **dict(zip(names, values, strict=True))})
    fold = np.random.default_rng(0).permutation(np.arange(len(rows)) % 5)
    return pd.DataFrame(rows).assign(fold=fold)


def spec_of(inputs: tuple[str, ...], **changes: Any) -> ModelSpec:
    follow_up = FollowUp(lambda rows: rows["time"], lambda rows: rows["death"], 365.25)
    declared: dict[str, Any] = {
        "inputs": tuple(map(InputSpec, inputs)),
        "outcome": OutcomeSpec(column="death", words="died", horizon_days=365.25 * YEARS, follow_up=follow_up),
        "population": PopulationSpec(words="adults", age_low=18),
        "estimator": AdditiveCox(knots=0, penalty=1.0, horizons_years=(2.0, 5.0)),
        "simple_inputs": inputs[:1],
        "floors": Floors(auroc=0.5, slope=(0.1, 5.0), observed_expected=(0.1, 5.0)),
        "patient_column": "patient",
        **dict.fromkeys(("title", "intended_use", "users", "period", "cohort_words", "reference_words"), "A test."),
        **dict.fromkeys(("not_for", "cautions", "exclusions", "always_required"), ()),
        "derived": {},
        "subgroups": {},
    }
    ids = {"id": "invented", "version": "1.0.0", "table": "pbc.csv", "decision_role": "informs"}
    return ModelSpec(**{**ids, **declared, "capacity": 0.1, "capacities": (0.1,), **changes})


def c_of(table: pd.DataFrame, inputs: tuple[str, ...]) -> float:
    spec = spec_of(inputs)
    cohort = build_cohort(spec, table)
    margin = Folds(spec, cohort, spec.feature_names).out_of_fold(no_progress, "").logit
    return c_index(margin, cohort.observed, YEARS)


def test_declared_features_of_series_reach_the_figures_of_the_data(table: pd.DataFrame, data_folder: Path) -> None:
    reference = json.loads((data_folder / "series" / "reference.json").read_text())[
        "pbcseq landmark day 365, last value"
    ]
    assert (len(table), int(table["death"].sum())) == (reference["n"], reference["deaths"])
    newest = ("age_years", "log_bili", "log_albumin", "prothrombin_s")
    last_values = c_of(table, newest)
    assert last_values > reference["c_index"] - reference["c_sd"]
    assert c_of(table, (*newest, "bili_slope")) < last_values + 0.01


def test_a_recurrent_network_is_adopted_and_judged_on_people_it_never_saw(table: pd.DataFrame, tmp_path: Path) -> None:
    inputs = tuple(f"{name}_at_{step}" for name in LABS for step in range(1, STEPS + 1))
    learned, unseen = table[table["fold"] < 2], table[table["fold"] >= 2]
    centre, spread = np.array([3.0, 3.4]), np.array([4.0, 0.5])
    series = learned[list(inputs)].to_numpy().reshape(-1, len(LABS), STEPS).transpose(0, 2, 1)
    feed = {"series": np.nan_to_num(series).astype(np.float32), "mask": (~np.isnan(series)).astype(np.float32)}
    states = onnxruntime.InferenceSession(gru(STEPS, centre, spread)).run(None, feed)[0]
    readout = LogisticRegression(C=1.0, max_iter=1000).fit(states, learned["death"])
    weights = np.append(readout.coef_[0], readout.intercept_)
    (tmp_path / "pbc.onnx").write_bytes(gru(STEPS, centre, spread, weights))
    fitted = Fitted("pbc.onnx", trained_on="two folds of the same study", steps=STEPS, folder=tmp_path)
    spec = spec_of(inputs, estimator=fitted, missing_inputs="learned", always_required=(inputs[STEPS - 1],))
    trained = train(spec, Table("pbc.csv", "0" * 64, unseen), 1, 0, no_progress)
    assert trained.manifest.evaluation["all"]["c_index"]["value"] > 0.72
    assert any("exact over all their coalitions" in caution for caution in trained.manifest.cautions)
    told = Model(Artifact(trained.manifest, trained.content)).predict_rows(unseen[list(inputs)].to_numpy())
    assert (told.contributions != 0).sum(axis=1).max() == len(LABS)
    assert np.abs(told.margin - trained.manifest.base - told.contributions.sum(axis=1)).max() < 1e-9
    assert states.shape[1] == HIDDEN
