"""Orders of tests and imaging for a simulation, made from what a chart shows, because charts hold few of them.

A laboratory result was ordered: its order is put an hour before it. Imaging is hardly ever in exported charts, so for
each medication order one study of an ordinary list is invented at the same moment, in turn; half of those that can
have it have contrast.
"""

from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any, Final

from fhir.record.datatypes import parse_time
from fhir.terminology.analytes import LOINC

Resource = dict[str, Any]

_HOUR_SECONDS: Final = 3600.0
_IMAGING: Final = (
    ("30746-2", "Portable XR Chest Views AP"),
    ("24725-4", "CT Head"),
    ("36813-4", "CT Abdomen and Pelvis W contrast IV"),
    ("24558-9", "US Abdomen"),
    ("24627-2", "CT Chest"),
    ("24590-2", "MR Brain"),
    ("36643-5", "XR Chest 2 Views"),
    ("24628-0", "CT Chest W contrast IV"),
    ("36952-0", "CT Abdomen and Pelvis WO contrast"),
    ("24587-8", "MR Brain W and WO contrast IV"),
    ("30679-5", "MR Lumbar spine"),
    ("37433-0", "CT Chest vessels W contrast IV"),
)


def study_orders(resources: Iterable[Resource]) -> Iterator[tuple[float, Resource]]:
    """Each order with its moment (epoch seconds): those of the laboratory, then the invented imaging."""
    imaging = cycle(_IMAGING)
    for position, resource in enumerate(resources):
        kind = resource.get("resourceType")
        if (
            kind == "Observation"
            and _is_of_laboratory(resource)
            and (instant := _instant(resource, "effectiveDateTime"))
        ):
            yield instant - _HOUR_SECONDS, _order(position, resource["code"])
        elif kind == "MedicationRequest" and (instant := _instant(resource, "authoredOn")):
            code, name = next(imaging)
            yield instant, _order(position, {"coding": [{"system": LOINC, "code": code}], "text": name})


def _is_of_laboratory(observation: Resource) -> bool:
    groups = observation.get("category")
    codes = [coding.get("code") for group in groups or () for coding in group.get("coding") or ()]
    return "laboratory" in codes and isinstance(observation.get("code"), dict)


def _instant(resource: Resource, name: str) -> float | None:
    text = resource.get(name)
    time = parse_time(text) if isinstance(text, str) else None
    return time.instant if time is not None else None


def _order(position: int, code: Resource) -> Resource:
    return {"resourceType": "ServiceRequest", "id": f"simulated-{position}", "intent": "order", "code": code}
