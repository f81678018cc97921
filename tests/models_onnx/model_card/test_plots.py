"""Curves, effects and later figures of a model: the numbers against another way of computing them."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.effect_plots import effect_plots
from models_onnx.model_card.evaluation_file import (
    FILE,
    encode_evaluation,
    later_evaluation,
    rates_at_equal_ages,
    read_evaluation,
)
from models_onnx.model_card.plots import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Bin,
    bins_of,
    curves,
    net_benefit_of_everybody,
    net_benefits,
    operating_points,
)
from models_onnx.serving.effects import effects
from models_onnx.serving.registry import ARTIFACTS, load_model, model_ids
from models_onnx.serving.runtime import Model
from models_onnx.workbench.metrics import net_benefit
from models_onnx.workbench.training.commands import row_bins
from tests.models_onnx.model_card import drawings
from tests.models_onnx.workbench.training.test_missing import declared, trained_and_judged


def people(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and outcomes that agree."""
    draw = np.random.default_rng(5)
    estimate = draw.beta(1.2, 6, count)
    return estimate, (draw.random(count) < estimate).astype(np.int64)


def test_the_points_of_rows_give_the_roc_area_and_precision_that_scikit_learn_gives() -> None:
    estimate, y = people()
    points = operating_points(row_bins(estimate, y, np.ones(len(y)), 1000))
    x = [0.0, *(each.false_positive_rate for each in points)]
    tall = [0.0, *(each.sensitivity for each in points)]
    area = sum((b - a) * (c + d) / 2 for a, b, c, d in zip(x, x[1:], tall, tall[1:], strict=False))
    assert area == pytest.approx(roc_auc_score(y, estimate), abs=0.002)
    steps = zip(points, [0.0, *tall[1:]], strict=False)
    assert sum(each.ppv * (each.sensitivity - before) for each, before in steps) == pytest.approx(
        average_precision_score(y, estimate), abs=0.01
    )


def test_net_benefit_of_a_point_is_that_of_the_rows_and_rows_without_weight_count_nowhere() -> None:
    estimate, y = people()
    weight = np.where(np.arange(len(y)) % 5 == 0, 0.0, 1.5)
    point = operating_points(row_bins(estimate, y, weight, 50))[10]
    told = net_benefit(estimate, y, weight, point.threshold, 0.25)
    assert point.net_benefit(0.25) == pytest.approx(told)


def test_the_drawings_of_few_people_are_those_that_were_checked_by_hand() -> None:
    """Where it differs on purpose: python -m tests.models_onnx.model_card.drawings --write, and review the text."""
    assert drawings.text().splitlines() == drawings.PINNED.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", model_ids())
def test_every_model_has_five_curves_within_their_frames_each_with_text_and_table(name: str) -> None:
    manifest = load_model(name).manifest
    bins = bins_of(manifest)
    for plot in curves(bins, bins, manifest, manifest.evaluation["latest"]["auroc"]):
        assert plot.text.endswith(".")
        assert "nan" not in plot.text
        assert plot.rows
        assert {len(row) for row in plot.rows} == {len(plot.header)}
        pairs = [pair.split(",") for line in plot.lines for pair in line.points.split()]
        assert all(LEFT <= float(x) <= RIGHT and TOP <= float(y) <= BOTTOM for x, y in pairs)


def test_the_points_of_a_manifest_agree_with_its_own_thresholds() -> None:
    manifest = load_model("readmission_30d").manifest
    default = manifest.thresholds.default
    point = min(operating_points(bins_of(manifest)), key=lambda each: abs(each.threshold - default.probability))
    assert point.ppv == pytest.approx(default.ppv, abs=0.005)
    assert point.sensitivity == pytest.approx(default.sensitivity, abs=0.01)


def test_net_benefit_of_a_model_that_was_signed_without_it_follows_from_its_rows() -> None:
    trained = load_model("mortality_5y").manifest
    rows = tuple(msgspec.structs.replace(row, net_benefit=None) for row in trained.thresholds.table)
    thresholds = msgspec.structs.replace(trained.thresholds, table=rows, net_benefit_all=None)
    without = msgspec.structs.replace(trained, thresholds=thresholds)
    assert net_benefits(without) == pytest.approx(net_benefits(trained), abs=2e-4)
    assert net_benefit_of_everybody(without) == pytest.approx(net_benefit_of_everybody(trained), abs=5e-3)


def test_a_curve_says_so_where_nothing_is_gained() -> None:
    manifest = load_model("readmission_30d").manifest
    flat = [Bin(low, 100, 10, 0.1, 0.05, 0.2) for low in (0.1, 0.4, 0.6)]
    decision = {plot.id: plot for plot in curves(flat, flat, manifest, {})}["decision-curve"]
    assert "At no threshold is it worth more" in decision.text or "worth more than alerting" in decision.text


def test_the_shape_of_an_input_is_what_the_file_answers_and_its_band_is_flat_for_an_additive_model() -> None:
    model = load_model("mortality_5y")
    shapes = effects(model)
    assert {each.feature.name for each in shapes} == set(model.features)
    assert not any(each.depends_on_others for each in shapes)
    age = next(each for each in shapes if each.feature.name == "age_years")
    row = np.array([item.reference_value for item in model.manifest.features])
    row[model.features.index("age_years")] = age.values[7]
    told = model.predict(row).contributions[model.features.index("age_years")]
    assert age.middle[7] == pytest.approx(float(told), abs=1e-9)
    plots = effect_plots(shapes, model.manifest.link)
    assert len({plot.y_ticks for plot in plots}) == 1
    assert "Adds least at" in plots[0].text


@pytest.mark.slow
def test_an_input_whose_effect_depends_on_others_has_a_band(tmp_path: Path) -> None:
    trees = HistGradientBoostingClassifier(max_depth=3, max_iter=40, random_state=0)
    told, _ = trained_and_judged(declared(tmp_path, trees, missing_inputs="learned"))
    shapes = effects(Model(Artifact(told.manifest, told.content)))
    assert any(each.depends_on_others for each in shapes)
    plots = {plot.id: plot for plot in effect_plots(shapes, "logit")}
    assert any("depends on other inputs" in plot.text for plot in plots.values())
    assert {"band"} <= {line.kind for plot in plots.values() for line in plot.lines}
    assert [tick.label for tick in plots["effect-sex_male"].x_ticks] == ["female", "male"]


def test_later_figures_count_only_for_the_file_that_they_are_of(tmp_path: Path) -> None:
    manifest = load_model("readmission_30d").manifest
    later = read_evaluation(manifest, ARTIFACTS)
    assert later is not None
    assert {each.axis for each in rates_at_equal_ages(manifest, later)} == {"sex", "race"}
    assert rates_at_equal_ages(manifest, None) == []
    other = msgspec.structs.replace(manifest, file=msgspec.structs.replace(manifest.file, sha256="0" * 64))
    written = later_evaluation(other, "t", "0" * 64, "how", later.groups)
    (tmp_path / FILE.format(id=manifest.id)).write_bytes(encode_evaluation(written))
    assert read_evaluation(manifest, tmp_path) is None
    assert read_evaluation(other, tmp_path) == written
    (tmp_path / FILE.format(id=manifest.id)).write_text("[]")
    assert read_evaluation(other, tmp_path) is None


def test_a_model_that_was_trained_with_rates_at_equal_ages_keeps_its_own() -> None:
    manifest: Manifest = load_model("mortality_5y").manifest
    assert rates_at_equal_ages(manifest, None)
