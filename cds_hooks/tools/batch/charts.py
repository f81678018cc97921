"""The charts in a folder of FHIR: bundles, single resources and Bulk Data NDJSON, sorted by patient.

What no model or equation asks for is left out on the way, which is most of a chart.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.folder import ChartsRefused, FolderTally, Head, lines_by_patient
from fhir.record.measurement import GENOMICS, SCREENING
from fhir.terminology.analytes import ANALYTES, LOINC_SYSTEMS
from models_onnx.errors import BatchRefused

# Keys of questions for which Observations without a known code are read too (PatientRecord.genetic_observations).
_FOUND_WITHOUT_CODE = frozenset({GENOMICS, SCREENING})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resource types and which LOINC codes of Observations are read; no codes: every Observation."""

    types: tuple[str, ...]
    codes: tuple[str, ...]

    @staticmethod
    def of(needs: Needs) -> "Wanted":
        """Return what these needs read, beside the Patient."""
        codes = [code for key in needs.analytes for code in ANALYTES[key].loinc]
        codes += PRESSURE_PANELS if needs.analytes & PRESSURE else ()
        types = {"Patient", "Observation", *needs.resources}
        types |= {"Medication"} if "MedicationRequest" in types else set()
        is_by_code = codes and not needs.analytes & _FOUND_WITHOUT_CODE
        return Wanted(tuple(sorted(types)), tuple(sorted(set(codes))) if is_by_code else ())

    def asks_for(self, head: Head) -> bool:
        """Whether a resource can matter. An Observation without a LOINC code may be read by its name."""
        if head.resourceType not in self.types:
            return False
        if head.resourceType != "Observation" or not self.codes:
            return True
        components = head.component if isinstance(head.component, list) else ()
        own = list(_codings(head.code))
        inner = [coding for item in components if isinstance(item, dict) for coding in _codings(item.get("code"))]
        has_loinc = any(coding.get("system") in LOINC_SYSTEMS for coding in own)
        return not has_loinc or any(coding.get("code") in self.codes for coding in (*own, *inner))


def _codings(concept: Any) -> Iterator[dict[str, Any]]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return (coding for coding in (codings if isinstance(codings, list) else ()) if isinstance(coding, dict))


@dataclass(slots=True)
class RawChart:
    """One patient's resources as the JSON they came as."""

    patient_id: str
    resources: list[bytes] = field(default_factory=list)


@contextmanager
def charts_of(folder: Path, wanted: Wanted, tally: FolderTally) -> Iterator[Iterator[RawChart]]:
    """Yield every patient's chart, each once with all that the files tell, in the order of their ids.

    Raises:
        BatchRefused: the folder is not there or holds no FHIR, or a packed file breaks off.
    """
    try:
        with lines_by_patient(folder, tally, wanted.asks_for) as people:
            yield (RawChart(person.patient, person.lines) for person in people if not person.may_be_two)
    except ChartsRefused as problem:
        raise BatchRefused(f"{str(problem).rstrip('.')}. Export or copy it again.") from problem


def grouped(batches: Iterable[Any]) -> Iterator[RawChart]:
    """Yield the charts in Arrow batches with the columns `patient_id` and `resource`, in which patients lie together.

    Raises:
        BatchRefused: the rows are not sorted, so that a patient could be scored on half a chart, or one names nobody.
    """
    chart: RawChart | None = None
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("patient_id", "resource"))
        for patient, resource in zip(*columns, strict=True):
            if not patient or resource is None:
                raise BatchRefused(
                    "A row has no `patient_id` or no `resource`. Remove such rows first; this part was not scored."
                )
            if chart is None or patient != chart.patient_id:
                if chart is not None:
                    if patient < chart.patient_id:
                        raise BatchRefused(
                            "The rows are not sorted by patient_id. Sort them with "
                            "sortWithinPartitions('patient_id'); this part was not scored."
                        )
                    yield chart
                chart = RawChart(patient)
            chart.resources.append(resource.encode() if isinstance(resource, str) else resource)
    if chart is not None:
        yield chart
