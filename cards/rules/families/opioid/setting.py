"""Conditions on where an opioid is ordered, what for, and how long it acts."""

import re
from collections.abc import Mapping
from typing import Any

from cards.rules.conditions.condition import MEDICATION_LISTS, Truth, flag, members, one_of, some, with_value
from cards.rules.conditions.words.patient import CONDITIONS, order_says
from cards.rules.families.opioid.view import is_long_acting, release_of
from cards.rules.language.rule import Drug
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.medications.opioids import METHADONE, is_opioid, is_partial_agonist

# How long it acts


def _long_acting(wanted: Mapping[str, Any], context: RuleContext) -> Truth:
    """Whether a long-acting opioid is drafted, or taken, of these ingredients (none given: any)."""
    codes = frozenset(drug["rxcui"] for drug in wanted.get("ingredients", ()))
    identities = [context.medication]
    if wanted["of"] != "draft":
        beside = context.session.medications_beside(context.drafted, ("opioid",))
        # The order that the draft renews is not beside it, but it is taken.
        identities = [medication.medication for medication in (*beside, *context.session.active)]
    return any(is_long_acting(one) and (not codes or not codes.isdisjoint(one.rxcuis)) for one in identities)


def _long_acting_words(wanted: Mapping[str, Any]) -> str:
    names = " or ".join(drug["name"] for drug in wanted.get("ingredients", ())) or "opioid"
    return f"{'the draft is' if wanted['of'] == 'draft' else 'the patient takes'} a long-acting {names}"


# Where and what for


_LOWER_START = re.compile(r"lower start|half (?:of )?the usual", re.IGNORECASE)


_PERIOPERATIVE = re.compile(
    r"\b(?:pacu|post-?anesthesia|operating room|intra-?op\w*|peri-?op\w*|pre-?op\w*|before (?:the )?procedure"
    r"|for (?:the )?procedure|mri|sedation)\b",
    re.IGNORECASE,
)
_WITHDRAWAL = re.compile(r"\b(?:ciwa|alcohol withdrawal|withdrawal protocol)\b", re.IGNORECASE)
_RESCUE_ROUTE = re.compile(r"rectal|nasal|buccal|intranasal|diastat|nayzilam|valtoco|oromucosal", re.IGNORECASE)
_USE_DISORDER = re.compile(r"opioid (?:use disorder|dependence|addiction)|\b(?:oud|moud|mat)\b", re.IGNORECASE)


def _for_use_disorder(context: RuleContext) -> Truth:
    """Whether every opioid treats opioid use disorder: buprenorphine but as a patch, or methadone for it."""
    beside = [medication.medication for medication in context.session.medications_beside(context.drafted, ("opioid",))]
    opioids = [
        identity_of_opioid
        for identity_of_opioid in (context.medication, *beside)
        if "opioid" in identity_of_opioid.classes
    ]
    return bool(opioids) and all(_treats_disorder(opioid, context) for opioid in opioids)


def _treats_disorder(identity: MedicationIdentity, context: RuleContext) -> bool:
    codes = [code for code in identity.rxcuis if is_opioid(code)]
    if all(is_partial_agonist(code) for code in codes):
        return release_of(identity) != "patch" and "1819" in codes
    listed = context.has_condition("opioid_use_disorder") is True
    says_disorder = bool(_USE_DISORDER.search(context.drafted.text))
    return codes == [METHADONE] and (listed or says_disorder)


def _brief_benzodiazepine(context: RuleContext) -> Truth:
    """Whether every benzodiazepine of the pair is one dose, a rescue for seizures, or for alcohol withdrawal."""
    beside = context.session.medications_beside(context.drafted, ("benzodiazepine",))
    pairs = [(medication.medication, medication.dose.single, "") for medication in beside]
    if "benzodiazepine" in context.medication.classes:
        pairs = [(context.medication, context.drafted.dose.single, context.drafted.text)]
    return bool(pairs) and all(_is_brief(*pair) for pair in pairs)


def _is_brief(identity: MedicationIdentity, single: bool, words: str) -> bool:
    form = f"{identity.dose_form} {identity.route} {identity.words}"
    return single or bool(_RESCUE_ROUTE.search(form)) or bool(_WITHDRAWAL.search(words) or _PERIOPERATIVE.search(words))


SETTING_CONDITIONS = (
    with_value(
        "long_acting",
        members(("of",), of=one_of("draft", "active"), ingredients=some(Drug)),
        _long_acting,
        _long_acting_words,
        "the drafted opioid (`of` `draft`), or one that is taken (`active`), is long-acting; with `ingredients` only "
        "one of these",
        frozenset({"active"}),
        needs=MEDICATION_LISTS,
    ),
    order_says("perioperative", _PERIOPERATIVE, "the order is for a procedure"),
    flag(
        "for_use_disorder",
        _for_use_disorder,
        "the opioid treats opioid use disorder",
        frozenset({"conditions"}),
        needs=CONDITIONS,
    ),
    flag(
        "brief_benzodiazepine",
        _brief_benzodiazepine,
        "the benzodiazepine is for one occasion",
        frozenset({"active"}),
        needs=MEDICATION_LISTS,
    ),
    order_says("lower_start", _LOWER_START, "the order says that it starts lower"),
)
"""The words of the opioid family about the setting of an order."""
