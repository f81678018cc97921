"""Orders put back to the moment they were written: nothing of later, and what had not ended then was going on."""

from pathlib import Path
from typing import Any

from cds_hooks.replay.simulated_orders import SimulatedOrders, simulate
from fhir.record.charts import by_patient, files_of, read_bundle

Json = dict[str, Any]
WHOSE = {"reference": "Patient/p"}


def creatinine(date: str, value: float) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"lab-{date}",
        "status": "final",
        "subject": WHOSE,
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
        "effectiveDateTime": date,
        "valueQuantity": {"value": value, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }


def metformin(date: str, status: str = "completed") -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": f"order-{date}",
        "status": status,
        "intent": "order",
        "subject": WHOSE,
        "authoredOn": date,
        "medicationCodeableConcept": {"text": "metformin 500 MG Oral Tablet"},
        "dosageInstruction": [{"text": "500 mg twice daily"}],
    }


def resources_of(*more: Json) -> list[Json]:
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-01-01"}
    return [patient, {"resourceType": "Condition", "id": "c", "subject": WHOSE, "code": {"text": "gout"}}, *more]


def run(*more: Json, orders: int = 10) -> SimulatedOrders:
    simulation = SimulatedOrders()
    simulate(simulation, resources_of(*more), orders)
    return simulation


def test_a_result_of_later_changes_nothing() -> None:
    before = run(creatinine("2020-01-01", 1.0), metformin("2020-02-01"))
    later = run(creatinine("2020-01-01", 1.0), creatinine("2020-03-01", 6.0), metformin("2020-02-01"))
    assert before == later
    assert before.with_card == 0


def test_what_was_known_then_counts() -> None:
    simulation = run(creatinine("2020-01-20", 6.0), metformin("2020-02-01"))
    assert (simulation.orders, simulation.with_card) == (1, 1)
    (found,) = simulation.findings["renal-metformin"]
    assert (found.band, found.indicator) == ("lt30", "critical")
    assert simulation.per_100(1) == 100


def test_orders_that_were_never_given_and_charts_without_orders_are_left_out() -> None:
    assert run(metformin("2020-02-01", "cancelled")) == SimulatedOrders()
    assert run() == SimulatedOrders()


def test_many_orders_are_chosen_evenly_over_time() -> None:
    simulation = run(*(metformin(f"2020-{month:02}-01") for month in range(1, 13)), orders=4)
    assert simulation.orders == 4


def test_real_orders_are_judged_without_a_fault(data_folder: Path) -> None:
    simulation = SimulatedOrders()
    for path in files_of(data_folder / "fhir" / "mimic-iv-demo")[:6]:
        for chart in by_patient(list(read_bundle(path))):
            simulate(simulation, [chart.patient, *chart.resources], 5)
    assert simulation.orders == 30
