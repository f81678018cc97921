"""One call: probability, contributions that add up, missing, out of range, comparison; and what is refused."""

import math

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
from models_onnx.workbench.training.data.cohort import Cohort

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


def test_a_file_whose_contributions_do_not_add_up_is_refused_at_the_call(trained: Artifact, cohort: Cohort) -> None:
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


def test_a_manifest_that_says_otherwise_than_the_file_is_refused(trained: Artifact) -> None:
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


def test_a_plain_model_without_an_explanation_is_refused(trained: Artifact) -> None:
    proto = load_from_string(trained.content)
    outputs = [each for each in proto.graph.output if each.name != "contributions"]
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    with pytest.raises(ManifestRefused, match="contributions"):
        Model(Artifact(trained.manifest, proto.SerializeToString()))
