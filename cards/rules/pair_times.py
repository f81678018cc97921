"""How long the drugs of a pair have been taken."""

from collections.abc import Callable

from cards.rules.condition import Condition, Spec, only
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.wording import selected

_USES = frozenset({"active", "history"})
_DAYS = {"type": "number", "exclusiveMinimum": 0}


def _starts(situation: Situation, days: float) -> list[bool | None]:
    """Whether the draft, and whether the partner, was begun in so many days; a renewal is no beginning."""
    renews = situation.drafted.order.priorPrescription is not None
    own = False if renews else situation.chart.is_recent_start(situation.medication, days)
    return [own, *(situation.chart.is_recent_start(one.medication, days) for one in situation.partners[:1])]


def _one_begun(situation: Situation, days: float) -> Truth:
    answers = _starts(situation, days)
    return True if True in answers else None if None in answers else False


def _both_unchanged(situation: Situation, days: float) -> Truth:
    begun = _one_begun(situation, days)
    return None if begun is None else not begun


def _days(word: str, holds: Callable[[Situation, float], Truth], said: str) -> Condition:
    def read(spec: Spec) -> Predicate:
        days = float(only(spec, word)[word])
        return Predicate(lambda situation: holds(situation, days), no_facts, _USES)

    return Condition(read, _DAYS, lambda spec: said.format(days=spec[word]))


ONE_BEGUN_WITHIN = _days("one_begun_within", _one_begun, "one of the two begun within {days} days")
"""One of the pair began in the last so many days."""
BOTH_UNCHANGED_FOR = _days("both_unchanged_for", _both_unchanged, "both taken for over {days} days")
"""Neither of the pair began in the last so many days."""


def _any_new(spec: Spec) -> Predicate:
    inner = only(only(spec, "any_new")["any_new"], "drugs", "days")
    selector, days = Selector.read(inner["drugs"], systemic=True), float(inner["days"])

    def test(situation: Situation) -> Truth:
        chart = situation.chart
        taken = chart.taken_beside(situation.drafted, selector.keys)
        answers = [chart.is_recent_start(one.medication, days) for one in taken if selector.matches(one.medication)]
        if selector.matches(situation.medication):
            renews = situation.drafted.order.priorPrescription is not None
            answers.append(False if renews else chart.is_recent_start(situation.medication, days))
        return True if True in answers else None if None in answers else False

    return Predicate(test, no_facts, _USES)


ANY_NEW = Condition(
    _any_new,
    {
        "type": "object",
        "required": ["drugs", "days"],
        "properties": {"drugs": {"$ref": "#/$defs/selector"}, "days": _DAYS},
        "additionalProperties": False,
    },
    lambda spec: f"{selected(spec['any_new']['drugs'])} begun within {spec['any_new']['days']} days",
)
"""One of these drugs, drafted or taken, began in the last so many days."""
