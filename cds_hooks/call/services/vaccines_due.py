"""Which vaccines are due: CDC's evaluation and forecast of the doses on record, at patient-view.

CDC, Logic Specification for ACIP Recommendations, with the supporting data in `cards/vaccines/data`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from msgspec import to_builtins

from cards.compose.vaccines import forecast_entries, vaccines_card
from cards.extension import WorklistEntry
from cards.text import plain
from cards.vaccines.due import VaccinesDue, ordered_groups, vaccines_due
from cards.vaccines.evidence import IMMUNITY_CODES, declined_vaccines, immunity_stated
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import ChartedPerson, read_person
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import is_moment_for_reminder, kept_for_worklist
from cds_hooks.call.services._exclusions import NOT_AT_HOME, not_known
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.allergies import unread_allergies
from fhir.mapping.medications.active import unreadable_medications, words_of_unreadable
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot

SUBJECT: Final = "vaccines-due"
KNOWLEDGE = load_knowledge()
_UNREAD_SHOWN = 2
_LONGEST_WORDS = 60


def find(call: ServiceInput) -> Advice:
    """One card where a vaccine is due today, else the reason for none."""
    record = call.record
    forecast = record.derive(_forecast)
    if forecast is None:
        return no_card(SUBJECT, "input-missing", "The birth date is not known to the day: no vaccine can be forecast.")
    charted, ordered, due = forecast
    forecasts = forecast_entries(due, KNOWLEDGE)
    advice = Advice(vaccinations=_inputs(charted, ordered), scores={"vaccines": to_builtins(forecasts)})
    if not due.due and not due.of_season:
        advice.silences = [_reason_for_none(due), *_not_judged(record, charted)]
        # What an adult should have had as a child stands in a registry perhaps: it interrupts nobody.
        advice.worklist = [_entry(due)] if due.catch_up else []
        return advice
    if not is_moment_for_reminder(call):
        advice.worklist = [_entry(due)]
        advice.silences = [kept_for_worklist(call, SUBJECT), *_not_judged(record, charted)]
        return advice
    rank = VisitRank.TIME_BOUND if any(item.for_pregnancy for item in due.due) else None
    unread = [*_unread(charted, due), *_unread_beside(record, charted)]
    card = partial(vaccines_card, due, charted, record.patient_id, call.card_identity(), KNOWLEDGE, unread, forecasts)
    advice.add(card(), shorten=partial(card, is_brief=True), reminder=_entry(due), rank=rank)
    return advice


def _forecast(record: PatientRecord) -> tuple[ChartedPerson, frozenset[str], VaccinesDue] | None:
    """Return the person, the groups with an open order and what is due; None without a birth date."""
    charted = read_person(record)
    if charted is None:
        return None
    ordered = ordered_groups(record, KNOWLEDGE)
    settled = ordered | immunity_stated(record, KNOWLEDGE)
    due = vaccines_due(charted, record.as_of.date(), KNOWLEDGE, settled, declined_vaccines(record, KNOWLEDGE))
    return charted, ordered, due


def _not_judged(record: PatientRecord, charted: ChartedPerson) -> Iterator[WhyNot]:
    """Yield what an answer without a card says of entries that may be the dose, or the drug, that is looked for."""
    if unread := _unread(charted):
        yield WhyNot(SUBJECT, "vaccines-unreadable", f"These entries were not counted as doses: {'; '.join(unread)}.")
    if medications := words_of_unreadable(unreadable_medications(record)):
        text = f"These medications cannot be read: {medications}. One of them may be an immunosuppressant."
        yield WhyNot(SUBJECT, "medications-unreadable", text)


def _entry(due: VaccinesDue) -> WorklistEntry:
    """Return what is due, for a list of what to do at the next visit."""
    named = [(vaccine.label, vaccine.group) for vaccine in (*due.due, *due.catch_up)]
    named += [(group, group) for group, _ in due.of_season]
    to_check = due.groups_to_check
    now = dict.fromkeys(label for label, group in named if group not in to_check)
    later = dict.fromkeys(label for label, group in named if group in to_check)
    parts = [", ".join(now), f"check first: {', '.join(later)}" if later else ""]
    return WorklistEntry(test=f"Vaccines: {'; '.join(filter(None, parts))}", purpose=SUBJECT, because="no-visit")


def _reason_for_none(due: VaccinesDue) -> WhyNot:
    if due.ordered:
        text = f"The vaccines that are due are ordered already: {', '.join(due.ordered)}."
        return WhyNot(SUBJECT, "already-ordered", text)
    if due.declined:
        names = ", ".join(f"{item.group} ({item.when})" for item in due.declined)
        return WhyNot(SUBJECT, "declined", f"The patient declined within a year what is due: {names}.")
    if due.uncoded:
        names = ", ".join(item.label for item in due.uncoded)
        text = f"A dose of these vaccines is recorded without a vaccine code or a date: {names}. Complete the entries."
        return WhyNot(SUBJECT, "input-missing", text)
    if due.catch_up:
        names = ", ".join(item.label for item in due.catch_up)
        return WhyNot(SUBJECT, "worklist", f"Only childhood doses may be missing: {names}. Kept for the worklist.")
    over = ", ".join(f"{group} (to {end})" for group, end in due.seasons_over)
    past = f" Not judged, because its data have ended: {over}." if over else ""
    return WhyNot(SUBJECT, "below-threshold", f"No vaccine is due by {KNOWLEDGE.citation}.{past}")


def _inputs(charted: ChartedPerson, ordered: frozenset[str]) -> dict[str, Any]:
    """Everything the forecast is based on, for the decision record: equal inputs, equal decision."""
    person = charted.person
    return {
        "birth_date": person.birth_date,
        "gender": person.gender,
        "country": person.country,
        "doses": [(dose.given, dose.cvx, dose.manufacturer, dose.substandard, dose.source) for dose in person.doses],
        "ordered": sorted(ordered),
        "observations": [(item.code, item.since, item.source) for item in person.observations],
    }


def _unread(charted: ChartedPerson, due: VaccinesDue | None = None) -> list[str]:
    """Entries that are not doses with a code and a day, by their reference; without those of which the card speaks."""
    shown = {dose.source for item in (due.uncoded if due is not None else ()) for dose in item.doses}
    refused = (refusal for refusal in charted.history.unread if refusal.subject not in shown)
    unread = [refusal.text.removesuffix(".") for refusal in refused]
    more = len(unread) - _UNREAD_SHOWN
    return [*unread[:_UNREAD_SHOWN], *([f"{more} more entries like these"] if more > 0 else [])]


def _unread_beside(record: PatientRecord, charted: ChartedPerson) -> list[str]:
    """Allergies and medications that no table knows: whom a vaccine is not for may stand in one of them.

    CDC's own codes and substances ("yeast") read an allergy that is none to a drug.
    """
    read = {item.words for item in (*charted.person.observations, *charted.to_check)}
    allergies = [plain(words, _LONGEST_WORDS) for words in unread_allergies(record) if words not in read]
    unread = [f"an allergy that could not be read ({words})" for words in allergies[:_UNREAD_SHOWN]]
    medications = words_of_unreadable(unreadable_medications(record))
    return [*unread, *([f"medications that could not be read ({medications})"] if medications else [])]


ADVISOR = Advisor(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="Which vaccines are due",
    description=(
        "Evaluates the vaccine doses on record and forecasts the next ones for children and adults after CDC's logic "
        "specification for ACIP recommendations; one card with what is due today, silent if nothing is."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        analytes=("pregnancy_signs", "sex_at_birth", "cd4"),
        lab_codes=IMMUNITY_CODES,
        resources=(
            "Immunization",
            "Condition",
            "AllergyIntolerance",
            "Procedure",
            "Encounter",
            "MedicationRequest",
            "MedicationStatement",
            "ServiceRequest",
        ),
    ),
    exclusions=(
        *NOT_AT_HOME,
        not_known("Immunization", "The vaccination record is not available: no vaccine was judged."),
    ),
    find=find,
    rank=VisitRank.VACCINES,
)
