"""Cards of what a payer's own folder proposes beside its answers: other orders, forms, what it knows of a coverage."""

from collections.abc import Iterable, Iterator, Mapping

from cards.card import Action, Card
from cards.coverage.cards import ALTERNATIVE, DOCUMENT, INSURANCE, STEPS, Annotated, proposal_card
from cards.coverage.order import Json
from cards.coverage.policy import Payer
from cards.coverage.proposals import (
    Proposal,
    Proposals,
    alternate_order,
    companion_order,
    form_task,
    known_coverage,
    new_coverage,
)
from cards.coverage.questionnaire import questionnaire
from cards.text import plain
from cds_hooks.call.services._service import ServiceInput

_TOPICS = {"companion": DOCUMENT, "alternate": ALTERNATIVE, "form": STEPS}
_LABELS = {"companion": "Draft this order, too", "alternate": "Order this", "form": "Ask for the form"}


def proposed(
    call: ServiceInput, note: Annotated, rows: Proposals, ordered: Iterable[str], options: Mapping[str, bool], base: str
) -> Iterator[Card]:
    """Return a card for each proposal to the code of an answer; `ordered` are the codes that are ordered already."""
    answer, today, codes = note.answer, call.record.as_of.date(), set(ordered)
    if answer.code is None:
        return
    for row in rows.by_code.get((answer.payer.id, answer.code[1]), ()):
        is_wanted = options[_TOPICS[row.kind].code] and row.is_in_force(today)
        if not is_wanted or row.value in codes:
            continue
        actions = tuple(_actions(call, note, row, base))
        if actions:
            identity = call.card_identity()
            label, topic = _LABELS[row.kind], _TOPICS[row.kind]
            yield proposal_card(answer.payer, (answer.order, note.words), identity, topic, row.text, label, *actions)


def _actions(call: ServiceInput, note: Annotated, row: Proposal, base: str) -> Iterator[Action]:
    answer, order = note.answer, note.updated
    if row.kind == "companion":
        yield Action(type="create", description=f"Draft {plain(row.text, 100)}", resource=companion_order(row, order))
    elif row.kind == "alternate":
        other = alternate_order(row, order)
        if other is not None:
            yield Action(type="update", description=f"Change the order to {plain(row.text, 100)}", resource=other)
    elif answer.criteria is not None and answer.doc_needed is not None:
        form = questionnaire(base, answer.payer, answer.criteria)
        today = call.record.as_of.date()
        task = form_task(row, answer.payer, order, form, call.record.patient_id, today)
        # CRD, davinci-crd.if-none-exist: the query of a conditional create, so that a form that is there is kept.
        once = {"davinci-crd.if-none-exist": f"url={form['url']}&version={form['version']}"}
        yield Action(type="create", description=f"Keep the form {form['title']}", resource=form, extension=once)
        yield Action(type="create", description=f"Ask for: {plain(row.text, 100)}", resource=task)


def coverage_cards(
    call: ServiceInput, rows: Proposals, pairs: Iterable[tuple[Json, Payer]], payers: Iterable[Payer], patient: Json
) -> Iterator[Card]:
    """Return a card for each coverage that the payer knows otherwise, or that the client does not have."""
    if not rows.members:
        return
    pairs = list(pairs)
    for coverage, payer in pairs:
        updated = known_coverage(rows, payer, coverage, str(patient.get("birthDate")))
        if updated is not None:
            reference = f"Coverage/{coverage['id']}"
            action = Action(type="update", description="Update plan and period of the coverage", resource=updated)
            text = f"the coverage is known with the plan {_plan(updated)} from {updated['period']['start']}"
            about = reference, f"the coverage by {payer.name}"
            yield _coverage_card(call, payer, about, text, "Update the coverage", action)
    have = {payer.id for _, payer in pairs}
    for payer in payers:
        created = new_coverage(rows, payer, patient) if payer.id not in have else None
        if created is not None:
            action = Action(type="create", description="Add the coverage", resource=created)
            text = f"a coverage is known with the plan {_plan(created)} from {created['period']['start']}"
            about = f"Patient/{patient['id']}", f"the coverage by {payer.name}"
            yield _coverage_card(call, payer, about, text, "Add the coverage", action)


def _coverage_card(
    call: ServiceInput, payer: Payer, about: tuple[str, str], text: str, label: str, action: Action
) -> Card:
    return proposal_card(payer, about, call.card_identity(), INSURANCE, text, label, action)


def _plan(coverage: Json) -> str:
    plan = coverage["class"][-1]
    return plain(str(plan.get("name") or plan["value"]), 60)
