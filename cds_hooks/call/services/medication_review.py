"""What is taken already and does not fit this patient: one card at patient-view, in place of one for each criterion.

At 65 and over the criteria of STOPP version 3; at every age what `order-safety` would warn of as dangerous if the drug
were ordered today: diseases, values, pregnancy, allergies, pairs. What is ordered now is judged by `order-safety`, what
goes home by `discharge-medications`.
"""

from collections.abc import Iterator
from functools import cache, partial
from itertools import islice
from typing import Final

from cards.compose.medications import MEDICATION_REVIEW, review_card
from cards.extension import WorklistEntry
from cards.new_problems import NewProblems, first_new_day
from cards.orders import shown_findings
from cards.replacements import may_be_stopped
from cards.rules.engine.compile import CompiledBand, CompiledRule
from cards.rules.engine.finding import RuleFinding, merge_repeated_findings
from cards.rules.engine.rule_book import RuleBook, whole_book
from cards.rules.patient.orders import DraftMedication
from cards.rules.patient.session import PatientSession
from cards.suggest import OrderCheck
from cards.text import plain
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.services._anticoagulation import NO_TALK
from cds_hooks.call.services._current_medications import taken_medications, with_offers
from cds_hooks.call.services._equation import is_moment_for_review, kept_for_worklist
from cds_hooks.call.services._exclusions import DECEASED, PALLIATIVE, Exclusion, first_reason
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.medications.active import uncertain_medications, unreadable_medications, words_of_unreadable
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.terminology.package_tables import package_rows

SUBJECT: Final = MEDICATION_REVIEW
FROM_YEARS: Final = 65
"""STOPP is about people of this age and over."""
_OWN: Final = frozenset({"review", "disease"})
_OF_ORDERS_ONLY: Final = frozenset({"orders", "genes", "vaccines"})
"""Families about studies, about genes (a service of their own) and about vaccines: not asked of what is taken."""
_CRITICAL_ONLY: Final = frozenset({"age", "dose", "duplicate", "opioid"})
"""Families that warn an order of what is usual to reconsider: of what is taken only what is critical is told."""
_PAIRS: Final = frozenset({"ddi", "pairs"})
_NOT_WHERE: Final = {"review-antiplatelet-af": NO_TALK}
"""Rules that recommend what an advisor of its own recommends too: its reasons against it hold for them."""


@cache
def _criteria() -> frozenset[str]:
    """Return what covers the criteria of STOPP: rules of the review and of contraindications, `rule/band` of others."""
    return frozenset(
        criterion
        for row in package_rows("cards.rules.families.review", "stopp.csv")
        for criterion in row["rules"].split(";")
        if criterion
    )


@cache
def _every_age() -> dict[str, str]:
    """Return the bands of what harms for as long as it is taken; "yes": told only where nothing warns of worse."""
    return {row["band"]: row["alone"] for row in package_rows("cards.rules.families.review", "every_age.csv")}


@cache
def review_book() -> RuleBook:
    """Return the review's rules: its own family, what else covers STOPP, and what can be dangerous in what is taken."""
    return whole_book().of_families(lambda name: name not in _OF_ORDERS_ONLY)


def find(call: ServiceInput) -> Advice:
    """One card where something that is taken does not fit, else the reason for none."""
    record = call.record
    medications = taken_medications(record, OriginalOrders(call.sent))
    drafts = [draft for _, draft in islice(medications, call.max_drafts)]
    session = PatientSession(record, drafts, signing=True, active_orders=True)
    ages = record.age_bounds()
    is_older = ages is not None and ages[0] >= FROM_YEARS
    advice = Advice()
    findings = list(_findings(session, advice.silences, call, is_older=is_older))
    if any(finding.indicator != "info" for finding in findings):
        reminders = [finding for finding in findings if _every_age().get(f"{finding.rule}/{finding.band}")]
        findings = [finding for finding in findings if finding not in reminders]
        texts = (f"{finding.summary} Told where nothing warns of worse." for finding in reminders)
        advice.silences += [WhyNot(SUBJECT, "below-threshold", text) for text in texts]
    advice.orders = {"drafts": [draft.resource for draft in drafts], "judged": [draft.name for draft in drafts]}
    advice.scores = {"review": sorted({f"{finding.rule}/{finding.band} {finding.drug}" for finding in findings})}
    unreadable = words_of_unreadable(unreadable_medications(record, systemic=False))
    if unreadable:
        text = f"Not reviewed, because these entries of the medication list cannot be read: {unreadable}."
        advice.silences.append(WhyNot("medications", "not-recognised", text))
    uncertain = words_of_unreadable(uncertain_medications(record))
    if uncertain:
        text = f"Not reviewed, because it is not known whether the patient takes it: {uncertain}."
        advice.silences.append(WhyNot("medications", "input-missing", text))
    unchecked = _criteria_of_age_unchecked(record)
    if unchecked is not None:
        advice.silences.append(unchecked)
    elif not findings:
        advice.silences.append(_nothing_found(record, len(drafts)))
    shown = findings if is_moment_for_review(call) else list(filter(_is_told_in_hospital, findings))
    if len(shown) < len(findings):
        names = ", ".join(dict.fromkeys(finding.drug for finding in findings if finding not in shown))
        advice.worklist.append(
            WorklistEntry(test=plain(f"Medication review: {names}", 160), purpose=SUBJECT, because="no-visit")
        )
        advice.silences.append(kept_for_worklist(call, SUBJECT))
    if shown:
        card = partial(review_card, shown, call.card_identity(), since=first_new_day(record))
        advice.add(card(), shorten=partial(card, is_brief=True) if len(shown) > 1 else None)
    return advice


