"""Stage 5, hold back: which of the advised cards are shown to this caller now, and the reason against each other one.

What a rule finds is held back while the service decides (`Holding.suppress`), cards afterwards (`hold_back`).
"""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from cards.card import Card
from cards.extension import RestingFinding, WorklistEntry
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import MetFinding, SuppressionCheck
from cds_hooks.answer.call import Call
from cds_hooks.answer.understand import Chart
from cds_hooks.hold_back.budgets import NOBODY, Audience
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import SILENT_MODE
from cds_hooks.hold_back.suppression import Chosen
from cds_hooks.model_versions import Choose, in_use
from cds_hooks.services import Advice
from fhir.mapping.stays import care_units
from fhir.record.record import PatientRecord


class Holding(Struct, frozen=True):
    """What may hold cards back in one call, as far as it follows from the chart."""

    suppress: SuppressionCheck
    """Says why a finding of a rule is not shown; None where it is."""
    answered: list[tuple[Finding, Silence]]
    """The findings that were not shown because they were answered before; filled while the service decides."""
    silent: str | None
    """Why this caller is shown nothing; None where cards are shown."""
    units: tuple[str, ...]
    """The care units of the patient that have a budget."""


class Advised(Struct, frozen=True):
    """What a service advises about a patient, and what may keep it from being shown."""

    chart: Chart
    advice: Advice
    holding: Holding
    config: str
    """The digest of what was in force."""


class Selected(Struct, frozen=True):
    """The cards that are shown, and why the others are not."""

    advised: Advised
    caller: Caller
    chosen: Chosen
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


def holding(call: Call, chart: Chart) -> Holding:
    """Return what may hold cards back in this call."""
    record, governance = chart.record, call.components.governance
    answered: list[tuple[Finding, Silence]] = []
    units = governance.restraint.units_of(partial(care_units, record)) if governance.site.budgets else ()
    return Holding(_policy(call, record, answered), answered, _silent_mode(call, chart), units)


def choose_versions(call: Call, patient_id: str) -> Choose:
    """Return what chooses among the versions of a model; without acts of release the one in use answers."""
    if not call.released.states:
        return in_use
    components = call.components
    return components.versions.chooser(call.released, call.client.name, patient_id, components.models.why_withheld)


async def hold_back(call: Call, advised: Advised) -> Selected:
    """Return the cards that are shown now, with a reason for each that is not."""
    chart, advice, units = advised.chart, advised.advice, advised.holding.units
    record, budgets = chart.record, call.components.governance.site.budgets
    if call.why_off is None:
        _hold_back_released(call, advised)
    audience = _audience(call, chart, units) if advice.cards and budgets and call.why_off is None else NOBODY
    caller = Caller(call.client.name, record.patient_id, call.service.id, chart.request.hook)
    chosen = await call.components.governance.choose(caller, advice.cards, advice.reminders, audience)
    call.stages.end("decide")
    silences = advice.silences + chosen.silences + chart.unread
    return Selected(
        advised=advised,
        caller=caller,
        chosen=chosen,
        cards=chosen.cards,
        silences=silences,
        withheld={uuid: len(advice.silences) + place for uuid, place in chosen.withheld.items()},
        met=_met(advised.holding.answered, silences),
        resting=chosen.resting,
        worklist=advice.worklist + chosen.worklist,
        units=audience.units,
    )


def _hold_back_released(call: Call, advised: Advised) -> None:
    """Take out of the advice what the acts of release and the pauses hold back."""
    advice, released = advised.advice, call.released
    if released.states:
        patient_id = advised.chart.record.patient_id
        advice.cards, withheld = released.without_withheld(advice.cards, call.client.name, patient_id)
        advice.silences += withheld
        if advised.holding.silent is not None and advice.cards:
            advice.cards = []
            advice.silences.append(Silence(call.service.id, SILENT_MODE, advised.holding.silent))
    if released.paused:
        advice.cards, withheld = released.without_paused(advice.cards, call.service.id)
        advice.silences += withheld


def _silent_mode(call: Call, chart: Chart) -> str | None:
    """Why this caller is shown nothing; None where cards are shown."""
    if call.released.states:
        units = partial(care_units, chart.record)
        silent = call.released.silent_mode(call.client.name, units, chart.request.context.user_id)
        if silent is not None:
            return silent
    return call.silent_user


def _policy(call: Call, record: PatientRecord, answered: list[tuple[Finding, Silence]]) -> SuppressionCheck:
    """Which findings are shown about this patient: by the site's rules, then by the acts of release and the pauses."""
    client, patient_id, governance = call.client.name, record.patient_id, call.components.governance
    units = partial(care_units, record)
    policy = governance.suppression_policy(client, patient_id, units, record.as_of_epoch, answered)
    if call.released.states or call.released.paused:
        return call.released.narrow(policy, client, patient_id)
    return policy


def _audience(call: Call, chart: Chart, units: tuple[str, ...]) -> Audience:
    """The user, where users have a budget, and the care units that have one."""
    user = chart.request.context.user_id
    if not user or not call.components.governance.restraint.asks_for_user:
        return Audience(units=units) if units else NOBODY
    return Audience(call.components.users.recorded(call.client.name, user) or user, units)


def _met(answered: Sequence[tuple[Finding, Silence]], silences: Sequence[Silence]) -> list[MetFinding]:
    """The answered findings with the places of their silences."""
    if not answered:
        return []
    places = {id(silence): place for place, silence in enumerate(silences)}
    return [MetFinding.of(finding, places[id(silence)]) for finding, silence in answered if id(silence) in places]
