"""Which devices are implants that matter to an MR scan, and what is written of their safety."""

from datetime import datetime
from typing import Any

from fhir.mapping.implants import MrSafety, implants
from tests.cards.rules.patients import record_of
from tests.each import for_rows

Json = dict[str, Any]


def _device(text: str, **more: Any) -> Json:
    return {
        "resourceType": "Device", "id": "d", "type": {"text": text}, "patient": {"reference": "Patient/case"}, **more,
    }  # fmt: skip


def _found(as_of: datetime, *devices: Json, **patient: Any) -> list[tuple[str, MrSafety]]:
    return [(one.kind, one.safety) for one in implants(record_of({"more": list(devices), **patient}, as_of))]


@for_rows(("text", "kind"))
def test_an_implant_is_known_by_its_words(text: str, kind: str, as_of: datetime) -> None:
    assert _found(as_of, _device(text)) == [(kind, MrSafety.UNDOCUMENTED)]


@for_rows(("words", "kind"))
def test_what_is_said_beside_an_implant_does_not_take_it_out(words: str, kind: str, as_of: datetime) -> None:
    problem = {
        "resourceType": "Condition", "id": "c", "code": {"text": words}, "subject": {"reference": "Patient/case"},
        "clinicalStatus": {"coding": [{"code": "active"}]},
    }  # fmt: skip
    assert _found(as_of, problem) == [(kind, MrSafety.UNDOCUMENTED)]


@for_rows(
    ("written", "safety"),
    [
        ({"safety": [{"text": "MR Conditional 1.5 T"}]}, MrSafety.CONDITIONAL),
        ({"note": [{"text": "MRI compatible system, both leads"}]}, MrSafety.CONDITIONAL),
        ({"safety": [{"coding": [{"code": "C106046"}]}]}, MrSafety.CONDITIONAL),
        ({"safety": [{"coding": [{"code": "C106047"}]}]}, MrSafety.UNSAFE),
        ({"modelNumber": "MR conditional W1DR01", "note": [{}]}, MrSafety.CONDITIONAL),
        ({"note": [{"text": "Not MR conditional"}]}, MrSafety.UNSAFE),
        ({"note": [{"text": "MRI safety unknown"}]}, MrSafety.UNDOCUMENTED),
        ({"safety": [{"coding": [{"code": "C113844"}]}]}, MrSafety.UNDOCUMENTED),
    ],
)
def test_what_is_written_of_its_safety(written: Json, safety: MrSafety, as_of: datetime) -> None:
    assert _found(as_of, _device("Cardiac pacemaker", **written)) == [("pacemaker", safety)]
