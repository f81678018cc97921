"""A FHIR server over made charts in a thread of its own, for tests over real HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cds_hooks.samples import load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.fhir_server import BASE, Behaviour, FhirServer
from cds_hooks.tools.kit.simulator.fhir_server import serving_fhir as serving
from tests.fhir.builders import observation

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-01", "gender": "female"}


@dataclass(frozen=True)
class Running:
    """A server that runs: its base address and what it was asked."""

    base: str
    log: FhirServer

    @property
    def queries(self) -> list[str]:
        """Path below the base with query or form, in the order of asking."""
        return [f"{each.path.removeprefix(BASE)}?{each.query}{each.form}".rstrip("?") for each in self.log.requests]

    @property
    def types(self) -> list[str]:
        """The resource types that were asked for, sorted."""
        return sorted(each.path.removeprefix(f"{BASE}/").partition("/")[0] for each in self.log.requests)


@contextmanager
def serving_fhir(charts: Sequence[Chart], **behaviour: Any) -> Iterator[Running]:
    """A FHIR server on a port of its own until the block ends."""
    resources = [resource for chart in charts for resource in chart.resources]
    with serving(resources, Behaviour(**behaviour)) as server:
        yield Running(server.base, server)


def chart_of(*resources: dict[str, Any]) -> Chart:
    """A chart of patient p1 with these resources."""
    return Chart([PATIENT, *resources])


def sample_chart(sample: str, as_of: datetime) -> Chart:
    """A sample patient's chart."""
    return Chart(resources_of(load_patient(sample, as_of)))


def lab(number: int, code: str = "2160-0", patient: str = "p1") -> dict[str, Any]:
    """A laboratory result of so many days before the tests' instant."""
    return observation(
        code, 1.0, "mg/dL", f"2026-{11 - number // 28:02}-{number % 28 + 1:02}", patient=patient, id=f"o{number}"
    )
