"""Stage 2, complete: what is missing of the prefetch is read from the client's FHIR server."""

from msgspec.structs import replace

from cds_hooks.answer.call import Call
from cds_hooks.answer.read import Received


async def complete(call: Call, received: Received) -> Received:
    """Return the request with everything that could be had in time.

    What cannot be had is no error: the state of its key has the reason.
    """
    if not received.is_complete:
        version = call.client.profile.version
        filled = await call.components.fetching.fill(
            received.request,
            received.filled.state,
            call.client,
            call.as_of.date(),
            version,
            call.service.returns_resources,
            call.trace.headers if call.trace is not None else None,
        )
        received = replace(received, filled=filled)
        call.turn.has_waited()
        call.stages.end("fetch")
    call.turn.weigh(received.filled.fetched_bytes, received.request.order_bytes)
    prefetch = received.filled.state
    call.components.metrics.prefetched(
        call.client.name, call.service.id, prefetch.summary, prefetch.milliseconds / 1000
    )
    return received
