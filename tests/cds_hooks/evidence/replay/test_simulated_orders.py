"""Orders put back to the moment they were written: nothing of later, and what had not ended then was going on."""

from pathlib import Path
from typing import Any

import pytest

from cards.rules.engine.finding import RuleFinding
from cds_hooks.evidence.replay.simulated_orders import SimulatedFinding, SimulatedOrders, simulate
from fhir.record.charts import by_patient, read_resources
from fhir.record.folder import files_of
from fhir.record.refusals import WhyNot
from tests.fhir.builders import medication_order, observation

Json = dict[str, Any]
WHOSE = {"reference": "Patient/p"}


def creatinine(date: str, value: float) -> Json:
    return observation("2160-0", value, "mg/dL", date, patient="p", id=f"lab-{date}")


def metformin(date: str, status: str = "completed") -> Json:
    written: Json = {"id": f"order-{date}", "authoredOn": date, "dosageInstruction": [{"text": "500 mg twice daily"}]}
    return medication_order("metformin 500 MG Oral Tablet", status=status, patient="p", **written)


def resources_of(*more: Json) -> list[Json]:
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-01-01"}
    return [patient, {"resourceType": "Condition", "id": "c", "subject": WHOSE, "code": {"text": "gout"}}, *more]


def run(*more: Json, orders: int = 10) -> SimulatedOrders:
    simulation = SimulatedOrders()
    simulate(simulation, resources_of(*more), orders)
    return simulation


def test_orders_that_were_never_given_and_charts_without_orders_are_left_out() -> None:
    assert run(metformin("2020-02-01", "cancelled")) == SimulatedOrders()
    assert run() == SimulatedOrders()


@pytest.mark.slow
def test_real_orders_are_judged_without_a_fault(data_folder: Path) -> None:
    simulation = SimulatedOrders()
    for path in files_of(data_folder / "fhir" / "mimic-iv-demo")[:6]:
        for chart in by_patient(read_resources(path)):
            simulate(simulation, [chart.patient, *chart.resources], 5)
    assert simulation.orders == 30


def only_some(finding: RuleFinding) -> WhyNot | None:
    """Of all rules only metformin's limit of renal function, and high-alert drugs that no rule is about."""
    if finding.rule in ("renal-metformin", "not-covered"):
        return None
    return WhyNot(finding.rule, "switched-off", "t")


def order(text: str, date: str, identifier: str) -> Json:
    """An order of this drug with these words alone."""
    return metformin(date, "active") | {
        "id": identifier, "medicationCodeableConcept": {"text": text}, "dosageInstruction": [{"text": "as directed"}],
    }  # fmt: skip


def test_every_order_of_a_chart_is_counted_with_what_is_found_about_it() -> None:
    simulation = SimulatedOrders()
    chart = resources_of(
        creatinine("2020-01-20", 6.0),
        order("Altretamine", "2020-02-03", "b"),
        order("metformin 500 MG Oral Tablet", "2020-02-01", "a"),
        order("zzzz", "2020-02-07", "d"),
        order("Altretamine", "2020-02-05", "c"),
        order("blinatumomab IV", "2020-02-08", "f"),
        order("acarbose", "2020-02-09", "e"),
    )
    simulate(simulation, chart, 10, only_some)
    counts = (simulation.orders, simulation.charts, simulation.not_recognised, simulation.with_card)
    assert counts == (6, 1, 1, 4)
    assert (simulation.not_covered, simulation.indicators) == (3, {"critical": 1, "info": 3})
    found = SimulatedFinding(
        "renal-metformin", "lt30", "critical", "metformin",
        "Metformin is contraindicated: eGFR 9.4 mL/min on 2020-01-20 (under 30).",
    )  # fmt: skip
    assert simulation.findings == {"renal-metformin": [found]}
    # A drug that no rule is about counts once for a patient, and once more for the next one.
    simulate(simulation, chart, 10, only_some)
    counts = (simulation.orders, simulation.charts, simulation.not_recognised, simulation.with_card)
    assert (counts, simulation.not_covered) == ((12, 2, 2, 8), 6)


def test_an_order_is_judged_beside_those_that_had_not_ended_and_not_beside_itself() -> None:
    def of_that_day(validity: Json) -> SimulatedOrders:
        first = order("pomalidomide 4 mg", "2020-02-01", "a") | {
            "status": "stopped", "dispenseRequest": {"validityPeriod": validity},
        }  # fmt: skip
        simulation = SimulatedOrders()
        simulate(simulation, resources_of(first, order("Pomalyst 2 mg", "2020-02-10", "b")), 10)
        return simulation

    running, ended = of_that_day({"end": "2020-04-01"}), of_that_day({"end": "2020-02-09"})
    assert [finding.band for finding in running.findings["dup-same-ingredient"]] == ["same"]
    assert "dup-same-ingredient" not in ended.findings


def test_of_a_chart_with_a_fault_the_rest_is_judged() -> None:
    broken = SimulatedOrders()
    chart = [each | {"birthDate": 7} if each["resourceType"] == "Patient" else each for each in resources_of()]
    simulate(broken, [*chart, order("acarbose", "2020-02-01", "a")], 10, only_some)
    assert broken == SimulatedOrders(orders=1, charts=1)
