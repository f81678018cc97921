"""Composes the card of a drafted order: the gravest finding as its headline, and which suggestions it offers."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from math import inf
from textwrap import shorten
from typing import Any, Final

from msgspec import structs

from cards.card import (
    SEVERITY,
    SUMMARY_LIMIT,
    TOPICS,
    Card,
    CardIdentity,
    Coding,
    Source,
    Suggestion,
)
from cards.compose.details import detail_lines, forbidding_beside, takes_draft_away
from cards.extension import CardExtension, FindingReference
from cards.rules.engine.finding import DRUG_FACTS, OfferedSuggestion, RuleFinding
from cards.rules.patient.measurements import dated
from cards.rules.patient.orders import DraftMedication
from cards.rules.patient.session import PatientSession
from cards.suggest import OrderCheck, suggestions_for
from cards.text import escape
from fhir.record.refusals import WhyNot

MOST_SUGGESTIONS = 4
_ADULT_YEARS = 18
_BY_MONTHS = 24
"""Under this age in months it is told in months."""


def order_card(drafted: DraftMedication, shown: Sequence[RuleFinding], check: OrderCheck) -> tuple[Card, list[WhyNot]]:
    """Return the card of what is found about a draft, and why suggestions of it are withheld."""
    identity, withheld = CardIdentity(check.new_uuid()), list[WhyNot]()
    today = check.session.record.as_of - timedelta(days=1)
    findings = sorted(shown, key=lambda finding: _rank(finding, today.date().isoformat()))
    listed = [finding for finding in findings if not any(finding.is_implied_by(other) for other in findings)]
    first, forbidding = listed[0], [finding for finding in listed if _forbids(finding)]
    # A test before the first dose says nothing where the drug is critically forbidden: it is not given at all.
    if any(finding.indicator == "critical" for finding in forbidding):
        is_new = all(check.session.is_new_start(part, drafted) for part in drafted.medication.ingredients)
        listed = [finding for finding in listed if not _asks_for_test(finding, is_new_start=is_new)]
    suggestions: list[Suggestion] = []
    first_offer: Suggestion | None = None
    for finding in listed:
        offered, reasons = suggestions_for(_without_draft(finding, forbidding), drafted, check)
        if finding is first:
            first_offer = next((offer for offer in offered if offer.is_recommended), next(iter(offered), None))
        else:
            offered = [_as_beside_headline(suggestion, finding, first) for suggestion in offered]
        suggestions.extend(offered)
        withheld.extend(reasons)
    summary = first.summary  # where a drug's name is long, it is cut and not refused
    opening = f"**{escape(drafted.medication.words)}**{_of_child(check.session, listed)}"
    card = identity.card(
        first.indicator,
        summary if len(summary) <= SUMMARY_LIMIT else shorten(summary, SUMMARY_LIMIT, placeholder="…"),
        "\n".join(detail_lines(_without_repeated(listed), opening, forbidding, first_offer)),
        Source(label=first.evidence[0].label, url=first.evidence[0].link, topic=TOPICS["orders"]),
        CardExtension(
            findings=tuple(FindingReference(finding.rule, finding.band) for finding in findings),
            facts=tuple(dict.fromkeys(fact for finding in findings for fact in finding.facts)),
        ),
        suggestions=_distinct(suggestions, drafted.draft.resource.get(_DRUG)),
        reasons=_override_reasons(listed),
        selection="at-most-one",
    )
    return card, withheld


_TESTS_FIRST: Final = ("pgx-test-before", "mon-before-", "mon-hepatitis-b")


def _asks_for_test(finding: RuleFinding, *, is_new_start: bool) -> bool:
    """Whether it asks for a test before the first dose, or of a new drug for what is not known; an INR stays."""
    is_of_facts = any(fact.name not in DRUG_FACTS for fact in finding.facts)
    is_gap = is_new_start and finding.indicator == "info" and not is_of_facts
    return finding.rule.startswith(_TESTS_FIRST) or (is_gap and finding.rule != "mon-warfarin-inr")


def _without_repeated(findings: Sequence[RuleFinding]) -> list[RuleFinding]:
    """Return the findings, of several rows of the table of diseases about the same entries the first alone.

    Two rows on uncontrolled and on severe hypertension say one thing of bromocriptine in a hypertensive crisis.
    """
    kept: dict[object, RuleFinding] = {}
    for finding in findings:
        entries = frozenset(fact for fact in finding.facts if fact.name not in DRUG_FACTS)
        is_of_diseases = finding.rule.startswith("dz-label-") and bool(entries)
        kept.setdefault(entries if is_of_diseases else finding.rule, finding)
    return list(kept.values())


def _forbids(finding: RuleFinding) -> bool:
    """Whether it says for certain that the draft is not to be given, and offers nothing with which it could be."""
    if not finding.forbids or not finding.is_certain or finding.asks_if_taken:
        return False
    declared = [offer.suggestion.declared for offer in finding.suggestions]
    return any(offer.takes_draft_away for offer in declared) and not any(offer.keeps_draft for offer in declared)


def _without_draft(finding: RuleFinding, of_card: Sequence[RuleFinding]) -> RuleFinding:
    """Return the finding without the suggestions with which the draft would be given, where another one forbids it.

    What ends the other drug of a pair stays where that drug is the reason: then the draft can be given.
    """
    forbidding = forbidding_beside(finding, of_card)
    if not forbidding:
        return finding
    is_reason = all(other.partners and set(finding.partners).issuperset(other.partners) for other in forbidding)
    kept = [
        offer
        for offer in finding.suggestions
        if not _keeps(offer) or (is_reason and offer.suggestion.declared.stop_partner is not None)
    ]
    return structs.replace(finding, suggestions=tuple(kept))


def _keeps(offer: OfferedSuggestion) -> bool:
    """Whether it changes or adds something so that the draft can be given; a test of some days later is of that too."""
    declared = offer.suggestion.declared
    is_later = any(declared.orders[position].in_days for position in offer.orders)
    return declared.keeps_draft or (is_later and not declared.takes_draft_away)


_OF_BREATHING_AND_PULSE: Final = frozenset({"spo2", "respiratory_rate", "heart_rate"})


def _rank(finding: RuleFinding, since: str) -> tuple[int, bool, bool, bool, int, bool]:
    """By harm, then a vital sign of these hours, what forbids the draft, the rule's priority, how sure the facts are.

    Least sure is a drug that was last recorded years ago: what is known of the order itself stands before it. A result
    that another one contradicts is not: slow breathing in a disputed kidney failure stands before a laxative.
    """
    asks = bool(finding.asks_if_taken)
    is_grave = finding.indicator == "critical" or not finding.is_certain
    is_lesser = not (_forbids(finding) or (finding.forbids and is_grave) or finding.rule.startswith("preg-"))
    is_later = not any(
        fact.name in _OF_BREATHING_AND_PULSE and (fact.effective or "") >= since for fact in finding.facts
    )
    return -SEVERITY[finding.indicator], asks, is_later, is_lesser, -finding.priority, not finding.is_certain


def _override_reasons(findings: Iterable[RuleFinding]) -> tuple[Coding, ...]:
    """Return each reason once by its code, which alone comes back in feedback, in the words of the gravest finding."""
    reasons: dict[tuple[str, str], Coding] = {}
    for finding in findings:
        for reason in finding.override_reasons:
            reasons.setdefault((reason.system, reason.code), reason)
    return tuple(reasons.values())


def _of_child(session: PatientSession, findings: Iterable[RuleFinding]) -> str:
    """Return the age and the weight on record of a child, by which a dose is judged; nothing for an adult."""
    ages = session.record.age_bounds()
    is_said = any("The child is " in finding.detail for finding in findings)
    if ages is None or ages[1] >= _ADULT_YEARS or is_said:
        return ""
    months = session.record.age_months()
    age = f"age {months} months" if months is not None and months < _BY_MONTHS else f"age {ages[1]}"
    age = age.replace("age 1 months", "age 1 month")
    if months == 0 and (born := session.record.birth_date) is not None:
        days = born.whole_days(session.record.as_of_epoch)
        age = f"age {days} day{'' if days == 1 else 's'}"
    if len(set(ages)) > 1:
        age = f"age {ages[0]} or {ages[1]}"
    return f" ({age}, {dated(session.weight)})" if session.weight is not None else f" ({age})"


def _as_beside_headline(suggestion: Suggestion, finding: RuleFinding, headline: RuleFinding) -> Suggestion:
    """Return a suggestion of another finding is advised only where it takes away what the headline warns of.

    That is certain only where the draft goes and nothing comes in its place: a change or a substitute was proven for
    its own finding. Nothing is advised from a finding that is milder than the headline.
    """
    fits = finding.indicator == headline.indicator and takes_draft_away(suggestion)
    return suggestion if fits else structs.replace(suggestion, is_recommended=False)


_DRUG: Final = "medicationCodeableConcept"


def _distinct(suggestions: Iterable[Suggestion], drug: object) -> list[Suggestion]:
    """Each label and each thing that is done once, at most one of them recommended.

    Another drug than that of the draft (`drug`) is offered in one dose, the least that a finding of the card allows:
    that of another one may be too high for it (acetaminophen beside phenprocoumon in kidney failure).
    """
    distinct: list[Suggestion] = []
    for suggestion in suggestions:
        done = _done(suggestion, drug)
        same = (
            place for place, kept in enumerate(distinct) if kept.label == suggestion.label or _done(kept, drug) == done
        )
        if (place := next(same, None)) is None:
            is_first = not any(kept.is_recommended for kept in distinct)
            distinct.append(structs.replace(suggestion, is_recommended=suggestion.is_recommended and is_first))
        elif _ordered(suggestion) < _ordered(distinct[place]):
            distinct[place] = structs.replace(suggestion, is_recommended=distinct[place].is_recommended)
    return distinct[:MOST_SUGGESTIONS]


def _ordered(suggestion: Suggestion) -> tuple[float, float]:
    """Return the most of a day and of one dose of what it orders; infinite where the order does not say."""
    created = (action.resource or {} for action in suggestion.actions if action.type == "create")
    dosage: dict[str, Any] = next(
        (resource["dosageInstruction"][0] for resource in created if "dosageInstruction" in resource), {}
    )
    dose: dict[str, Any] = next(iter(dosage.get("doseAndRate", ())), {})
    of_a_day = dosage.get("maxDosePerPeriod", {}).get("numerator", {})
    of_a_dose = dose.get("doseQuantity") or dose.get("doseRange", {}).get("high", {})
    return float(of_a_day.get("value", inf)), float(of_a_dose.get("value", inf))


def _done(suggestion: Suggestion, drug: object) -> list[tuple[object, ...]]:
    """Return what accepting it does, without the names of new orders and the dose of another drug."""
    done: list[tuple[object, ...]] = []
    for action in suggestion.actions:
        resource = {**(action.resource or {}), "id": None}
        if action.type == "create" and resource.get(_DRUG, drug) != drug:
            resource.pop("dosageInstruction", None)
        done.append((action.type, action.resource_id, resource))
    return done
