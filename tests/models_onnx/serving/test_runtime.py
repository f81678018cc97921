"""One call: probability, contributions that add up, missing, out of range, comparison; and what is refused."""

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import load_from_string, numpy_helper

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import ExplanationMismatch, ManifestRefused, WrongShape
from models_onnx.serving.runtime import Model
from models_onnx.workbench.compiler.explaining_graph import Groups, write_file
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.compiler.reference import Reference
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.pipeline import Trained
from tests.models_onnx.workbench.compiler.people import BrokenLine, piecewise
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

TYPICAL = {
    "age_years": 67, "sex_male": 1, "albumin_g_dl": 4.1, "alp_u_l": 80, "bun_mg_dl": 16, "creatinine_mg_dl": 1.0,
    "glucose_mg_dl": 101, "bilirubin_total_mg_dl": 0.6, "wbc_10e3_ul": 7.2, "rbc_10e6_ul": 4.5, "mcv_fl": 90,
    "rdw_pct": 13.4, "lymphocytes_pct": 28, "sbp_mmhg": 134, "dbp_mmhg": 72, "bmi_kg_m2": 28,
}  # fmt: skip


def person(model: Model, **changed: float) -> np.ndarray:
    """A typical person's vector, with these values changed."""
    values = {**TYPICAL, **changed}
    return np.array([values[name] for name in model.features], dtype=np.float64)


def test_base_and_contributions_add_up_to_the_logit(mortality: Model) -> None:
    told = mortality.predict(person(mortality))
    assert told.base + told.contributions.sum() == pytest.approx(told.margin, abs=1e-12)
    assert math.log(told.probability / (1 - told.probability)) == pytest.approx(told.margin, abs=1e-9)


def test_a_missing_input_is_named_and_contributes_exactly_nothing(mortality: Model) -> None:
    for number, name in enumerate(mortality.features):
        told = mortality.predict(person(mortality, **{name: math.nan}))
        assert told.missing.tolist() == [each == name for each in mortality.features]
        assert told.contributions[number] == 0.0


def test_the_top_tenth_of_the_reference_cohort_reaches_the_90th_percentile(
    invented_model: Model, cohort: Cohort
) -> None:
    percentile = invented_model.predict_rows(cohort.X[cohort.recent]).percentile
    assert (percentile >= 90).mean() == pytest.approx(0.10, abs=0.005)


@pytest.mark.parametrize("shape", [(15,), (17,), (1, 16), ()])
def test_a_vector_of_another_shape_is_refused(mortality: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongShape):
        mortality.predict(np.zeros(shape))
    with pytest.raises(WrongShape):
        mortality.predict_rows(np.zeros((2, *shape)) if shape == (15,) else np.zeros(3))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=16, max_size=16))
def test_any_floats_give_a_probability_that_adds_up(mortality: Model, values: list[float]) -> None:
    told = mortality.predict(np.array(values))
    assert 0.0 <= told.probability <= 1.0
    assert 0.0 <= told.percentile < 100.0
    for value, missing, outside in zip(values, told.missing, told.out_of_range, strict=True):
        assert missing == math.isnan(value)
        assert not (missing and outside)


def test_a_file_whose_contributions_do_not_add_up_is_refused_at_the_call(trained: Trained, cohort: Cohort) -> None:
    proto = load_from_string(trained.content)
    base = next(each for each in proto.graph.initializer if each.name == "base")
    base.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(base) + 1e-3, "base"))
    model = Model(Artifact(trained.manifest, proto.SerializeToString()))
    with pytest.raises(ExplanationMismatch):
        model.predict(cohort.X[0])
    with pytest.raises(ExplanationMismatch):
        model.predict_rows(cohort.X)


def changed(manifest: Manifest, **members: object) -> Manifest:
    """The manifest with other members."""
    return msgspec.structs.replace(manifest, **members)


def test_a_manifest_that_says_otherwise_than_the_file_is_refused(trained: Trained) -> None:
    manifest = trained.manifest
    swapped = (manifest.features[1], manifest.features[0], *manifest.features[2:])
    wider = (msgspec.structs.replace(manifest.features[0], trained_high=500.0), *manifest.features[1:])
    for other, what in (
        (changed(manifest, features=swapped), "features"),
        (changed(manifest, features=wider), "features"),
        (changed(manifest, base=manifest.base + 1e-9), "base"),
        (changed(manifest, version="9.9.9"), "version"),
    ):
        with pytest.raises(ManifestRefused, match=what):
            Model(Artifact(other, trained.content))


