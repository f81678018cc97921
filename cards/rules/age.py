"""Older adults: twelve rules of age.json, with the words and conditions that only they use."""

from cards.markdown import plain
from cards.rules.condition import COMPARED, SELECTED, Condition, Spec, comparison, only
from cards.rules.fact import Fact
from cards.rules.family import Family
from cards.rules.indication import INDICATION
from cards.rules.order_conditions import AS_NEEDED, LONG_TERM
from cards.rules.predicate import Predicate, Truth
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.taken import Taken
from cards.rules.wording import compared, selected
from fhir.mapping.dose import DailyDose

# rules/age.json, trigger of age-cns-three.
_CNS = Selector(
    classes=frozenset(
        {
            "opioid",
            "benzodiazepine",
            "z_drug",
            "gabapentinoid",
            "antipsychotic",
            "tca",
            "ssri",
            "snri",
            "muscle_relaxant",
        }
    ),
    systemic=True,
)
_MOST_LISTED = 5


# Another drug beside the draft


def _others(selector: Selector, situation: Situation) -> list[Taken]:
    """Such drugs that are taken or drafted beside the draft and are not the drafted drug itself."""
    own = frozenset(situation.medication.rxcuis)
    return [
        one
        for one in situation.taken(selector)
        if not own.issuperset(part.rxcui for part in selector.members(one.medication))
    ]


def _another(spec: Spec) -> Predicate:
    selector = Selector.read(only(spec, "another")["another"])

    def test(situation: Situation) -> Truth:
        return bool(_others(selector, situation))

    def facts(situation: Situation) -> list[Fact]:
        return [
            Fact(
                "medication",
                plain(one.medication.words),
                "/".join(part.name for part in selector.members(one.medication)),
                effective=one.since,
                source=one.source,
            )
            for one in _others(selector, situation)
        ]

    return Predicate(test, facts, frozenset({"active"}))


# Drugs that act on the brain


def _is_for_today(dose: DailyDose) -> bool:
    return dose.single or (dose.duration_days is not None and dose.duration_days <= 1)


def _brain_active(situation: Situation) -> dict[str, Taken | None]:
    """Each of them by name, the drafted ones first (None), without what is given only today."""
    found: dict[str, Taken | None] = {part.name: None for part in _CNS.members(situation.medication)}
    for one in situation.taken(_CNS):
        if not _is_for_today(one.dose):
            for part in _CNS.members(one.medication):
                found.setdefault(part.name, one)
    return found


def _cns_active_count(spec: Spec) -> Predicate:
    compare, limits = comparison(only(spec, "cns_active_count")["cns_active_count"])

    def test(situation: Situation) -> Truth:
        return compare(len(_brain_active(situation)))

    def facts(situation: Situation) -> list[Fact]:
        return [
            Fact("medication", plain(one.medication.words), name, effective=one.since, source=one.source)
            for name, one in _brain_active(situation).items()
            if one is not None
        ]

    return Predicate(test, facts, frozenset({"active"}), limits)


# Words


def _age(situation: Situation) -> str | None:
    return str(situation.age_years) if situation.age_years is not None else None


def _number(situation: Situation) -> str:
    return str(len(_brain_active(situation)))


def _list(situation: Situation) -> str:
    names = list(_brain_active(situation))
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


_BLEEDING = Selector(classes=frozenset({"anticoagulant", "corticosteroid", "antiplatelet"}), systemic=True)


def _risk(situation: Situation) -> str:
    """What makes an NSAID riskier, the strongest reason alone; without another it is the age."""
    if situation.has_condition("gi_bleed_or_ulcer"):
        return " with an ulcer or GI bleeding on the list"
    taken = situation.taken(_BLEEDING)
    if taken:
        return f" with {plain('/'.join(part.name for part in _BLEEDING.members(taken[0].medication)), 30)}"
    return " (over 75)"


def _indication(situation: Situation) -> str | None:
    if situation.has_condition("afib"):
        return "atrial fibrillation"
    return "thrombosis" if situation.has_condition("vte") else None


FAMILY = Family(
    "age",
    words={"age": _age, "n": _number, "list": _list, "risk": _risk, "indication": _indication},
    longest={
        "age": "100",
        "n": "12",
        "risk": " with an ulcer or GI bleeding on the list",
        "indication": "atrial fibrillation",
    },
    conditions={
        "another": Condition(_another, SELECTED, lambda spec: f"another drug is taken: {selected(spec['another'])}"),
        "cns_active_count": Condition(
            _cns_active_count, COMPARED, lambda spec: compared("brain-active drugs in all", spec["cns_active_count"])
        ),
        "long_term": LONG_TERM,
        "as_needed": AS_NEEDED,
        "indication": INDICATION,
    },
)
