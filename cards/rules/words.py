"""The words that stand for {names} in the texts of rules."""

from collections.abc import Callable, Mapping

from cards.markdown import escape, plain
from cards.rules import kidney
from cards.rules.compiled import CompiledRule
from cards.rules.fact import Fact
from cards.rules.figures import show_dose
from cards.rules.kidney import ESTIMATES
from cards.rules.predicate import Predicate
from cards.rules.situation import Situation
from fhir.mapping.kidney import KidneyAbsence

_MOST_OTHERS = 2
_LONGEST_OTHERS = 30


def word_of(
    rule: CompiledRule, when: Predicate, facts: tuple[Fact, ...], situation: Situation
) -> Callable[[str], str | None]:
    """What each {name} becomes in a text about the condition `when` with its facts; None for what cannot be said."""

    def word(name: str) -> str | None:
        own = rule.family.words.get(name)
        if own is not None:
            return own(situation)
        common = COMMON_WORDS.get(name)
        return common(when, facts, situation) if common is not None else None

    return word


def _drug(_when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str:
    return situation.ingredient.name


def _drug_capital(_when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str:
    name = situation.ingredient.name
    return f"{name[:1].upper()}{name[1:]}"


def _dose(when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str | None:
    dose = situation.daily_dose_mg
    return show_dose(dose, when.limits) if dose is not None else None


def _other(_when: Predicate, facts: tuple[Fact, ...], situation: Situation) -> str | None:
    """The partners of a pair; else the drugs that an `active` condition found."""
    names = situation.partner_names() or [str(fact.value) for fact in facts if fact.name == "medication"]
    return _together(list(dict.fromkeys(names)))


def _together(names: list[str]) -> str | None:
    if not names:
        return None
    both = " and ".join(names)
    return both if len(names) <= _MOST_OTHERS and len(both) <= _LONGEST_OTHERS else _and_more(names)


def _and_more(names: list[str]) -> str:
    first = plain(names[0], _LONGEST_OTHERS)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _side(position: int) -> Callable[[Predicate, tuple[Fact, ...], Situation], str | None]:
    def word(_when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str | None:
        return _together(situation.side_names(position))

    return word


def _estimate(prefix: str) -> Callable[[Predicate, tuple[Fact, ...], Situation], str | None]:
    def word(when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str | None:
        for name in ESTIMATES:
            if name.startswith(prefix) and name in when.uses:
                estimate = situation.estimate(name)
                return kidney.phrase(estimate, when.limits) if estimate is not None else None
        return None

    return word


def _kidney_gap(_when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str:
    if not _asked_for_results(situation):
        return "kidney function did not come with this call"
    if situation.is_kidney_value_wanted():
        return f"no kidney function in the last {situation.chart.kidney_window}"
    return "kidney function cannot be estimated without age and sex"


def _asked_for_results(situation: Situation) -> bool:
    return any(situation.chart.record.knows(analyte) for analyte in ("creatinine", "egfr"))


def _kidney_history(_when: Predicate, _facts: tuple[Fact, ...], situation: Situation) -> str:
    """What there is in place of a usable value: an old one, one that was refused, nothing."""
    found = situation.chart.kidney("egfr_best")
    if not isinstance(found, KidneyAbsence) or not _asked_for_results(situation):
        return ""
    if found.old is not None:
        return f"Last value: {kidney.phrase(found.old)}."
    return escape(found.text, 200)  # it may repeat a unit as it was charted


COMMON_WORDS: Mapping[str, Callable[[Predicate, tuple[Fact, ...], Situation], str | None]] = {
    "drug": _drug,
    "Drug": _drug_capital,
    "dose": _dose,
    "other": _other,
    "first": _side(0),
    "second": _side(1),
    "egfr": _estimate("egfr"),
    "crcl": _estimate("crcl"),
    "kidney": _estimate(""),
    "kidney_gap": _kidney_gap,
    "kidney_history": _kidney_history,
}

COMMON_LONGEST: Mapping[str, str] = {
    "dose": "2,550",
    "other": "ketoconazole and itraconazole",
    "first": "acetaminophen",
    "second": "acetaminophen",
    "egfr": "eGFR 29.96 (old, disputed) on 2026-11-20",
    "crcl": "CrCl 29.96 mL/min (disputed) on 2026-11-20",
    "kidney": "CrCl 29.96 mL/min (disputed) on 2026-11-20",
    "kidney_gap": "kidney function cannot be estimated without age and sex",
}
"""The longest that the common words become, for the lint; {drug} depends on the rule's trigger."""
