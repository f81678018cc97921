"""The drawing of what an input adds, whole: a measured value, a code that depends on others, a yes or no."""

import pytest

from models_onnx.artifact.manifest import ModelInput
from models_onnx.model_card.effect_plots import _places, effect_plots
from models_onnx.model_card.plots import Dot, Line, Plot, Tick
from models_onnx.serving.effects import Effect


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


@pytest.mark.parametrize(
    ("link", "scale"),
    [("logit", "log-odds"), ("cloglog", "log of the hazard"), ("identity", "probability"), ("log", "log")],
)
def test_the_scale_is_named_by_the_link_and_nothing_added_is_drawn_in_the_middle(link: str, scale: str) -> None:
    nothing = Effect(item("sex_male"), (0.0, 1.0), *[(0.0, 0.0)] * 3)
    (plot,) = effect_plots([nothing], link)
    assert (plot.y_words, plot.header) == (scale, ("value", f"adds, in {scale}"))
    assert [tick.label for tick in plot.y_ticks] == ["-1", "-0.5", "0", "0.5", "1"]
    assert [tick.label for tick in plot.x_ticks] == ["female", "male"]
    assert effect_plots([], link) == []


def test_a_table_of_many_values_has_seven_of_them_with_the_ends() -> None:
    assert _places(14) == list(range(14))
    assert _places(15) == [0, 2, 5, 7, 9, 12, 14]
    assert _places(41) == [0, 7, 13, 20, 27, 33, 40]
