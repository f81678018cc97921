"""The tester's page: what its template lays out, and its two addresses."""

from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.people.pages.server import PageServer, posted
from cds_hooks.people.pages.tester.bench import Bench, Entry, Fields, UnusableForm, object_in
from cds_hooks.people.pages.tester.orders import dose_of
from cds_hooks.samples import list_samples
from cds_hooks.tools.kit.simulator.chart import ChartError, resources_of
from fhir.mapping.understanding import READ_KINDS, understand, understand_chart

_FORMS_OF_A_BODY: Final = 3
"""A form carries the request, the answer and a chart that was uploaded: so many times the longest body of a call."""
_MOST_READINGS: Final = 200


def routes(server: PageServer) -> list[Route]:
    """Return the addresses of the tester's page."""

    def bench(fields: Fields) -> Bench:
        entries = [entry for service in server.services.values() for entry in service.discovery()]
        return Bench(fields, entries, server.now, server.app)

    async def show() -> Response:
        opened = bench(Fields())
        await opened.open_first()
        return await server.in_thread(lambda: server.page("tester/try.html", **_values(opened)))

    async def press(fields: Annotated[Fields, Depends(posted(Fields))]) -> Response:
        pressed = bench(fields)
        await pressed.press()
        return await server.in_thread(lambda: server.page("tester/try.html", **_values(pressed)))

    most_bytes = _FORMS_OF_A_BODY * server.settings.max_body_bytes
    return [server.route("/try", show), server.route("/try", press, ["POST"], upload=True, most_bytes=most_bytes)]


def _values(bench: Bench) -> dict[str, Any]:
    """Return what the template shows; it computes for some milliseconds, so that it is called in a thread."""
    exchange = bench.carried.exchange
    hooks: dict[str, list[Entry]] = {}
    for entry in bench.entries:
        hooks.setdefault(entry["hook"], []).append(entry)
    return {
        "it": bench.fields,
        "bench": bench,
        "carried": msgspec.json.encode(bench.carried).decode(),
        "samples": list_samples(),
        "hooks": hooks,
        "who": who(bench),
        "drafts": [
            (number, (reading := understand(draft)).words or reading.resource, dose_of(draft))
            for number, draft in enumerate(bench.carried.drafts)
            if draft.get("resourceType") != "Medication"
        ],
        "answer": exchange,
        "raw": exchange.text if exchange is not None else "",
        "readings": _readings(bench.fields.request),
    }


def who(bench: Bench) -> list[tuple[str, str]]:
    """Return the patient banner: what stands on a chart's first line; empty where the patient is not known here."""
    try:
        patient = bench.chart().patient
    except (ChartError, UnusableForm):
        return []
    patient_id = bench.carried.exchange.patient if bench.carried.exchange is not None else patient.get("id")
    if patient_id != patient.get("id"):
        return [("Patient", f"{patient_id or 'not named'}, as the request says")]
    name = ""
    with suppress(TypeError, AttributeError, LookupError):
        first = patient["name"][0]
        name = str(first.get("text") or ", ".join([str(first.get("family") or ""), " ".join(first.get("given", ()))]))
    members = {"Born": "birthDate", "Sex": "gender", "Id": "id"}
    banner = ((words, str(patient.get(member) or "not recorded")) for words, member in members.items())
    return [("Patient", name.strip(", ") or "not named"), *banner]


def _readings(request: str) -> list[str]:
    """Return what the server reads of each resource of the request, in a line; what is not understood stands first."""
    with suppress(UnusableForm, AttributeError):
        prefetch = object_in(request, "The request").get("prefetch", {}).values()
        entries = [resource for value in prefetch for resource in resources_of(value)]
        readings = sorted(understand_chart(entries), key=lambda reading: reading.understood)
        return [reading.sentence for reading in readings if reading.kind in READ_KINDS][:_MOST_READINGS]
    return []
