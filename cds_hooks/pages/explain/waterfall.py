"""The waterfall of an estimate: from the average person of the group to this patient, input by input."""

from msgspec import Struct

from cards.compose.model import in_100, people_shown, strength
from cds_hooks.pages.explain.inputs import Input
from cds_hooks.pages.explain.recorded_decision import Scores
from cds_hooks.web.charts import Scale, with_ticks
from cds_hooks.web.numbers import logistic, logit

_PEOPLE = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)
# Two labels closer than this, in percent of the column, would touch on a phone.
_APART = 9.0


def log_odds_scale(margins: list[float]) -> Scale:
    """Return a scale of log-odds around these, its ticks labelled as people in 100, so that steps add up as drawn."""
    low, high = min(margins), max(margins)
    room = max(0.08 * (high - low), 0.15)
    bare = Scale(low - room, high + room)
    labels: dict[float, str] = {}
    last = -_APART
    for people in _PEOPLE:
        margin = logit(people / 100)
        if bare.low <= margin <= bare.high and bare.at(margin) - last >= _APART:
            labels[margin] = f"{people}"
            last = bare.at(margin)
    return with_ticks(bare, labels)


ROWS = 10


class Step(Struct, frozen=True):
    """One row: an input (or the rest together), how it moves the estimate, its bar, and the count after it."""

    title: str
    value: str
    note: str
    date: str
    marks: str
    effect: str
    style: str
    left: float
    width: float
    before: float
    after: float
    people: int


class Waterfall(Struct, frozen=True):
    """The chart: `start` and `end` in people in 100 and in percent of the scale, the steps between them."""

    scale: Scale
    steps: tuple[Step, ...]
    start_people: int
    start: float
    end_people: int
    end: float


def waterfall(scores: Scores, inputs: list[Input]) -> Waterfall:
    """Return the ten largest steps, largest first, and all others as one; together they are the whole difference."""
    ranked = sorted(inputs, key=lambda item: -abs(item.contribution))
    moves = [(item, item.contribution) for item in ranked[:ROWS]]
    others = ranked[ROWS:]
    sizes = sum(abs(item.contribution) for item in inputs)

    margins = [scores.base]
    for _, contribution in moves:
        margins.append(margins[-1] + contribution)
    scale = log_odds_scale([*margins, scores.margin])

    steps = [
        _step(item.words, item.used or item.value, item.compared, item.date, move, sizes, margins[number], scale)
        for number, (item, move) in enumerate(moves)
    ]
    if others:
        unknown = sum(1 for item in others if not item.has_value)
        note = f"{unknown} of them not recorded or not usable" if unknown else ""
        title = f"{len(others)} other inputs, together" if len(others) > 1 else f"1 other input: {others[0].words}"
        move = sum(item.contribution for item in others)
        steps.append(_step(title, "", note, "", move, sizes, margins[-1], scale))
    return Waterfall(
        scale,
        tuple(steps),
        in_100(logistic(scores.base)),
        scale.at(scores.base),
        people_shown(scores),
        scale.at(scores.margin),
    )


def _step(title: str, value: str, note: str, date: str, move: float, sizes: float, margin: float, scale: Scale) -> Step:
    marks, effect, style = _effect(move, sizes)
    before, after = scale.at(margin), scale.at(margin + move)
    return Step(
        title=title,
        value=value,
        note=note,
        date=date,
        marks=marks,
        effect=effect,
        style=style,
        left=min(before, after),
        width=round(abs(after - before), 2),
        before=before,
        after=after,
        people=in_100(logistic(margin + move)),
    )


def _effect(move: float, sizes: float) -> tuple[str, str, str]:
    """Mark, words and class of a step, the sizes of all steps together given: the words are those of the card."""
    if not move:
        return "", "no effect", "flat"
    signs, words = strength(move, sizes)
    style = "flat" if signs in ("▵", "▿") else "up" if move > 0 else "down"
    return signs, words, style