def _is_told_in_hospital(finding: RuleFinding) -> bool:
    """Whether it harms if it goes on. A pair that no result makes worse and no label forbids was told when ordered."""
    if finding.indicator != "warning" or finding.asks_if_taken:
        return finding.indicator == "critical"
    if finding.family in _PAIRS:
        results = (fact.text.split()[:2] for fact in finding.facts if (fact.source or "").startswith("Observation/"))
        names_result = any(" ".join(words).casefold() in finding.summary.casefold() for words in results if words)
        return names_result or (finding.forbids and finding.band != "avoid")
    return finding.family not in {*_CRITICAL_ONLY, "review"}


def _findings(
    session: PatientSession, silences: list[WhyNot], call: ServiceInput, *, is_older: bool
) -> Iterator[RuleFinding]:
    """Yield what is found about each drug; what two drugs do together is said once."""
    # What two drugs do together is told of the one that can be stopped: of aspirin, not of the anticoagulant beside it.
    drugs = sorted(session.drafted, key=lambda drafted: not may_be_stopped(drafted.medication))
    check, by_draft = OrderCheck(session, review_book(), call.card_uuid, OriginalOrders(call.sent).original), []
    new_problems, reports = NewProblems(check), _reports_from_65 if is_older else _reports_under_65
    for drafted in drugs:
        found = check.evaluate(drafted).findings_of(reports)
        found += new_problems.findings(drafted, found, reports)
        meant_findings = [finding for finding in found if _is_meant(finding, drafted, is_older=is_older)]
        needed = [finding for finding in meant_findings if not any(map(finding.is_implied_by, meant_findings))]
        against = {finding.rule: _reason_against(finding, session.record) for finding in needed}
        silences.extend(why for why in against.values() if why is not None)
        needed = [finding for finding in needed if against[finding.rule] is None]
        by_draft.append(shown_findings(needed, call.suppress, silences))
    kept_findings, repeated = merge_repeated_findings(by_draft)
    silences.extend(repeated)
    for drafted, findings in zip(drugs, kept_findings, strict=True):
        yield from (with_offers(finding.write(finding), drafted, check) for finding in findings)


def _reason_against(finding: RuleFinding, record: PatientRecord) -> WhyNot | None:
    return first_reason(_NOT_WHERE.get(finding.rule, ()), finding.drug, record)


def _criteria_of_age_unchecked(record: PatientRecord) -> WhyNot | None:
    """Return that criteria of an age were not checked; None where the age is known, or is under it for certain."""
    ages = record.age_bounds()
    if ages is not None and (ages[0] >= FROM_YEARS or ages[1] < FROM_YEARS):
        return None
    age = "The age is not known" if ages is None else f"Only the year of birth is known (age at least {ages[0]})"
    return WhyNot(SUBJECT, "input-missing", f"{age}: the criteria for {FROM_YEARS} years and over were not checked.")


def _nothing_found(record: PatientRecord, count: int) -> WhyNot:
    """Nothing found is said of what was looked at only: most criteria are about a problem."""
    if not record.was_requested("Condition"):
        text = (
            "The problem list is not available: criteria about diseases were not checked. No other criterion was met."
        )
        return WhyNot(SUBJECT, "input-missing", text)
    if not count:
        return WhyNot(SUBJECT, "below-threshold", "No current medication is on record.")
    text = "The current medication meets" if count == 1 else f"The {count} current medications meet"
    return WhyNot(SUBJECT, "below-threshold", f"{text} no criterion.")


def _reports_from_65(rule: CompiledRule, band: CompiledBand) -> bool:
    """Whether the review may tell it: at 65 and over every criterion, at every age what is dangerous to take."""
    is_criterion = rule.family.name in _OWN or f"{rule.id}/{band.declared.id}" in _criteria()
    return (is_criterion and band.declared.indicator != "silent") or _reports_under_65(rule, band)


def _reports_under_65(rule: CompiledRule, band: CompiledBand) -> bool:
    return _is_dangerous(rule.id, band.declared.id, band.declared.indicator, rule.family.name)


def _is_dangerous(rule: str, band: str, indicator: str, group: str) -> bool:
    if indicator == "critical" or f"{rule}/{band}" in _every_age():
        return True
    return indicator == "warning" and group not in {*_CRITICAL_ONLY, "review"}


def _is_meant(finding: RuleFinding, drafted: DraftMedication, *, is_older: bool) -> bool:
    """Whether the review tells a finding of a band that it may tell, which can be milder than its band.

    STOPP A3 is about daily use, not as needed.
    """
    if _is_dangerous(finding.rule, finding.band, finding.indicator, finding.family):
        return True
    if finding.family == "duplicate" and drafted.dose.as_needed:
        return False
    return is_older and (finding.family in _OWN or f"{finding.rule}/{finding.band}" in _criteria())


ADVISOR = Advisor(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="A review of the medications that are taken",
    description=(
        "Compares what is taken with STOPP version 3 at 65 and over and, at every age, with what an order of it today "
        "would be warned of; one card with what to do for each finding, silent where nothing is found and in "
        "palliative care. In hospital only what harms if it goes on is told."
    ),
    usage_requirements="For prescribers and pharmacists; not signed off by a human pharmacist.",
    warns_of_harm=True,
    needs=Needs.of(
        analytes=review_book().needs.analytes,
        resources=review_book().needs.resources - {"Device"},
        whole_history=("Procedure",),
        named_results=20,
    ),
    exclusions=(
        DECEASED,
        PALLIATIVE,
        Exclusion(
            "input-missing",
            "The medication list is not available: no medication was reviewed.",
            lambda record: not any(map(record.was_requested, ("MedicationRequest", "MedicationStatement"))),
        ),
    ),
    find=find,
    returns_resources=frozenset({"MedicationRequest"}),
)
