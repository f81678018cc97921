"""Summaries that a server shows: on the page of a patient whose chart an EHR has open, and to a client that sends one.

Imported by the first request for one, and only where the site has a file for the text part (CDS_TEXT_FILE).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from cds_hooks.add_ons.text.chart import ReadableChart, Resource, read_chart
from cds_hooks.add_ons.text.disagreements import card_of, words_of_card
from cds_hooks.add_ons.text.endpoint import Caller, EndpointRefused, endpoint_named, read_text_file
from cds_hooks.add_ons.text.released import record_summary, summary_with_model
from cds_hooks.add_ons.text.rephrasing import provenance, security_tag
from cds_hooks.add_ons.text.summary import Summary, summarise_chart
from cds_hooks.call.prefetch.facts import recorded_resources
from cds_hooks.errors import BadRequest
from cds_hooks.evidence.storage.queries import DecisionFilter, charts_of, facts_of, find_decisions
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import ChartError, chart_of

_CALLS: Final = 8
"""So many of the newest answers about a patient make the chart: each service asks for other parts of it."""
_CALLER: Final = Caller()


def recorded_chart(url: str, client: str, patient: str) -> tuple[list[Resource], datetime | None]:
    """Return the chart of a patient as the EHR sent it with the newest calls, each resource as it came last, and when.

    Empty where no call about the patient kept its chart (CDS_KEEP_FACTS).
    """
    wanted = DecisionFilter(client=client, patient=patient)
    decisions = list(islice(find_decisions(url, wanted, _CALLS), _CALLS)) if patient else []
    ids = [decision.id for decision in decisions]
    facts, charts = facts_of(url, ids), charts_of(url, ids)
    resources: dict[tuple[str, str], Resource] = {}
    newest: datetime | None = None
    for decision in decisions:
        if decision.id not in facts or charts.get(decision.id) is None:
            continue
        at = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
        newest = newest or at
        for resource in recorded_resources(facts[decision.id], charts[decision.id], decision.patient, at):
            resources.setdefault((str(resource.get("resourceType")), str(resource.get("id"))), resource)
    return list(resources.values()), newest


def shown_summary(
    configured: Settings, resources: Sequence[Resource], actor: str, client: str, patient: str
) -> tuple[Summary, ReadableChart]:
    """Return the summary of a chart, which is recorded, and the chart as it was read for it.

    It is in the words of the language model that the site names for its pages.

    Raises:
        RecordUnavailable: it cannot be recorded, so it is not shown.
    """
    chart = read_chart(resources, (configured.as_of or datetime.now(UTC)).date())
    try:
        file = read_text_file(configured.text_file)
        if file.pages is None:
            summary = summarise_chart(chart)
        else:
            named_endpoint = file.pages, endpoint_named(file, file.pages)
            summary = summary_with_model(configured, named_endpoint, resources, chart, _CALLER, patient)
    except EndpointRefused as refusal:
        summary = replace(summarise_chart(chart), notice=str(refusal))
    record_summary(actor, summary, url=configured.database_url, patient=patient, client=client)
    return summary, chart


def answer_client(configured: Settings, body: bytes, client: str) -> dict[str, Any]:
    """Answer a client that sends a chart: the sentences with their sources, and the Provenance of a model's.

    Beside them stands the card that the notes and the list disagree, where they do.

    Raises:
        BadRequest: the body is no Bundle of one patient.
        RecordUnavailable: it cannot be recorded, so nothing is answered.
    """
    try:
        document = msgspec.json.decode(body)
        if not isinstance(document, dict):
            raise BadRequest("The body must be a FHIR Bundle. Nothing was read.")
        bundle = chart_of(document, "the body")
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("The body must be a FHIR Bundle as JSON and cannot be read. Nothing was read.") from error
    except ChartError as error:
        raise BadRequest(f"The body must be a Bundle of one patient: {error}. Nothing was read.") from error
    patient = str(bundle.patient.get("id") or "")
    summary, read = shown_summary(configured, bundle.resources, f"client {client}", client, patient)
    sentences = [
        {
            "text": sentence.text,
            "cites": list(sentence.cites),
            "kind": sentence.kind,
            **({"security": [security_tag()]} if sentence.tag else {}),
        }
        for sentence in summary.sentences
    ]
    writing = msgspec.to_builtins(summary.writing) if summary.writing is not None else None
    words = words_of_card(read)
    return {
        "sentences": sentences,
        "leftOut": summary.left_out,
        "notice": summary.notice,
        "writing": writing,
        "provenance": provenance(summary, datetime.now(UTC)),
        "cards": [msgspec.to_builtins(card_of(words, str(uuid4())))] if words is not None else [],
    }
