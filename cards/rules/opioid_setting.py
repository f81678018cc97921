"""Where an opioid is ordered, what for, and how long it acts."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cards.rules.condition import Spec, only
from cards.rules.opioid_view import is_long_acting, release_of
from cards.rules.order_words import order_words
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.situation import Situation
from fhir.mapping.medications import Identity
from fhir.mapping.stay import is_inpatient
from fhir.record.subject import last_part
from fhir.terminology.opioids import METHADONE, is_opioid, is_partial_agonist

# HL7 v3 ActCode: emergency, inpatient, observation, short stay.
_EMERGENCY = "EMER"
_HOSPITAL = frozenset({_EMERGENCY, "IMP", "ACUTE", "NONAC", "OBSENC", "SS"})

# How long it acts


def long_acting(spec: Spec) -> Predicate:
    """A long-acting opioid that is drafted, or taken, of these ingredients (none given: any)."""
    inner = only(only(spec, "long_acting")["long_acting"], "of", "ingredients")
    codes = frozenset(drug["rxcui"] for drug in inner.get("ingredients", ()))

    def is_meant(identity: Identity) -> bool:
        return is_long_acting(identity) and (not codes or bool(codes.intersection(identity.rxcuis)))

    def test(situation: Situation) -> Truth:
        if inner["of"] == "draft":
            return is_meant(situation.medication)
        beside = situation.chart.taken_beside(situation.drafted, ("opioid",))
        return any(is_meant(one.medication) for one in beside) or _renews(situation, is_meant)

    return Predicate(test, no_facts, frozenset({"active"}))


def _renews(situation: Situation, is_meant: Callable[[Identity], bool]) -> bool:
    """Whether the order that the draft says it renews is such a one."""
    prior = situation.drafted.order.priorPrescription
    return prior is not None and any(
        one.source == prior.reference and is_meant(one.medication) for one in situation.chart.active
    )


def long_acting_words(spec: Mapping[str, Any]) -> str:
    inner = spec["long_acting"]
    names = " or ".join(drug["name"] for drug in inner.get("ingredients", ())) or "opioid"
    return f"{'the draft is' if inner['of'] == 'draft' else 'the patient takes'} a long-acting {names}"


# Where and what for


_LOWER_START = re.compile(r"lower start|half (?:of )?the usual", re.IGNORECASE)


def in_hospital(situation: Situation) -> Truth:
    """Whether it is ordered in a hospital or an emergency department: by its visit, its category, or the stay now."""
    record, order = situation.chart.record, situation.drafted.order
    visit = last_part(order.encounter.reference or "") if order.encounter is not None else ""
    of_visit = any(
        one.class_ is not None
        and one.class_.code in _HOSPITAL
        and (one.id == visit or (one.class_.code == _EMERGENCY and one.status == "in-progress"))
        for one in record.encounters
    )
    return of_visit or is_inpatient(record) or "inpatient" in _categories(situation)


def _categories(situation: Situation) -> set[str]:
    listed = situation.drafted.draft.resource.get("category")
    concepts = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    codings = [each for one in concepts for each in one.get("coding") or () if isinstance(each, dict)]
    return {str(each.get("code", "")).lower() for each in codings}


_PERIOPERATIVE = re.compile(
    r"\b(?:pacu|post-?anesthesia|operating room|intra-?op\w*|peri-?op\w*|pre-?op\w*|before (?:the )?procedure"
    r"|for (?:the )?procedure|mri|sedation)\b",
    re.IGNORECASE,
)
_WITHDRAWAL = re.compile(r"\b(?:ciwa|alcohol withdrawal|withdrawal protocol)\b", re.IGNORECASE)
_RESCUE_ROUTE = re.compile(r"rectal|nasal|buccal|intranasal|diastat|nayzilam|valtoco|oromucosal", re.IGNORECASE)
_USE_DISORDER = re.compile(r"opioid (?:use disorder|dependence|addiction)|\b(?:oud|moud|mat)\b", re.IGNORECASE)


def perioperative(situation: Situation) -> Truth:
    return bool(_PERIOPERATIVE.search(order_words(situation.drafted.order)))


def for_use_disorder(situation: Situation) -> Truth:
    """Whether every opioid treats opioid use disorder: buprenorphine but as a patch, or methadone for it."""
    beside = [one.medication for one in situation.chart.taken_beside(situation.drafted, ("opioid",))]
    opioids = [one for one in (situation.medication, *beside) if "opioid" in one.classes]
    return bool(opioids) and all(_treats_disorder(one, situation) for one in opioids)


def _treats_disorder(identity: Identity, situation: Situation) -> bool:
    codes = [one for one in identity.rxcuis if is_opioid(one)]
    if all(is_partial_agonist(code) for code in codes):
        return release_of(identity) != "patch" and "1819" in codes
    listed = situation.has_condition("opioid_use_disorder") is True
    said = bool(_USE_DISORDER.search(order_words(situation.drafted.order)))
    return codes == [METHADONE] and (listed or said)


def brief_benzodiazepine(situation: Situation) -> Truth:
    """Whether every benzodiazepine of the pair is one dose, a rescue for seizures, or for alcohol withdrawal."""
    beside = situation.chart.taken_beside(situation.drafted, ("benzodiazepine",))
    pairs = [(one.medication, one.dose.single, "") for one in beside]
    if "benzodiazepine" in situation.medication.classes:
        pairs = [(situation.medication, situation.is_single_dose, order_words(situation.drafted.order))]
    return bool(pairs) and all(_is_brief(*pair) for pair in pairs)


def _is_brief(identity: Identity, single: bool, words: str) -> bool:
    form = f"{identity.dose_form or ''} {identity.route or ''} {identity.words}"
    return single or bool(_RESCUE_ROUTE.search(form)) or bool(_WITHDRAWAL.search(words) or _PERIOPERATIVE.search(words))


def lower_start(situation: Situation) -> Truth:
    return bool(_LOWER_START.search(order_words(situation.drafted.order)))
