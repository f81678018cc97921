"""What a person sees in the terminal: cards, reasons for silence, errors, and no control characters."""

from io import StringIO
from typing import Any

from rich.console import Console

from cds_hooks.kit.simulator.templates import values_of
from cds_hooks.kit.simulator.terminal import print_answer, print_error, printable
from tests.cds_hooks.kit.simulator.resources import Json
from tests.each import for_rows


def drawn(draw: Any, *values: Any) -> list[str]:
    stream = StringIO()
    draw(Console(file=stream, width=40), *values)
    return stream.getvalue().splitlines()


@for_rows(
    ("outcome", "words"),
    [
        ({"issue": [{"details": {"text": "what"}, "diagnostics": "why"}]}, "what"),
        ({"issue": [{"diagnostics": "why"}]}, "why"),
        ({"issue": []}, "no OperationOutcome in the answer"),
        ({}, "no OperationOutcome in the answer"),
    ],
)
def test_an_error_is_in_the_words_of_the_server(outcome: Any, words: str) -> None:
    lines = drawn(print_error, "t", 412, outcome)
    assert lines[0].startswith("╭─ t: failed with HTTP 412 ─")
    assert lines[1] == f"│ {words:<36} │"


def test_what_could_steer_a_terminal_is_replaced() -> None:
    assert printable({"a": ["x\x1b[2Jy\nz", 5, None], "b\x07": "\u202e"}) == {
        "a": ["x\N{REPLACEMENT CHARACTER}[2Jy\nz", 5, None],
        "b\x07": "\N{REPLACEMENT CHARACTER}",
    }


def test_an_address_that_is_longer_than_the_frame_stays_whole() -> None:
    url = f"https://cds.example.org/{'x' * 90}"
    card = {
        "summary": "s",
        "source": {"label": "l"},
        "links": [{"label": "Why", "url": url}, {"label": "R", "url": "https://r"}],
    }
    console = Console(width=60, file=StringIO())
    print_answer(console, "t", {"cards": [card]})
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert f"Why: {url}" in lines
    assert any("R: https://r" in line and line.startswith("│") for line in lines)


CONTEXT: Json = {
    "patientId": "p1", "n": 0, "yes": True, "gone": None, "list": ["a", "b", "a"],
    "orders": {"resourceType": "Bundle", "entry": [{"resource": {
        "resourceType": "MedicationRequest", "id": "d1", "medicationReference": {"reference": "Medication/m1"},
        "performer": {"reference": "https://x/Practitioner/q/_history/2"}}}]},
}  # fmt: skip
ANSWERS: Json = {
    "meds": {"resourceType": "Medication", "id": "m1", "status": "active"},
    "context": {"patientId": "p2"},
    "a b": {"id": "z"},
}


@for_rows(
    ("token", "values"),
    [
        ("context.patientId", ["p1"]),
        ("context.n", ["0"]),
        ("context.yes", ["true"]),
        ("context.gone", []),
        ("context.list", ["a", "b"]),
        ("context.nobody", []),
        ("%context.patientId", ["p1"]),
        ("%meds.id", ["m1"]),
        ("%meds", []),
        ("%nothing.id", None),
        ("%`a b`.id", ["z"]),
        ("context.orders.entry.resource.id", ["d1"]),
        ("context.patientId|%meds.id", ["p1", "m1"]),
        ("context.orders.entry.resource.ofType(MedicationRequest).medication.reference", ["Medication/m1"]),
        ("context.orders.entry.resource.medication.resolve().status", ["active"]),
        ("context.orders.entry.resource.performer.resolve().id", ["q"]),
        ("context.orders.entry.resource.ofType(Task).id", []),
        ("context.orders.entry.resource.ofType().id", None),
        ("context.list.resolve()", []),
        ("context.orders.entry.resource.medication.resolve(1)", None),
        ("context.orders.entry.resource.first()", None),
        ("context.", None),
        ("patientId", None),
        ("context.orders.entry.resource.medication", ["Medication/m1"]),
        ("context.patientId|nothing", None),
    ],
)
def test_values_of_a_token(token: str, values: list[str] | None) -> None:
    assert values_of(token, CONTEXT, ANSWERS) == values