def test_a_plain_model_without_an_explanation_is_refused(trained: Trained) -> None:
    proto = load_from_string(trained.content)
    outputs = [each for each in proto.graph.output if each.name != "contributions"]
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    with pytest.raises(ManifestRefused, match="contributions"):
        Model(Artifact(trained.manifest, proto.SerializeToString()))


def test_the_file_alone_tells_what_it_is(trained: Trained, tmp_path: Path) -> None:
    props = {each.key: each.value for each in load_from_string(trained.content).metadata_props}
    card = json.loads(props["model_card"])
    assert card["intended_use"] == trained.manifest.intended_use
    assert card["cohort"]["n"] == trained.manifest.cohort.n
    assert [each["name"] for each in json.loads(props["feature_dictionary"])] == json.loads(props["features"])
    assert float(props["base"]) == trained.manifest.base


def test_rows_in_parts_give_the_same_as_all_at_once(invented_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(3).normal(50, 20, (100, len(invented_model.features)))
    whole = invented_model.predict_rows(rows)
    monkeypatch.setattr("models_onnx.serving.runtime._MOST_BYTES", 1)
    monkeypatch.setattr("models_onnx.serving.runtime._LEAST_AT_ONCE", 7)
    parts = invented_model.predict_rows(rows)
    for name in ("probability", "margin", "contributions"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


# What a file may say beyond the first ten outputs: familiarity, risks by horizon, groups; and what is not served.
def model_of(trained: Trained, reference: Reference, groups: dict[str, list[str]] | None = None) -> Model:
    """A Cox model with the trained one's manifest, so that the two agree about everything but the terms."""
    manifest = trained.manifest
    names = [item.name for item in manifest.features]
    lines = tuple(BrokenLine(item.name, (item.trained_low,), (0.01,), 0.1, 1e6, 1e6) for item in manifest.features)
    link = Survival.at({1.0: 0.02, 5.0: 0.2}, 5.0)
    said = {each.key: each.value for each in load_from_string(trained.content).metadata_props}
    given = {name: said[name] for name in ("model_id", "model_version", "feature_dictionary")}
    content = write_file("m", piecewise(lines, manifest.base, link), reference, given, Groups.of(names, groups or {}))
    return Model(Artifact(manifest, content))


def people(model: Model) -> np.ndarray:
    """Ordinary people, and one who is not."""
    rows = np.tile([item.reference_value for item in model.manifest.features], (5, 1))
    rows[:3] *= np.array([[0.98], [1.0], [1.02]])
    rows[4] *= 1.5
    return rows


def test_a_file_that_does_not_tell_leaves_it_open(trained: Trained) -> None:
    model = model_of(trained, REFERENCE)
    told = model.predict(people(model)[0])
    assert told.distance is None
    assert told.out_of_distribution is None
    assert model.groups == ()


def test_the_share_of_a_group_stands_at_its_last_input_that_is_recorded(trained: Trained) -> None:
    model = model_of(trained, REFERENCE, {"pressure": ["sbp_mmhg", "dbp_mmhg"]})
    assert ("pressure", ("sbp_mmhg", "dbp_mmhg")) in [(group.name, group.members) for group in model.groups]
    first, last = model.features.index("sbp_mmhg"), model.features.index("dbp_mmhg")
    assert first < last
    rows = np.tile(people(model)[1], (3, 1))
    rows[1, last] = rows[2, first] = rows[2, last] = np.nan
    told = model.predict_rows(rows)
    assert told.contributions.shape == rows.shape
    np.testing.assert_allclose(told.margin, told.contributions.sum(axis=1) + model.predict(rows[0]).base, atol=1e-9)
    assert told.contributions[0, [first, last]].tolist() == [0.0, pytest.approx(told.contributions[0, last])]
    assert told.contributions[0, last] != 0.0
    assert told.contributions[1, first] != 0.0
    assert told.contributions[1, last] == 0.0
