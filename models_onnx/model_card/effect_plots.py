"""The shape of each input of a model as a drawing: what it contributes over the values that the model knows."""

from collections.abc import Sequence

from models_onnx.model_card.plots import Axes, Dot, Line, Plot, Tick
from models_onnx.serving.effects import Effect

_SCALES = {"logit": "log-odds", "cloglog": "log of the hazard", "identity": "probability"}
_TOLD = 7


def effect_plots(effects: Sequence[Effect], link: str) -> list[Plot]:
    """Return one drawing for each input, all on one scale, so that their sizes can be compared."""
    ends = [0.0, *(value for effect in effects for value in (*effect.low, *effect.high))]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    scale = _SCALES.get(link, link)
    return [_plot(effect, (min(ends) - room, max(ends) + room), scale) for effect in effects]


def _plot(effect: Effect, ends: tuple[float, float], scale: str) -> Plot:
    item, values = effect.feature, effect.values
    axes = Axes(min(values), max(values), *ends)
    lines = [Line("even", axes.points([(axes.x_low, 0.0), (axes.x_high, 0.0)]), "the average")]
    if effect.depends_on_others:
        around = [*zip(values, effect.high, strict=True), *reversed(list(zip(values, effect.low, strict=True)))]
        lines.append(Line("band", axes.points(around), "over other people"))
    discrete = bool(item.choices) or len(values) == 2
    middle = list(zip(values, effect.middle, strict=True))
    if not discrete:
        lines.append(Line("curve", axes.points(middle), "this input"))
    dots = tuple(Dot(axes.x(x), axes.y(y)) for x, y in middle) if discrete else ()
    ticks = axes.x_ticks()
    if discrete:
        words = [f"{value:g}" for value in values] if item.choices else [_value(effect, 0), _value(effect, 1)]
        ticks = tuple(Tick(axes.x(value), word) for value, word in zip(values, words, strict=True))
    return Plot(
        f"effect-{item.name}",
        item.words,
        f"{item.words}{'' if item.unit == '1' else f', {item.unit}'}",
        scale,
        ticks,
        axes.y_ticks(),
        tuple(lines),
        dots,
        _text(effect, scale),
        ("value", f"adds, in {scale}"),
        tuple((_value(effect, position), f"{effect.middle[position]:+.2f}") for position in _places(len(values))),
    )


def _text(effect: Effect, scale: str) -> str:
    low = min(range(len(effect.values)), key=effect.middle.__getitem__)
    high = max(range(len(effect.values)), key=effect.middle.__getitem__)
    text = (
        f"Adds least at {_value(effect, low)} ({effect.middle[low]:+.2f} {scale}) and most at {_value(effect, high)} "
        f"({effect.middle[high]:+.2f})."
    )
    if effect.depends_on_others:
        widest = max(high - low for low, high in zip(effect.low, effect.high, strict=True))
        text += f" What it adds depends on other inputs: by up to {widest:.2f} at one value (the band)."
    return text


def _value(effect: Effect, position: int) -> str:
    item, value = effect.feature, effect.values[position]
    if item.choices:
        return item.choices[position]
    if len(effect.values) == 2:
        return (("female", "male") if item.name == "sex_male" else ("no", "yes"))[position]
    return f"{value:.4g}" + ("" if item.unit == "1" else f" {item.unit}")


def _places(count: int) -> list[int]:
    """Places of a table of a few rows, the ends among them; all of a code."""
    if count <= 2 * _TOLD:
        return list(range(count))
    return [round(number * (count - 1) / (_TOLD - 1)) for number in range(_TOLD)]
