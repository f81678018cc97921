"""How each input moves an estimate: over its own range, beside typical and other people, the largest first."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models_onnx.artifact.manifest import ModelInput
from models_onnx.serving.effects import Effect, effects


def item(name: str, high: float, reference: float, unit: str = "mg/dL") -> ModelInput:
    """An input from 0 up to this value."""
    return ModelInput(name, name, unit, (), "", 0.0, high, None, reference, None)


FLAG, LEVEL, NOTHING = item("flag", 1.0, 0.0, "1"), item("level", 10.0, 5.0), item("nothing", 4.0, 1.0)


def model(grouped: tuple[str, ...] = ()) -> Any:
    """The level adds what it is above 5; the flag adds a tenth of the level; the third input adds nothing."""

    def predict_rows(rows: Any) -> Any:
        flag, level, nothing = rows.T
        assert ((level >= 0) & (level <= 10) & (nothing >= 0) & (nothing <= 4)).all()
        return SimpleNamespace(contributions=np.column_stack([flag * level / 10, level - 5, 0 * nothing]))

    def group_of(name: str) -> tuple[str, ...]:
        return ("group", *grouped) if name in grouped else ()

    manifest = SimpleNamespace(features=(FLAG, LEVEL, NOTHING), group_of=group_of)
    return SimpleNamespace(manifest=manifest, predict_rows=predict_rows)


def test_the_largest_effect_comes_first_with_its_values_and_what_others_change() -> None:
    level, flag, nothing = effects(model())
    values = tuple(number / 4 for number in range(41))
    moved = tuple(value - 5 for value in values)
    assert level == Effect(LEVEL, values, moved, moved, moved)
    assert (level.depends_on_others, flag.depends_on_others, nothing.depends_on_others) == (False, True, False)
    assert (flag.feature, flag.values, flag.middle) == (FLAG, (0.0, 1.0), (0.0, 0.5))
    assert (flag.low[0], flag.high[0]) == (0.0, 0.0)
    assert 0.0 <= flag.low[1] < 0.5 < flag.high[1] <= 1.0
    assert (nothing.feature, set(nothing.middle), len(nothing.values)) == (NOTHING, {0.0}, 41)
    assert effects(model()) == [level, flag, nothing], "others are drawn alike each time"
    assert effects(model(("level", "nothing"))) == [flag], "inputs that are explained together have no curve"


@pytest.mark.parametrize(("gap", "depends"), [(0.0, False), (0.9e-5, False), (1.1e-5, True)])
def test_a_hundred_thousandth_is_no_dependence(gap: float, *, depends: bool) -> None:
    effect = Effect(FLAG, (0.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.0, gap))
    assert effect.depends_on_others is depends
