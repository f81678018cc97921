"""Stage 5, hold back: which of the advised cards are shown to this caller now, and the reason against each other one.

What a rule finds is held back while the service decides, cards afterwards; both ask the checks of `hold_back/chain.py`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from cards.card import Action, Card
from cards.extension import RestingFinding, WorklistEntry
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import MetFinding
from cds_hooks.answer.call import Call
from cds_hooks.answer.understand import Chart
from cds_hooks.hold_back.budgets import audience_of
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.release_checks import SILENT_MODE
from cds_hooks.model_versions import Choose, in_use
from cds_hooks.services import Advice
from fhir.mapping.stays import care_units


class Advised(Struct, frozen=True):
    """What a service advises about a patient, and what the checks are told of the call."""

    chart: Chart
    advice: Advice
    checked: CheckedCall
    config: str
    """The digest of what was in force."""


class Selected(Struct, frozen=True):
    """The cards that are shown, and why the others are not."""

    advised: Advised
    cards: Sequence[Card]
    silences: list[Silence]
    """Every reason why something is not said."""
    withheld: Mapping[str, int]
    """By the uuid of a card or suggestion the place of its reason in `silences`."""
    met: Sequence[MetFinding]
    """The findings that were answered before, with the places of their reasons."""
    resting: Sequence[RestingFinding]
    worklist: Sequence[WorklistEntry]
    units: tuple[str, ...]
    system_actions: Sequence[Action] = ()


def checked_call(call: Call, chart: Chart) -> CheckedCall:
    """Return what the checks are told of this call, as far as it follows from the chart."""
    record, user, components = chart.record, chart.request.context.user_id or "", call.components
    site, units = components.governance.site, partial(care_units, record)
    silent = call.released.silent_mode(call.client.name, units, user)
    return CheckedCall(
        Caller(call.client.name, record.patient_id, call.service.id, chart.request.hook),
        record.as_of_epoch,
        call.released,
        site,
        units,
        silent if silent is not None else call.silent_user,
        audience_of(site.budgets, units, lambda: components.users.recorded(call.client.name, user) or user),
        from_event=call.from_event,
    )


def choose_versions(call: Call, patient_id: str) -> Choose:
    """Return what chooses among the versions of a model; without acts of release the one in use answers."""
    if not call.released.states:
        return in_use
    components = call.components
    return components.versions.chooser(call.released, call.client.name, patient_id, components.models.why_withheld)


async def hold_back(call: Call, advised: Advised) -> Selected:
    """Return the cards that are shown now, with a reason for each that is not."""
    advice, checked = advised.advice, advised.checked
    checked.reminders, checked.visit_rank = advice.reminders, call.service.visit_rank
    chosen = await call.components.governance.hold_back(advice.cards, checked)
    call.stages.end("decide")
    silences = advice.silences + chosen.silences + advised.chart.unread
    actions = advice.system_actions
    if actions and checked.silent is not None:
        silences = [*silences, Silence("systemActions", SILENT_MODE, checked.silent)]
        actions = []
    return Selected(
        advised=advised,
        cards=chosen.cards,
        silences=silences,
        withheld={uuid: len(advice.silences) + position for uuid, position in chosen.withheld.items()},
        met=_met(checked.answered, silences),
        resting=chosen.resting,
        worklist=advice.worklist + chosen.worklist,
        units=checked.audience.units if advice.cards else (),
        system_actions=actions,
    )


def _met(answered: Sequence[tuple[Finding, Silence]], silences: Sequence[Silence]) -> list[MetFinding]:
    """The answered findings with the places of their silences."""
    if not answered:
        return []
    places = {id(silence): position for position, silence in enumerate(silences)}
    return [MetFinding.of(finding, places[id(silence)]) for finding, silence in answered if id(silence) in places]
