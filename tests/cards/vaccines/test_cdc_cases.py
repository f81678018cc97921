"""CDC's own test cases, by antigen. The share is a floor: a change that loses a case is seen here."""

from pathlib import Path

import pytest

from maintenance.vaccine_cases import read_cases, run_case, summary
from tests.conftest import ROOT

# Cases that CDC expects differently from its own release 4.64, each explained in docs/vaccines.md.
KNOWN_DIFFERENCES = {
    "2016-UC-0057",
    "2016-UC-0060",
    "2016-UC-0110",
    "2016-UC-0129",
    "2016-UC-0153",
    "2016-UC-0178",
    "2022-UC-0005",
    "2022-UC-0017",
    "2022-UC-0031",
}


def test_odd_schedules_of_our_own_are_answered_exactly() -> None:
    """Doses days too early, vaccines of old, series begun late: in the form of CDC's cases."""
    lines = (ROOT / "tests" / "cases" / "vaccines" / "odd-schedules.jsonl").read_bytes().splitlines()
    found = summary(run_case(case) for case in read_cases(lines))
    assert (found["right"], found["differences"]) == (found["total"], [])
    assert found["total"] >= 15


@pytest.mark.outside_data
def test_cdc_cases_are_answered_exactly_but_for_the_documented_ones(data_folder: Path) -> None:
    lines = (data_folder / "preventive" / "cases" / "cdsi_cases.jsonl").read_bytes().splitlines()
    found = summary(run_case(case) for case in read_cases(lines))
    for name, counts in found["by_antigen"].items():
        print(f"{name:24} {counts['right']:4} of {counts['total']:4}")
    print(f"{'all':24} {found['right']:4} of {found['total']:4}")
    assert {item["id"].strip() for item in found["differences"]} <= KNOWN_DIFFERENCES


@pytest.mark.outside_data
def test_cdc_expects_the_same_status_of_nearly_every_dose(data_folder: Path) -> None:
    lines = (data_folder / "preventive" / "cases" / "cdsi_cases.jsonl").read_bytes().splitlines()
    pairs = [
        (dose.status, status)
        for case in read_cases(lines)
        for dose, status in zip(case.doses, run_case(case).dose_statuses, strict=False)
        if status
    ]
    assert sum(expected == status for expected, status in pairs) >= 0.97 * len(pairs)
