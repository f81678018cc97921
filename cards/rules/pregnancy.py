"""Pregnancy: twelve rules of pregnancy.json, with the conditions that only they use."""

from cards.rules.condition import Condition, Spec, only
from cards.rules.fact import Fact
from cards.rules.family import Family
from cards.rules.indication import INDICATION
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.situation import Situation
from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.pregnancy_signs import signs_of


def _childbearing(spec: Spec) -> Predicate:
    wanted = only(spec, "childbearing_no_contraception")["childbearing_no_contraception"]

    def test(situation: Situation) -> Truth:
        chart = situation.chart
        beside = (one.medication for one in chart.drafted if one is not situation.drafted)
        taken = (*(one.medication for one in chart.active), *beside)
        answer = childbearing_no_contraception(chart.record, taken)
        return None if answer is None else answer is wanted

    def facts(situation: Situation) -> list[Fact]:
        return situation.number_facts("age_years")

    uses = frozenset({"childbearing", "sex", "age", "conditions", "condition:pregnancy", "active"})
    return Predicate(test, facts, uses)


def _tested_negative(spec: Spec) -> Predicate:
    days = float(only(spec, "pregnancy_test_negative")["pregnancy_test_negative"]["max_age_days"])

    def test(situation: Situation) -> Truth:
        record = situation.chart.record
        newest = next(iter(signs_of(record).negative), None)
        return newest is not None and int(newest.time.age_days(record.as_of_epoch)) <= days

    return Predicate(test, no_facts, frozenset({"pregnancy_test"}))


def _week(situation: Situation) -> str | None:
    gestation = situation.chart.gestation
    return str(gestation.weeks) if gestation is not None else None


def _week_source(situation: Situation) -> str | None:
    gestation = situation.chart.gestation
    return gestation.words if gestation is not None else None


FAMILY = Family(
    "pregnancy",
    words={"week": _week, "week_source": _week_source},
    longest={"week": "44", "week_source": "gestational age of 2026-11-20"},
    conditions={
        "childbearing_no_contraception": Condition(
            _childbearing,
            {"type": "boolean"},
            lambda _spec: (
                "a woman of 12 to 50, not pregnant, no contraceptive of any kind and nothing else on record "
                "that prevents a pregnancy"
            ),
        ),
        "pregnancy_test_negative": Condition(
            _tested_negative,
            {
                "type": "object",
                "required": ["max_age_days"],
                "properties": {"max_age_days": {"type": "number", "exclusiveMinimum": 0}},
                "additionalProperties": False,
            },
            lambda spec: f"a negative pregnancy test in {spec['pregnancy_test_negative']['max_age_days']} days",
        ),
        "indication": INDICATION,
    },
)
