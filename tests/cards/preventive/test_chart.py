"""What a chart tells about a screening test, entry by entry: done and when, ordered, declined; whole answers."""

from typing import Any

from cards.preventive.chart import Done, declined, done
from fhir.record.record import PatientRecord, read_record
from tests.cards.preventive.charts import EVERYTHING, Json, person, procedure, result
from tests.each import for_rows
from tests.fhir.builders import AS_OF, bundle, lean, service_request

DAY = "2026-01-10"
HIV = "56888-1"


def _record(*resources: Json) -> PatientRecord:
    values = {"patient": lean(person()), "rest": lean(bundle(*resources))}
    return read_record(values, "p1", AS_OF, requested=EVERYTHING)


def _of(name: str, *resources: Json) -> list[Done]:
    return done(_record(*resources), name)


def _colonoscopy(when: str | None = DAY, **more: Any) -> Json:
    return procedure("Colonoscopy", when) | {"id": "c1"} | more


@for_rows("status", ["preparation", "in-progress", "not-done", "stopped", "entered-in-error", "unknown"])
def test_a_procedure_that_is_not_completed_does_not_count(status: str) -> None:
    assert _of("colonoscopy", _colonoscopy(status=status)) == []


@for_rows(("status", "counts"), [("final", True), ("amended", True), ("preliminary", False), ("cancelled", False)])
def test_a_result_counts_when_it_is_final(status: str, counts: bool) -> None:
    assert bool(_of("hiv", result(HIV, status=status))) is counts


# Ordered


def _order(when: str | None = "2026-11-01", **more: Any) -> Json:
    order: Json = service_request("Colonoscopy", id="o1")
    return order | ({"authoredOn": when} if when else {}) | more


# Declined


def test_a_procedure_not_done_without_a_reason_was_not_declined() -> None:
    assert declined(_record(_colonoscopy("2026-05-01", status="not-done")), "colonoscopy") is None


@for_rows(
    ("status", "expected"),
    [("active", True), ("completed", True), ("draft", True), ("revoked", False), ("entered-in-error", False)],
)
def test_an_order_not_to_perform_a_test_is_a_refusal(status: str, expected: bool) -> None:
    answer = ("ServiceRequest/o1", "2026-11-01") if expected else None
    assert declined(_record(_order(status=status, doNotPerform=True)), "colonoscopy") == answer
    assert declined(_record(_order(status=status)), "colonoscopy") is None
    said = {"text": "Patient declined"}
    for refused in (_order(status=status, reasonCode=[said]), _order(status=status, note=[said])):
        assert (declined(_record(refused), "colonoscopy") is not None) == (status == "revoked")


def test_an_observation_whose_value_was_asked_and_declined_or_says_so_is_a_refusal() -> None:
    reason = {"coding": [{"code": "asked-declined"}]}
    entry = result(HIV, when="2026-05-01", id="r1")
    del entry["valueCodeableConcept"]
    expected = ("Observation/r1", "2026-05-01")
    assert declined(_record(entry | {"dataAbsentReason": reason}), "hiv") == expected
    assert declined(_record(entry | {"dataAbsentReason": {"coding": [{"code": "asked-unknown"}]}}), "hiv") is None
    assert declined(_record(entry | {"valueString": "refused"}), "hiv") == expected
    assert declined(_record(entry | {"valueString": "Paciente rechaza"}), "hiv") == expected
    assert declined(_record(entry | {"valueString": "negative"}), "hiv") is None
    asked = entry | {"code": {"text": "HIV test declined by patient"}}
    assert [declined(_record(asked | {"valueString": said}), "hiv") for said in ("Yes", "No")] == [expected, None]
    assert declined(_record(entry), "hiv") is None
