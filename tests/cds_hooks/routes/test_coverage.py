"""Which forms of payers a call of $questionnaire-package names, and what it answers to a body that is none."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.coverage.annotation import URL
from cds_hooks.errors import BadRequest
from cds_hooks.routes.coverage import _decoded, _names
from tests.cds_hooks.calls import client

FORMS = "/cds-services/coverage-requirements/Questionnaire"
ONE, TWO = "https://payer.example/Questionnaire/one|1", "https://payer.example/Questionnaire/two"


def _order(*parts: Any) -> dict[str, Any]:
    order = {"resourceType": "ServiceRequest", "extension": [{"url": URL, "extension": list(parts)}]}
    return {"name": "order", "resource": order}


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ([], []),
        ([{"name": "questionnaire", "valueCanonical": ONE}], ["one"]),
        ([{"name": "questionnaire", "valueCanonical": 7}, {"name": "questionnaire", "valueCanonical": TWO}], ["two"]),
        ([{"name": "other", "valueCanonical": ONE}], []),
        ([_order({"url": "questionnaire", "valueCanonical": TWO}, {"url": "questionnaire", "valueCanonical": ONE})],
         ["two", "one"]),
        ([_order({"url": "questionnaire", "valueCanonical": ONE}) | {"name": "coverage"}], []),
        ([{"name": "order", "resource": "none"}, {"name": "order", "resource": {"extension": "none"}}], []),
        ([{"name": "order", "resource": {"extension": ["none"]}}, "none", None, 7], []),
        (["none", {"name": "questionnaire", "valueCanonical": ONE}], ["one"]),
    ],
)  # fmt: skip
def test_forms_are_named_by_their_address_or_in_the_notes_on_an_order(parameters: list[Any], names: list[str]) -> None:
    assert list(_names({"parameter": parameters})) == names


def test_a_body_is_json() -> None:
    assert _decoded(b'{"parameter": []}') == {"parameter": []}
    for body in (b"", b"{", b"[" * 100_000):
        with pytest.raises(BadRequest) as refused:
            _decoded(body)
        assert refused.value.text == "The body is no JSON of FHIR Parameters."


async def test_a_form_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        asked: list[httpx.Response] = [
            await calls.get(f"{FORMS}/none"),
            await calls.post(f"{FORMS}/$questionnaire-package", json={"parameter": []}),
            await calls.post(
                f"{FORMS}/$questionnaire-package", content=b"{", headers={"content-type": "application/json"}
            ),
        ]
        answered = [(answer.status_code, answer.json()["issue"][0]["diagnostics"]) for answer in asked]
    assert answered == [
        (404, "There is no form of this id."),
        (404, "No form of this server is named in questionnaire, or in an order's coverage-information."),
        (400, "The body is no JSON of FHIR Parameters."),
    ]
