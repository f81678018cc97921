"""Pregnancy: the placeholders and conditions that only these rules use."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from cards.rules.conditions.condition import DAYS, MEDICATION_LISTS, Truth, flag, members, with_value
from cards.rules.conditions.words.patient import PREGNANCY
from cards.rules.engine.family import Family, Placeholder, for_drug, written
from cards.rules.patient.context import RuleContext
from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.pregnancy import pregnancy_signs


def _childbearing(context: RuleContext) -> Truth:
    session = context.session
    beside = (drafted.medication for drafted in session.drafted if drafted is not context.drafted)
    return childbearing_no_contraception(
        session.record, (*(medication.medication for medication in session.active), *beside)
    )


def _tested_negative(wanted: Mapping[str, float], context: RuleContext) -> Truth:
    record = context.session.record
    newest = next(iter(pregnancy_signs(record).negative), None)
    return newest is not None and newest.time.whole_days(record.as_of_epoch) <= wanted["max_age_days"]


_GESTATION: Final = attrgetter("session.gestation")


def _weeks(context: RuleContext) -> str:
    gestation = context.session.gestation
    return f"week {gestation.week}" if gestation is not None else "week unknown"


def _on_record(context: RuleContext) -> str:
    gestation = context.session.gestation
    if gestation is None:
        return "No due date, gestational age or onset is on record."
    return f"On record is only the {gestation.words}."


_RESTRICTED: Final = "It has a restricted program (REMS)."
_PROGRAMS: Final = {
    "isotretinoin": "It needs the iPLEDGE program and a 30-day supply.",
    "acitretin": "Avoid pregnancy for 3 years after the last dose (boxed warning).",
    "leflunomide": "It needs a washout with cholestyramine.",
    **dict.fromkeys(("thalidomide", "lenalidomide", "pomalidomide"), _RESTRICTED),
}


FAMILY = Family(
    "pregnancy",
    placeholders={
        "week": Placeholder(written(_GESTATION, attrgetter("week")), "44"),
        "week_source": Placeholder(written(_GESTATION, attrgetter("words")), "last period 2026-11-20"),
        "weeks": Placeholder(_weeks, "week 28 or later"),
        "on_record": Placeholder(_on_record, "No due date, gestational age or onset is on record."),
        "program": Placeholder(for_drug(_PROGRAMS)),
    },
    conditions=(
        flag(
            "childbearing_no_contraception",
            _childbearing,
            "a woman of 12 to 50, not pregnant, no contraceptive of any kind and nothing else on record that prevents "
            "a pregnancy",
            frozenset({"childbearing", "sex", "age", "conditions", "condition:pregnancy", "active"}),
            lambda context: context.number_facts("age_years"),
            PREGNANCY | MEDICATION_LISTS,
        ),
        with_value(
            "pregnancy_test_negative",
            members(("max_age_days",), max_age_days=DAYS),
            _tested_negative,
            "a negative pregnancy test in {0[max_age_days]} days".format,
            "the newest negative pregnancy test is at most `max_age_days` old",
            frozenset({"pregnancy_test"}),
            needs=PREGNANCY,
        ),
    ),
)
