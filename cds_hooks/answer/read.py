"""Stage 1, read: the typed request of a call, and which prefetch keys came with it."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from cards.rules.engine.finding import Silence
from cards.rules.engine.governance import SWITCHED_OFF
from cds_hooks.answer.call import Call
from cds_hooks.errors import BadRequest
from cds_hooks.hold_back.service_checks import refuse_user
from cds_hooks.prefetch.fetch import FilledPrefetch
from cds_hooks.prefetch.inspect import has_missing_medications, inspect_prefetch
from cds_hooks.protocol.request import CDSRequest, EntryLimits, read_request
from fhir.record.kept_facts import keep_facts
from fhir.record.opting_out import SystemAndCode
from fhir.record.reading import read_record
from fhir.record.record import PatientRecord
from fhir.record.refusals import WrongPatient


class Source(Protocol):
    """Where the request and the chart of a call come from."""

    def read_request(self, call: Call) -> CDSRequest:
        """Return the typed request."""

    def prefetch(self, call: Call, request: CDSRequest) -> FilledPrefetch:
        """Return the prefetch that came with the request."""

    def read_record(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> PatientRecord:
        """Return the patient's facts."""

    def originals(self, filled: FilledPrefetch) -> tuple[bytes, ...]:
        """Return the JSON in which the client's own orders can be found."""

    def release(self) -> None:
        """Give the memory of the request back."""


class Received(Struct):
    """The request of a call, where its chart comes from, and what of its prefetch is there."""

    source: Source
    request: CDSRequest
    filled: FilledPrefetch
    is_complete: bool
    """Whether nothing has to be fetched."""
    no_advice: Silence | None = None
    """Why nothing is computed for this call; None where it is answered."""

    def release(self) -> None:
        """Give the memory of body and resources back; the states of the prefetch keys stay."""
        self.request.prefetch.clear()
        self.filled = FilledPrefetch({}, self.filled.state)
        self.source.release()


def read(call: Call, source: Source) -> Received:
    """Return the typed request with the state of every prefetch key.

    Raises:
        BadRequest, PayloadTooLarge: The body is not what the hook prescribes.
        NotAllowed: The client is not registered for the service or the hook.
        ModelNotServed: The files of the service's model cannot be served.
    """
    request = source.read_request(call)
    call.client.require(call.service.id, request.hook)
    no_advice = _why_no_advice(call, request)
    if no_advice is None:
        call.service.require_model()
    call.stages.end("decode")
    filled = source.prefetch(call, request)
    templates = call.service.templates_read_for(call.client.profile.version)
    is_complete = no_advice is not None or not (filled.state.gaps or has_missing_medications(request, templates))
    return Received(source, request, filled, is_complete, no_advice)


def _why_no_advice(call: Call, request: CDSRequest) -> Silence | None:
    why_off = call.released.why_off(call.service.id, call.client.name)
    if why_off is not None:
        return Silence(call.service.id, SWITCHED_OFF, why_off)
    return refuse_user(call.service.id, request.context.user_id)


class ReceivedBody:
    """A call that came in: everything is in the bytes of its body, or is fetched for it."""

    def __init__(self, body: bytes) -> None:
        self.size = len(body)
        self._body = body

    def read_request(self, call: Call) -> CDSRequest:
        """Return the request that the body is; see `protocol/request.py` for what it raises."""
        limits = call.components.settings
        return read_request(
            self._body,
            call.service.answers,
            call.client.profile.dialect.actual_hook,
            EntryLimits(limits.max_entries_per_key, limits.max_entries),
        )

    def prefetch(self, call: Call, request: CDSRequest) -> FilledPrefetch:
        """Return the prefetch of the body."""
        templates = call.service.templates_read_for(call.client.profile.version)
        state = inspect_prefetch(request.prefetch, templates, call.as_of.timestamp())
        return FilledPrefetch(request.prefetch, state)

    def read_record(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> PatientRecord:
        """Return the facts of the resources; BadRequest where one of them is about another patient."""
        configured = call.components.settings
        record = _read_facts(request, filled, call.as_of, configured.opt_out_codes)
        if configured.keep_facts:
            drafts = getattr(request.context, "draft_orders", b"")
            record.keep_facts(lambda resources: keep_facts(resources, bytes(drafts)))
        return record

    def originals(self, filled: FilledPrefetch) -> tuple[bytes, ...]:
        """Return the body and the pages that were fetched."""
        return (self._body, *filled.bodies)

    def release(self) -> None:
        """Give the memory of the body back."""
        self._body = b""


def _read_facts(
    request: CDSRequest, filled: FilledPrefetch, as_of: datetime, flags: frozenset[SystemAndCode]
) -> PatientRecord:
    try:
        return read_record(
            filled.values,
            request.context.patient_id,
            as_of,
            requested=filled.state.looked_up,
            encounter_id=request.context.encounter_id,
            refusals=(*request.refusals, *filled.refusals, *filled.state.refusals),
            opt_out_flags=flags,
        )
    except WrongPatient as error:
        raise BadRequest(str(error), "prefetch") from error
