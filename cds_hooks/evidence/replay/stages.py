"""A recorded call in the stages of `cds_hooks/call/answer.py`: from its chart and the facts beside it, not recorded."""

from datetime import datetime

from cds_hooks.call.answer import Answered, advise, as_trial, hold_back, read, understand, write
from cds_hooks.call.hold_back.reasons import SILENT_MODE
from cds_hooks.call.prefetch.facts import FactsOfCall
from cds_hooks.call.prefetch.fetch import FilledPrefetch
from cds_hooks.call.protocol.originals import Sent
from cds_hooks.call.protocol.request import CDSRequest, request_of_context
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.call.services import Service
from cds_hooks.call.stages import Call, Stopwatch
from cds_hooks.evidence.replay.basis import Basis
from cds_hooks.evidence.replay.site import ReplaySite
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.sent import read_response
from fhir.record.record import PatientRecord

_SILENT_USER = "Silent mode for the user:"


def answer_again(
    site: ReplaySite,
    service: Service,
    client: TrustedClient,
    decision: Decision,
    basis: Basis,
    facts: FactsOfCall,
    as_of: datetime,
) -> Answered:
    """Return what the call of this decision is answered now, as of this instant; nothing is recorded.

    Raises:
        HookError: The call is not answered any more; its text says why.
        ChartNotRecorded: The chart is read now and is not in the record.
    """
    released = site.components.releases.current
    call = Call(
        service=service,
        client=client,
        components=site.components,
        predict=site.predict,
        stages=Stopwatch(None),
        decision_id=decision.id,
        as_of=as_of,
        released=released,
        silent_user=_why_silent(basis),
    )
    received = read(call, _KeptFacts(decision, facts))
    call = as_trial(call, received)
    advised = advise(call, understand(call, received))
    return write(call, hold_back(call, advised, site.restraint.choose(advised.advice.cards, advised.checked)))


class _KeptFacts:
    """The source of a recorded call: the context and the facts that its decision kept."""

    def __init__(self, decision: Decision, facts: FactsOfCall) -> None:
        self._decision = decision
        self._facts = facts

    def read_request(self, call: Call) -> CDSRequest:
        """Return the request, without its prefetch."""
        decision, facts = self._decision, self._facts
        return request_of_context(
            decision.hook,
            decision.hook_instance,
            facts.context,
            call.service.answers,
            wants_timings=facts.wants_timings,
            extension_version=read_response(decision.response).extension.ours.version,
        )

    def prefetch(self, call: Call, request: CDSRequest) -> FilledPrefetch:  # noqa: ARG002 - of a `Source`
        """Return the states of the keys as they were known, so that nothing is fetched."""
        return self._facts.filled(call.service.templates_read_for(call.client.profile.version))

    def read_chart(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> tuple[PatientRecord, None]:
        """Return the facts of the recorded chart; ChartNotRecorded where there is none."""
        flags, encounter = call.components.settings.opt_out_codes, request.context.encounter_id
        record = self._facts.read_record(call.as_of, filled.state.looked_up, encounter, flags)
        return filled.state.known_in(record), None

    def roles_of_user(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> tuple[str, ...]:  # noqa: ARG002
        """Return what the user was recorded to work as."""
        return self._facts.roles

    def originals(self, filled: FilledPrefetch, record: PatientRecord) -> Sent:  # noqa: ARG002 - of a `Source`
        """Return the JSON of the orders that the answer asked for."""
        return Sent(self._facts.sent)


def _why_silent(basis: Basis) -> str | None:
    """Return why this user was shown nothing: who it was is not on record as a release names people."""
    reasons = (text for _, reason, text in basis.silence if reason == SILENT_MODE)
    return next((text for text in reasons if text.startswith(_SILENT_USER)), None)
