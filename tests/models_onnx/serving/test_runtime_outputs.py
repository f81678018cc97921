"""What a file may say beyond the first ten outputs: familiarity, risks by horizon, groups; and what is not served."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import load_from_string

from models_onnx.artifact.folder import Artifact
from models_onnx.serving.runtime import Model
from models_onnx.workbench.compiler.explaining_graph import Groups, write_file
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, PiecewiseLinear
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.compiler.reference import Familiarity, Reference
from models_onnx.workbench.training.pipeline import Trained
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


def model_of(trained: Trained, reference: Reference, groups: dict[str, list[str]] | None = None) -> Model:
    """A Cox model with the trained one's manifest, so that the two agree about everything but the terms."""
    manifest = trained.manifest
    names = [item.name for item in manifest.features]
    lines = tuple(BrokenLine(item.name, (item.trained_low,), (0.01,), 0.1, 1e6, 1e6) for item in manifest.features)
    link = Survival.at({1.0: 0.02, 5.0: 0.2}, 5.0)
    said = {each.key: each.value for each in load_from_string(trained.content).metadata_props}
    given = {name: said[name] for name in ("model_id", "model_version", "feature_dictionary")}
    content = write_file(
        "m", PiecewiseLinear(lines, manifest.base, link), reference, given, Groups.of(names, groups or {})
    )
    return Model(Artifact(manifest, content))


def people(model: Model) -> np.ndarray:
    """Ordinary people, and one who is not."""
    rows = np.tile([item.reference_value for item in model.manifest.features], (5, 1))
    rows[:3] *= np.array([[0.98], [1.0], [1.02]])
    rows[4] *= 1.5
    return rows


def test_risks_stand_beside_the_probability_for_every_horizon(trained: Trained) -> None:
    model = model_of(trained, REFERENCE)
    assert model.horizons == (1.0, 5.0)
    one = model.predict(people(model)[0])
    assert one.risk[1] == one.probability
    assert one.risk[0] < one.risk[1]
    many = model.predict_rows(people(model))
    assert many.risk is not None
    assert many.risk[0].tolist() == list(one.risk)
    assert [each.risk for each in model.predict_each(list(people(model)))] == [tuple(row) for row in many.risk.tolist()]


def test_unfamiliar_values_are_marked_alone_and_among_others(trained: Trained) -> None:
    draw = np.random.default_rng(3)
    typical = np.array([item.reference_value for item in trained.manifest.features])
    cohort = typical * draw.normal(1.0, 0.05, (500, len(typical)))
    model = model_of(trained, replace(REFERENCE, familiarity=Familiarity.of(cohort)))
    one = [model.predict(row) for row in people(model)]
    assert [each.out_of_distribution for each in one] == [False, False, False, False, True]
    together = model.predict_each(list(people(model)))
    assert [each.distance for each in together] == [each.distance for each in one]


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
