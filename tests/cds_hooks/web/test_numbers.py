"""Numbers as the pages write them, and the examples in the docstrings of the whole folder."""

import asyncio
import doctest
import importlib
import pkgutil
from datetime import UTC, datetime

import pytest
from starlette.requests import Request

import cds_hooks.web as package
from cds_hooks.errors import BadRequest, BodyTooLarge
from cds_hooks.web.charts import Tick, format_ms
from cds_hooks.web.forms import Form, read_form
from cds_hooks.web.numbers import format_age, format_quantity, logistic, logit, people_range
from cds_hooks.web.visitor import PatientBound, Visiting, Visitor
from tests.each import for_rows


@for_rows("name", [module.name for module in pkgutil.iter_modules(package.__path__)])
def test_the_examples_of_every_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"{package.__name__}.{name}")).failed == 0


def test_a_range_never_promises_nobody_or_everybody() -> None:
    assert people_range(0.0, 0.002) == "1"
    assert people_range(0.9, 1.0) == "90 to 99"


def test_log_odds_and_probability_are_each_others_inverse() -> None:
    for probability in (1e-6, 0.0385, 0.5, 0.97):
        assert logistic(logit(probability)) == pytest.approx(probability, rel=1e-12)


def test_a_value_keeps_the_decimals_of_its_size_and_a_real_minus() -> None:
    assert format_quantity(97.24000001, "mg/dL") == "97.2 mg/dL"
    assert format_quantity(-4.0, "mmol/L") == "−4 mmol/L"
    assert format_quantity(12345.6, "U/L") == "12,346 U/L"
    assert format_quantity(41.0, "mL/min/{1.73_m2}") == "41 mL/min/1.73 m²"


def test_labels_of_an_axis_stay_inside_at_its_ends_alone() -> None:
    assert [Tick(at, "").anchor for at in (2.9, 3, 50, 97, 97.1)] == ["start", "middle", "middle", "middle", "end"]


def test_an_age_is_in_months_from_60_days_on() -> None:
    as_of = datetime(2026, 11, 20, tzinfo=UTC)
    assert [format_age(day, as_of) for day in ("2026-11-20", "2026-11-19", "2026-09-22", "2026-09-21")] == [
        "today", "1 day old", "59 days old", "2 months old",
    ]  # fmt: skip


def test_milliseconds_are_rounded_by_their_size() -> None:
    assert [format_ms(value) for value in (0.994, 0.999, 1.0, 9.94, 9.99, 10.0, 1234.4)] == [
        "0.99", "1.00", "1.0", "9.9", "10.0", "10", "1,234",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "allowed"),
    [
        (None, [True, True, True, True]),
        (PatientBound("ehr", "ann"), [True, True, False, False]),
        (PatientBound("ehr", "ann", "d1"), [True, False, False, False]),
    ],
)
def test_a_session_of_one_patient_sees_that_patient_and_one_of_a_decision_that_decision(
    bound: PatientBound | None, allowed: list[bool]
) -> None:
    visitor = Visitor("Ann", "account ann", frozenset({"clinician"}), "token", bound)
    pages = (("ehr", "ann", "d1"), ("ehr", "ann", "d2"), ("ehr", "ben", "d1"), ("other", "ann", "d1"))
    assert [visitor.may_see(*page) for page in pages] == allowed


def test_the_way_back_to_the_start_has_a_step_for_each_folder_of_the_path() -> None:
    assert [Visiting(path).root for path in ("/", "/ops", "/explain/1", "/rules/a/changes")] == [
        "", "", "../", "../../",
    ]  # fmt: skip


def test_a_nul_which_a_database_does_not_take_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"U\+0000"):
        _posted(b"name=u-operator%00", 100)


def test_a_form_has_as_many_bytes_as_are_read_and_no_more() -> None:
    assert _posted(b"name=ann", 8) == {"name": "ann"}
    with pytest.raises(BodyTooLarge, match="the 7 bytes"):
        _posted(b"name=ann", 7)


def _posted(body: bytes, most_bytes: int) -> Form:
    head = [(b"content-type", b"application/x-www-form-urlencoded")]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "method": "POST", "headers": head}, receive)
    return asyncio.run(read_form(request, 5, most_bytes, of_session=False))
