"""Each fault that is planted in a good server is found by the check of its row; the good server is left in peace."""

from functools import partial

import pytest

from cds_hooks.tools.kit.contract.charts import PatientChart, sample_charts
from cds_hooks.tools.kit.contract.report import Report, Result
from cds_hooks.tools.kit.contract.run import select_checks
from tests.cds_hooks.tools.kit.contract.conftest import AS_OF, Run, token
from tests.cds_hooks.tools.kit.contract.good_server import GoodServer
from tests.cds_hooks.tools.kit.contract.planted import ALL, Planted

# What takes a certificate, a public address or a token to see.
OUT_OF_REACH = {"GEN-02", "SEC-32"}
NEEDS_A_TOKEN = {"DISC-16", "SEC-01", "SEC-02", "SEC-04", "SEC-20", "SEC-21", "SEC-29"}
NEEDS_A_KEY = {f"SEC-{number}" for number in ("05", "06", "07", *range(12, 18), 19, 23, 24, 25, 28)}


def _name(planted: Planted) -> str:
    return f"{planted.row} {planted.what} {planted.check}".rstrip()


def _dialect(planted: Planted) -> str:
    return "epic" if planted.given == "epic" else "standard"


def _takes_every_call(planted: Planted) -> bool:
    return any(check.everything for check in select_checks((planted.row,), _dialect(planted)))


# Rows whose check judges the answers to the calls of all checks: one fault of each here, the others in the slow tier.
EVERY_CALL = {planted.row: planted for planted in reversed(ALL) if _takes_every_call(planted)}
REST_OF_EVERY_CALL = [planted for planted in ALL if planted.row in EVERY_CALL and planted not in EVERY_CALL.values()]


ROWS = sorted({planted.row for planted in ALL})


@pytest.mark.parametrize(
    "row",
    [
        row if number % 10 == 0 and row != "FHIR-20" else pytest.param(row, marks=pytest.mark.slow)
        for number, row in enumerate(ROWS)
    ],
)
def test_a_planted_fault_is_found_by_the_check_of_its_row(
    row: str, good: GoodServer, run: Run, few_charts: tuple[PatientChart, ...]
) -> None:
    for planted in ALL:
        if planted.row == row and planted not in REST_OF_EVERY_CALL:
            _assert_found(planted, good, run, few_charts)


@pytest.mark.slow
@pytest.mark.parametrize("planted", REST_OF_EVERY_CALL, ids=_name)
def test_the_other_faults_of_a_row_about_every_call_are_found(
    planted: Planted, good: GoodServer, run: Run, few_charts: tuple[PatientChart, ...]
) -> None:
    _assert_found(planted, good, run, few_charts)


def _plant(planted: Planted, good: GoodServer) -> None:
    good.fault = planted.what
    good.on_discovery = partial(planted.change, "discovery")
    good.on_response = partial(planted.change, "response")
    good.token = token() if planted.given == "token" else ""
    good.signed = planted.given == "signed"


def _needed(planted: Planted, charts: tuple[PatientChart, ...]) -> tuple[PatientChart, ...]:
    """One patient for a fault that each document has, and where the calls of all checks are made."""
    is_everywhere = planted.changes or _takes_every_call(planted)
    return charts[:1] if is_everywhere else charts


_SOON_GIVEN_UP = {
    what: {"timeout_seconds": 1.0} for what in ("never answers", "waits for FHIR for ever", "one call at a time")
}


def _assert_found(planted: Planted, good: GoodServer, run: Run, charts: tuple[PatientChart, ...]) -> None:
    _plant(planted, good)
    given = {"dialect": _dialect(planted), "charts": _needed(planted, charts), "check": planted.check}
    report = run(planted.row, **given, **_SOON_GIVEN_UP.get(planted.what, {}))
    good.heal()
    rows = {row for finding in report.findings for row in (finding.row.id, *finding.check.rows)}
    why = f"{_name(planted)}: found {rows or 'nothing'}; {[each.reason for each in report.rows]}"
    assert planted.row in rows, why
    assert all(finding.faults[0].message and finding.check.advice.endswith(".") for finding in report.findings), why


def _faults(report: Report) -> list[tuple[str, object]]:
    """What was found, but for slow answers (PRE-17): on a busy machine three calls can take over half a second."""
    return [(each.row.id, each.faults) for each in report.findings if each.row.id != "PRE-17"]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["standard", "epic"])
def test_a_server_without_fault_is_left_in_peace_and_nearly_everything_is_tested(dialect: str, run: Run) -> None:
    report = run(dialect=dialect, charts=sample_charts(AS_OF))
    assert _faults(report) == []
    assert report.exit_code == 0
    untested = {each.row.id for each in report.rows if each.result is Result.NOT_SEEN}
    assert untested == OUT_OF_REACH | NEEDS_A_TOKEN | NEEDS_A_KEY


@pytest.mark.slow
def test_a_server_that_asks_for_a_token_is_left_in_peace(good: GoodServer, run: Run) -> None:
    good.token = token()
    report = run()
    assert _faults(report) == []
    untested = {each.row.id for each in report.rows if each.result is Result.NOT_SEEN}
    assert untested == OUT_OF_REACH | NEEDS_A_KEY


@pytest.mark.slow
def test_a_server_that_checks_signed_tokens_is_left_in_peace_and_every_row_on_them_is_tested(
    good: GoodServer, run: Run
) -> None:
    good.signed = True
    report = run("SEC", "DISC", "FB")
    assert _faults(report) == []
    rows = {each.row.id for each in report.rows if each.result is Result.NOT_SEEN}
    assert rows & (NEEDS_A_KEY | NEEDS_A_TOKEN) == set()


def test_faults_are_planted_for_every_row_that_has_a_check() -> None:
    from cds_hooks.tools.kit.contract.registry import all_checks

    planted = {each.row for each in ALL}
    checked = {check.row for check in all_checks()}
    assert checked - planted - OUT_OF_REACH == set()
