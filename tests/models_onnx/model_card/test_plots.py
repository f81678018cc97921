"""Curves, effects and later figures of a model: the numbers against another way of computing them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest, ModelInput
from models_onnx.model_card import plots
from models_onnx.model_card.effect_plots import _places, effect_plots
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
    Dot,
    Line,
    Operating,
    Plot,
    Tick,
    bins_of,
    curves,
    net_benefit_of_everybody,
    net_benefits,
    operating_points,
)
from models_onnx.serving.effects import Effect, effects
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


# The drawing of what an input adds, whole: a measured value, a code that depends on others, a yes or no.


def item(name: str, unit: str = "1", choices: tuple[str, ...] = ()) -> ModelInput:
    """An input that is called by its name."""
    return ModelInput(name, name.title(), unit, (), "", 0.0, 1.0, None, 0.0, None, choices)


AGE = Effect(item("age", "a"), (0.0, 10.0, 20.0), *[(-0.5, 0.0, 0.5)] * 3)
CODE = Effect(item("ward", choices=("A", "B", "C")), (0.0, 1.0, 2.0), (0.0, 0.45, 0.25), (0.0, 0.4, 0.25),
              (0.0, 0.5, 0.25))  # fmt: skip
FLAG = Effect(item("diabetes"), (0.0, 1.0), *[(0.0, 0.25)] * 3)
# The contributions reach from -0.5 to 0.5, so the axis from -0.55 to 0.55, which are the places 204 and 12.
Y_TICKS = (Tick(204.0, "-0.55"), Tick(156.0, "-0.275"), Tick(108.0, "0"), Tick(60.0, "0.275"), Tick(12.0, "0.55"))
EVEN = Line("even", "48,108 348,108", "the average")


def test_effects_are_drawn_on_one_scale_with_their_sentence_and_numbers() -> None:
    age, code, flag = effect_plots([AGE, CODE, FLAG], "logit")
    header = ("value", "adds, in log-odds")
    assert age == Plot(
        "effect-age", "Age", "Age, a", "log-odds",
        (Tick(48.0, "0"), Tick(123.0, "5"), Tick(198.0, "10"), Tick(273.0, "15"), Tick(348.0, "20")), Y_TICKS,
        (EVEN, Line("curve", "48,195.3 198,108 348,20.7", "this input")), (),
        "Adds least at 0 a (-0.50 log-odds) and most at 20 a (+0.50).", header,
        (("0 a", "-0.50"), ("10 a", "+0.00"), ("20 a", "+0.50")),
    )  # fmt: skip
    assert code == Plot(
        "effect-ward", "Ward", "Ward", "log-odds", (Tick(48.0, "0"), Tick(198.0, "1"), Tick(348.0, "2")), Y_TICKS,
        (EVEN, Line("band", "48,108 198,20.7 348,64.4 348,64.4 198,38.2 48,108", "over other people")),
        (Dot(48.0, 108.0), Dot(198.0, 29.5), Dot(348.0, 64.4)),
        "Adds least at A (+0.00 log-odds) and most at B (+0.45). What it adds depends on other inputs: by up to 0.10 "
        "at one value (the band).", header, (("A", "+0.00"), ("B", "+0.45"), ("C", "+0.25")),
    )  # fmt: skip
    assert flag == Plot(
        "effect-diabetes", "Diabetes", "Diabetes", "log-odds", (Tick(48.0, "no"), Tick(348.0, "yes")), Y_TICKS,
        (EVEN,), (Dot(48.0, 108.0), Dot(348.0, 64.4)),
        "Adds least at no (+0.00 log-odds) and most at yes (+0.25).", header, (("no", "+0.00"), ("yes", "+0.25")),
    )  # fmt: skip


def test_a_table_of_many_values_has_seven_of_them_with_the_ends() -> None:
    assert _places(14) == list(range(14))
    assert _places(15) == [0, 2, 5, 7, 9, 12, 14]
    assert _places(41) == [0, 7, 13, 20, 27, 33, 40]


# Places, ends of axes and shares of the drawings of a card, worked out by hand, where few people or none are.


def _row(**facts: Any) -> Any:
    return SimpleNamespace(**{"alert_rate": 0.2, "ppv": 0.3, "sensitivity": 0.6, "net_benefit": None, **facts})


def _manifest(*rows: Any, alerts: float | None = None, everybody: float | None = None) -> Manifest:
    thresholds = SimpleNamespace(
        table=rows, alerts_per_event=alerts, net_benefit_all=everybody, default=rows[0] if rows else None
    )
    return cast(Manifest, SimpleNamespace(thresholds=thresholds))


def test_net_benefit_of_everybody_as_it_was_computed_and_where_nothing_is_found() -> None:
    assert net_benefit_of_everybody(_manifest(_row(), everybody=0.0)) == 0.0
    assert net_benefit_of_everybody(_manifest(_row(sensitivity=0.0))) == -0.25


def test_the_bins_of_a_manifest_are_its_people_and_their_events() -> None:
    one_bin = SimpleNamespace(probability_low=0.2, count=50, rate=0.1, predicted=0.12, low=0.05, high=0.2)
    manifest = cast(Manifest, SimpleNamespace(reference=SimpleNamespace(bins=[one_bin])))
    assert bins_of(manifest) == [Bin(0.2, 50, 5.0, 0.12, 0.05, 0.2)]


def test_a_decision_curve_that_is_worth_something_in_part_or_nowhere() -> None:
    manifest = cast(Manifest, SimpleNamespace(row_words="stays"))
    points = [Operating(0.5, 0.1, 0.5, 0.03, 0.8), Operating(0.2, 0.4, 0.8, 0.3, 0.32), Operating(0.0, 1, 1, 1, 0.16)]
    decision = plots._decision(points, 0.16, manifest)
    assert decision.text.startswith(
        "From a threshold of 20.0 to one of 50.0 in 100 it is worth more than alerting everybody or nobody."
    )
    # 0.4 * (0.32 - 0.68 / 4) = 0.06, and 0.16 - 0.84 / 4 = -0.05; 0.1 * (0.8 - 0.2) = 0.06, and 0.16 - 0.84 = -0.68
    assert decision.rows == (("50.0", "6.0", "-68.0"), ("20.0", "6.0", "-5.0"))
    assert decision.y_words == "net benefit per 100 stays"
    none = plots._decision([Operating(0.5, 0.1, 0.1, 0.1, 0.5), Operating(1.0, 0, 0, 0, 0)], 0.5, manifest)
    assert none.text.startswith("At no threshold is it worth more than alerting everybody or nobody.")
    assert none.rows == (("50.0", "0.0", "0.0"),), "a threshold of 1 has no odds"
