"""Reads a clinical note: `read_note`."""

from datetime import date

from msgspec import Struct

from fhir.notes.drugs import Drug, drug_mentions, read_drugs
from fhir.notes.findings import Finding, read_findings
from fhir.notes.layout import read_layout
from fhir.notes.results import Result, read_results
from fhir.terminology.assertions import AssertedText


class NoteReading(Struct, frozen=True):
    """What a note says; places are those of its text."""

    findings: tuple[Finding, ...] = ()
    drugs: tuple[Drug, ...] = ()
    results: tuple[Result, ...] = ()


def read_note(note: str, *, on: date, month_first: bool = False) -> NoteReading:
    """Return what a note says that was written on a day; `month_first`: "10/9/26" is the ninth of October."""
    layout = read_layout(note)
    asserted = AssertedText(layout.text)
    mentions = drug_mentions(layout.text)
    findings = read_findings(note, layout, asserted, on, mentions)
    return NoteReading(
        findings,
        read_drugs(note, layout, asserted, mentions, [(finding.start, finding.end) for finding in findings]),
        read_results(note, layout, on, month_first=month_first),
    )
