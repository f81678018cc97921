"""What the start page shows first: an EHR's frame with the chart of a sample patient and the cards of one call.

Each case is a call about a sample patient, which is a trial: nothing of it is suppressed, counted or paused.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.pages.tester.bench import SAMPLE, Bench, Fields
from cds_hooks.people.pages.tester.orders import dose_of
from cds_hooks.people.web.numbers import format_unit, format_value
from cds_hooks.tools.kit.simulator.chart import Chart, Resource
from fhir.terminology.analytes import ANALYTE_BY_CODE


class Case(Struct, frozen=True):
    """One entry of the gallery: a sample patient, the call that an EHR sends, and what the card is about."""

    id: str
    title: str
    patient: str
    call: str
    """The hook and the service."""
    draft: str = ""


_SELECT: Final = "order-select/order-safety-select"
_SIGN: Final = "order-sign/coverage-requirements-sign"
_OPENING: Final = "patient-view/chart-opening"

CASES: Final = (
    Case("order", "A contraindicated order", "ckd4-metformin", _SELECT, "metformin-ckd4-coded"),
    Case("risk", "A risk estimate", "planning-talk", _OPENING),
    Case("interaction", "An interaction", "planning-talk", _SELECT, "naproxen-heart-failure"),
    Case("gene", "A gene", "fatty-liver", _OPENING),
    Case("vaccines", "Vaccines due", "sparse-record", _OPENING),
    Case("payer", "A payer's answer", "af-apixaban-dose", _SIGN, "facet-injection-hospital"),
)  # fmt: skip


_MOST_RESULTS: Final = 9


class Line(Struct, frozen=True):
    """One line of the chart: what it is, its value or dose, and its date."""

    words: str
    value: str = ""
    date: str = ""


class Frame(Struct, frozen=True):
    """The EHR's frame: the parts of the chart with their lines; `bench` has the call and its answer."""

    case: Case
    bench: Bench
    parts: dict[str, list[Line]]


async def demonstrate(server: PageServer, wanted: str) -> Frame | None:
    """Send the call of the wanted case, or of the first that is served here; None where none is."""
    entries = [entry for service in server.services.values() for entry in service.discovery()]
    served = {f"{entry['hook']}/{entry['id']}" for entry in entries}
    cases = [case for case in CASES if case.call in served]
    if not cases:
        return None
    case = next((case for case in cases if case.id == wanted), cases[0])
    fields = Fields(patient=f"{SAMPLE}{case.patient}", call=case.call, ready=case.draft)
    bench = Bench(fields, entries, server.now, server.app)
    await bench.demonstrate()
    return Frame(case, bench, chart_parts(bench.chart(), bench.carried.drafts))


def chart_parts(chart: Chart, drafts: Iterable[Resource]) -> dict[str, list[Line]]:
    """Return what a clinician sees of a sample's chart, the drafted order first; a part without lines is left out."""
    parts = {
        "Drafted order": [Line(_words(order), dose_of(order)) for order in drafts if "subject" in order],
        "Problems": [Line(_words(condition), "", _day(condition)) for condition in chart.of_type("Condition")],
        "Medications": [
            Line(_words(order), dose_of(order) or str(order["status"]), _day(order))
            for order in chart.of_type("MedicationRequest")
        ],
        "Allergies": [Line(_words(allergy)) for allergy in chart.of_type("AllergyIntolerance")],
        "Results": sorted(_results(chart), key=lambda line: line.date, reverse=True)[:_MOST_RESULTS],
    }  # fmt: skip
    return {title: lines for title, lines in parts.items() if lines}


def _results(chart: Chart) -> Iterator[Line]:
    """Yield each result with its course: what was measured most often first, earlier values before the newest."""
    courses: dict[str, list[Resource]] = {}
    for result in sorted(chart.of_type("Observation"), key=lambda result: str(result["effectiveDateTime"])):
        courses.setdefault(_words(result), []).append(result)
    for words, course in sorted(courses.items(), key=lambda item: -len(item[1]))[:_MOST_RESULTS]:
        quantities = [result["valueQuantity"] for result in course if "valueQuantity" in result]
        if quantities:
            values = " → ".join(format_value(quantity["value"]) for quantity in quantities[-3:])
            yield Line(words, f"{values} {format_unit(quantities[-1].get('unit', ''))}", _day(course[-1]))
        elif "valueCodeableConcept" in course[-1]:
            yield Line(words, _concept(course[-1]["valueCodeableConcept"]), _day(course[-1]))


def _words(resource: Resource) -> str:
    """Return the name of a problem, drug or result; of a LOINC name what stands before its brackets."""
    codings = (resource.get("code") or {}).get("coding", ())
    analyte = next(
        (ANALYTE_BY_CODE[coding["code"]] for coding in codings if coding.get("code") in ANALYTE_BY_CODE), None
    )
    if analyte is not None:
        return analyte.words
    return _concept(resource.get("code") or resource.get("medicationCodeableConcept") or {}).partition(" [")[0]


def _concept(concept: dict[str, Any]) -> str:
    codings = concept.get("coding", ())
    return str(concept.get("text") or next((coding["display"] for coding in codings if "display" in coding), "no name"))


def _day(resource: Resource) -> str:
    dates = (resource.get(name) for name in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate"))
    return next((str(date)[:10] for date in dates if date), "")
