"""Conditions about a draft's course that several families ask: as needed, taken for a long time."""

from cards.rules.condition import Condition, Spec, only
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.situation import Situation


def _as_needed(spec: Spec) -> Predicate:
    wanted = only(spec, "as_needed")["as_needed"]
    return Predicate(lambda situation: situation.drafted.dose.as_needed is wanted, no_facts, frozenset({"dose"}))


def _long_term(spec: Spec) -> Predicate:
    days = float(only(only(spec, "long_term")["long_term"], "days")["days"])

    def test(situation: Situation) -> Truth:
        """Taken without a gap of half a year, and since more than so many days."""
        if situation.new_start is not False:
            return False
        recent = situation.chart.is_recent_start(situation.medication, days)
        return None if recent is None else not recent

    return Predicate(test, no_facts, frozenset({"history"}))


AS_NEEDED = Condition(_as_needed, {"type": "boolean"}, lambda spec: "as needed" if spec["as_needed"] else "scheduled")
LONG_TERM = Condition(
    _long_term,
    {
        "type": "object",
        "required": ["days"],
        "properties": {"days": {"type": "number", "exclusiveMinimum": 0}},
        "additionalProperties": False,
    },
    lambda spec: f"taken for more than {spec['long_term']['days']} days",
)
