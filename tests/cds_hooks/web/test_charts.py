"""Times of a call as bars on one scale, and who may see which page of a patient."""

import pytest

from cds_hooks.web.charts import format_ms
from cds_hooks.web.visitor import PageLink, PatientBound, Visiting, Visitor, set_visiting, visiting


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


def test_outside_a_request_the_navigation_has_the_documentation() -> None:
    assert Visiting().links == (PageLink("docs/", "Documentation"),)
    now = Visiting("/ops", None, needs_login=True)
    set_visiting(now)
    assert visiting() is now
