"""Drafted medications, imaging and tests against this patient, at order-select and order-sign."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, is_for_other_patient, read_draft, read_drafts
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ORDER_SELECT, ORDER_SIGN, OrderSelectContext, OrderSignContext
from cds_hooks.call.protocol.originals import entries_in
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, unknown_selection
from cds_hooks.errors import BadRequest, PayloadTooLarge
from fhir.mapping.medications.active import active_medications
from fhir.mapping.studies import RESULT_CODES
from fhir.record.refusals import WhyNot
from fhir.record.repair import has_stu3_dose, repair_resource, with_numeric_doses

NEEDS = rule_book().needs
_SINGLE = ("MedicationRequest", "ServiceRequest")  # no set: what is looked for in it may be of any JSON type
_MOST_PAIRS = 200_000
"""Each draft is judged beside each active medication, 6 µs a pair, and a clinician waits no longer than two seconds."""
_ALWAYS_JUDGED = 20
"""So many drafts are within the pairs beside the 10,000 entries that a key of prefetch may hold."""


def find(call: ServiceInput) -> Advice:
    """One card for each drafted order with a finding, and a reason for every rule and draft that says nothing."""
    context: Any = call.request.context
    call.require_at_most(getattr(context, "selections", ()), "context.selections")
    drafts, from_text, without_order = _drafts(context, call)
    if len(drafts) > _ALWAYS_JUDGED:
        _check_pairs(len(drafts), len(active_medications(call.record)))
    judged = _selected(context, drafts)
    # At order-select a dose may still come; at signing what is not there was left out.
    advice, _ = call.advise_on_orders(drafts, judged, signing=isinstance(context, OrderSignContext))
    advice.silences += _unknown_selections(context, drafts, judged)
    advice.silences += _numbers_from_text(name for name in judged if name in from_text)
    advice.silences += without_order
    if not advice.cards and not advice.silences:
        text = "Nothing is selected" if drafts and not judged else "draftOrders holds no order"
        advice.silences.append(WhyNot("draftOrders", "nothing-to-judge", f"{text}: nothing was judged."))
    advice.orders = {"drafts": msgspec.Raw(bytes(context.draft_orders)), "judged": judged}
    return advice


def _drafts(
    context: OrderSelectContext | OrderSignContext, call: ServiceInput
) -> tuple[list[DraftOrder], set[str], list[WhyNot]]:
    """Return the drafts, the names of those with a number that came as text, and a reason for entries without any."""
    entries = entries_in(context.draft_orders, "context.draftOrders", _SINGLE)
    call.require_at_most(entries, "context.draftOrders")
    from_text: set[str] = set()
    drafts = [_mended(draft, from_text) for draft in read_drafts(entries)]
    for draft in drafts:
        if is_for_other_patient(draft, call.record.patient_id):
            raise BadRequest(
                f"`context.draftOrders.entry[{draft.position}]` is for another patient than context.patientId; "
                "nothing was checked.",
                "context.draftOrders",
            )
    return drafts, from_text, list(_without_order(entries))


def _without_order(entries: list[Any]) -> Iterator[WhyNot]:
    is_order = [isinstance(entry, dict) and isinstance(entry.get("resource"), dict) for entry in entries]
    if count := is_order.count(False):
        place = f"draftOrders.entry[{is_order.index(False)}]"
        text = f"{place} holds no resource" if count == 1 else f"{count} entries from {place} on hold no resource"
        yield WhyNot("draftOrders", "unreadable", f"{text}: not checked.")


def _check_pairs(drafts: int, medications: int) -> None:
    if drafts * medications > _MOST_PAIRS:
        raise PayloadTooLarge(
            f"{drafts} drafts beside {medications} active medications are more than is checked in one call (at most "
            f"{_MOST_PAIRS:,} pairs); nothing was checked. Send the orders in parts.",
            "context.draftOrders",
        )


def _needs_patient(request: CDSRequest) -> bool:
    """Whether the call cannot be answered without the Patient.

    Without a drafted medication nothing is judged. Where other resources of the chart came along, what they show is
    judged (warfarin beside an NSAID needs no age), and the card says that the Patient did not come.
    """
    context: Any = request.context
    return b"Medication" in bytes(context.draft_orders) and not any(request.prefetch.values())


def _mended(draft: DraftOrder, from_text: set[str]) -> DraftOrder:
    """Return a draft that cannot be read as it is meant, brought into R4's shape where it then can be."""
    if draft.fault is None and not has_stu3_dose(draft.resource):
        return draft
    resource, has_text = with_numeric_doses(repair_resource(draft.resource))
    mended = read_draft(resource, full_url=draft.full_url, position=draft.position)
    if mended.fault is not None:
        return draft
    if has_text:
        from_text.add(mended.name)
    return mended


def _numbers_from_text(names: Iterable[str]) -> list[WhyNot]:
    """Said, because it is our reading of what the client meant."""
    text = "A number of its dose came as text and was read as the number that it plainly is."
    return [WhyNot(name, "number-as-text", text) for name in names]


def _selected(context: OrderSelectContext | OrderSignContext, drafts: list[DraftOrder]) -> list[str]:
    """Return the names of the drafts to judge: those selected, or at signing all."""
    if isinstance(context, OrderSelectContext):
        return [draft.name for draft in drafts if draft.is_named(context.selections)]
    return [draft.name for draft in drafts]


def _unknown_selections(
    context: OrderSelectContext | OrderSignContext, drafts: list[DraftOrder], judged: list[str]
) -> list[WhyNot]:
    if not isinstance(context, OrderSelectContext):
        return []
    return [
        unknown_selection(position)
        for position, name in enumerate(context.selections)
        if name not in judged and not any(draft.is_named([name]) for draft in drafts)
    ]


ADVISOR = Advisor(
    id="order-safety",
    hooks=(ORDER_SELECT, ORDER_SIGN),
    listed_ids={ORDER_SELECT: "order-safety-select", ORDER_SIGN: "order-safety-sign"},
    title="Drafted medications, imaging and tests checked against this patient",
    description=(
        "Checks drafted medications against kidney function, other medications, doses, genetic results, diseases, age, "
        "pregnancy, allergies, opioid load and overdue tests, and drafted imaging and laboratory orders against kidney "
        "function, pregnancy and earlier results; offers the corrected draft. At order-select only what is selected is "
        "judged, at order-sign every draft."
    ),
    usage_requirements="For prescribers and pharmacists; not signed off by a human pharmacist.",
    warns_of_harm=True,
    # Where no result has a LOINC code, the newest 20 have the newest creatinine of 58 of 90 MIMIC-IV charts, the newest
    # 30 of 76, 50 of 86: fewer are not asked for, though they are half of the bytes of a small call.
    needs=Needs.of(analytes=NEEDS.analytes, resources=NEEDS.resources, lab_codes=RESULT_CODES, named_results=50),
    find=find,
    # Drafts of either kind come with the context; active medication orders are returned stopped or changed.
    returns_resources=frozenset({"MedicationRequest"}),
    needs_patient=_needs_patient,
)
