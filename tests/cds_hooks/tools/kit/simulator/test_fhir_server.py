"""The server for tests is a FHIR server: what it answers, refuses and links to."""

from typing import Any

import httpx
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.each import for_rows
from tests.fhir_charts import chart_of, lab, serving_fhir

CHART = chart_of(*(lab(number) for number in range(1, 8)), lab(20, patient="p2"))


def test_errors_are_operation_outcomes() -> None:
    with serving_fhir([CHART], token="t") as running:  # noqa: S106 - a test's own
        ours = {"headers": {"authorization": "Bearer t"}}
        for path, status, options in (
            ("/Patient/nobody", 404, ours),
            ("/Observation?value-quantity=5", 400, ours),
            ("/Observation?_count=x", 400, ours),
            ("/Patient/p1", 401, {}),
            ("/Patient/p1", 401, {"headers": {"authorization": "Bearer u"}}),
        ):
            answer = httpx.get(f"{running.base}{path}", **options)  # type: ignore[arg-type] # options of httpx
            assert answer.status_code == status
            OperationOutcome.model_validate(answer.json())
        assert httpx.delete(f"{running.base}/Patient/p1", **ours).status_code == 405  # type: ignore[arg-type] # as above
        assert httpx.get(f"{running.base}/Patient/p1", **ours).json()["id"] == "p1"  # type: ignore[arg-type] # as above


@for_rows(("behaviour", "status", "header"))
def test_a_server_that_does_not_answer_says_so_as_fhir_does(
    behaviour: dict[str, Any], status: int, header: tuple[str, str | None]
) -> None:
    with serving_fhir([CHART], **behaviour) as running:
        answer = httpx.get(f"{running.base}/Patient/p1")
    OperationOutcome.model_validate(answer.json())
    assert (answer.status_code, answer.headers.get(header[0])) == (status, header[1])


def test_pages_of_any_origin_may_read_it_where_that_is_wanted() -> None:
    page = {"origin": "https://sandbox.example"}
    preflight = page | {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    with serving_fhir([CHART], browsers=True, token="t") as running:  # noqa: S106 - a test's own
        asked = httpx.options(f"{running.base}/Patient/p1", headers=preflight)
        answer = httpx.get(f"{running.base}/Patient/p1", headers=page)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-headers"] == "authorization"
    assert answer.status_code == 401
    assert asked.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == "*"
    with serving_fhir([CHART]) as running:
        assert "access-control-allow-origin" not in httpx.get(f"{running.base}/Patient/p1", headers=page).headers
