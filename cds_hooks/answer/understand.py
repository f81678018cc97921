"""Stage 3, understand: the resources become the patient's facts."""

from msgspec import Struct

from cards.rules.engine.finding import Silence
from cds_hooks.answer.call import Call
from cds_hooks.answer.read import Received
from cds_hooks.prefetch.state import PrefetchState
from cds_hooks.protocol.repair import Sent
from cds_hooks.protocol.request import CDSRequest
from fhir.mapping.race_and_ethnicity import race_and_ethnicity
from fhir.record.chart_text import plain
from fhir.record.reading import read_record
from fhir.record.record import PatientRecord
from fhir.record.refusals import shorten_refusals

# A refusal names keys and ids as they came; 64 characters are the most that an id of FHIR has.
_LONGEST_REFUSAL = 400


class Chart(Struct, frozen=True):
    """What is known of the patient, and what of it could not be read."""

    request: CDSRequest
    """Without the resources of its prefetch: the record holds them."""
    prefetch: PrefetchState
    record: PatientRecord
    originals: Sent
    """The JSON of the client's own orders, for services that return changed resources."""
    no_advice: Silence | None = None
    """Why nothing is computed for this call; None where it is answered."""
    groups: tuple[str, ...] = ()
    """Race and ethnicity of the patient, by which monitoring compares estimates; never an input."""

    @property
    def unread(self) -> list[Silence]:
        """The resources that could not be read, as reasons why something is not said about them."""
        refusals = self.record.refusals
        if not refusals:
            return []
        return [
            Silence(refusal.subject, refusal.reason, plain(refusal.text, _LONGEST_REFUSAL))
            for refusal in shorten_refusals(refusals)
        ]


def understand(call: Call, received: Received) -> Chart:
    """Return the facts about the patient; where there will be no advice nothing is read.

    Raises:
        BadRequest: A resource is about another patient than the call.
        PreconditionFailed: The service needs the Patient, who is neither in the prefetch nor to be had.
    """
    request, filled, source = received.request, received.filled, received.source
    if received.no_advice is not None:
        nothing = read_record({}, request.context.patient_id, call.as_of)
        return Chart(request, filled.state, nothing, Sent(()), received.no_advice)
    if call.service.needs_patient(request):
        filled.state.require("patient")
    record = source.read_record(call, request, filled)
    groups = race_and_ethnicity(record)
    call.stages.end("facts")
    originals = source.originals(filled) if call.service.returns_resources else ()
    # A large chart is not kept while this call waits for the database or for a model: the record holds the resources
    # now, and a service that waits releases it.
    received.release()
    return Chart(request, filled.state, record, Sent(originals), groups=groups)
