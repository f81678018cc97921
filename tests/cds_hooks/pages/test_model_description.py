"""The figures of a model's page, worked out by hand: groups, calibration, inputs and gates."""

from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.hold_back.rule_counts import RuleCounts
from cds_hooks.hold_back.standing import Standing
from cds_hooks.pages.committee.standing import _fits
from cds_hooks.pages.committee.tables import ModelStanding, RuleRow, rules_values
from cds_hooks.pages.model_files import GateRow, ModelFiles
from cds_hooks.pages.models.description import (
    CalibrationRow,
    Estimate,
    Group,
    InputRow,
    Performance,
    ReleaseStatus,
    _curves,
    _holds,
    _input_row,
    _tested,
    calibration_rows,
    estimate_of,
    model_values,
    performance,
    release_status,
)
from cds_hooks.pages.models.description import Tested as Figures
from models_onnx.artifact.manifest import RiskBin
from models_onnx.artifact.release_file import GateSummary, Release
from tests.cds_hooks.pages.explain.test_inputs import an_input

FIGURE = {"value": 0.8, "low": 0.7, "high": 0.9}
SHOWN = Estimate(0.8, 0.7, 0.9)


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (FIGURE, SHOWN),
        ({**FIGURE, "value": 0.0}, Estimate(0.0, 0.7, 0.9)),
        ({**FIGURE, "low": None}, None),
        ({**FIGURE, "high": None}, None),
        ({**FIGURE, "value": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_figure_is_shown_with_both_ends_of_its_interval_or_not_at_all(figure: Any, shown: Estimate | None) -> None:
    assert estimate_of(figure) == shown


@pytest.mark.parametrize(
    ("block", "tested"),
    [
        ({"n": 200, "events": 50, "auroc": FIGURE}, Figures(200, 50, SHOWN, None)),
        ({"n": 200, "events": 49, "auroc": FIGURE}, Figures(200, 49, None, None)),
        (
            {"n": 9, "events": 1, "sufficient": True, "auroc": FIGURE, "observed_expected": FIGURE},
            Figures(9, 1, SHOWN, SHOWN),
        ),
        ({"n": 999, "events": 500, "sufficient": False, "auroc": FIGURE}, Figures(999, 500, None, None)),
        ({"events": 50, "calibration_slope": FIGURE}, Figures(0, 50, None, None, SHOWN)),
        ({}, Figures(0, 0, None, None)),
    ],
)
def test_a_group_has_figures_from_fifty_events_on_or_as_its_evaluation_says(block: Any, tested: Figures) -> None:
    assert _tested(block) == tested


@pytest.mark.parametrize(
    ("name", "age", "holds"),
    [
        ("40-49", 39.9, False),
        ("40-49", 40.0, True),
        ("40-49", 49.9, True),
        ("40-49", 50.0, False),
        ("80 and over", 80.0, True),
        ("80 and over", 79.9, False),
        ("80 and over", 101.0, True),
        ("female", 45.0, False),
        ("2015-2016", 20.0, False),
    ],
)
def test_a_group_of_ages_holds_whole_years(name: str, age: float, *, holds: bool) -> None:
    assert _holds(name, age) is holds


def test_a_person_is_in_the_groups_of_their_age_and_sex() -> None:
    nobody = Figures(0, 0, None, None)
    groups = tuple(Group("axis", name, nobody, nobody) for name in ("male", "female", "40-49", "50-59"))
    tested = Performance("", nobody, nobody, None, groups, ())
    assert [group.name for group in tested.groups_of(45.0, "female")] == ["female", "40-49"]
    assert [group.name for group in tested.groups_of(None, "male")] == ["male"]
    assert tested.groups_of(30.0, "") == []


def test_each_bin_of_the_reference_cohort_ends_where_the_next_begins() -> None:
    bins = (RiskBin(0.0, 0.0, 0.02, 900, 18, 0.02, 0.01, 0.03), RiskBin(0.25, 90.0, 0.5, 100, 40, 0.4, 0.3, 0.5))
    manifest: Any = SimpleNamespace(reference=SimpleNamespace(bins=bins))
    assert calibration_rows(manifest) == [
        CalibrationRow("0 to 25", 2, 900, 18, "2 (1 to 3)", 0.0, 25.0, 1.0, 2.0, 3.0),
        CalibrationRow("25 and over", 50, 100, 40, "40 (30 to 50)", 25.0, 100.0, 30.0, 40.0, 50.0),
    ]


def test_an_input_has_its_range_its_average_and_where_it_is_read_from() -> None:
    assert _input_row(an_input(loinc=("1-8", "2-6"), fhir="Observation")) == InputRow(
        "Their value", "1 to 9 mg/dL", "4 mg/dL", "LOINC 1-8, 2-6"
    )
    cut = _input_row(an_input(clip_high=8.0, fhir="Observation"))
    assert (cut.range, cut.source) == ("1 to 9 mg/dL; above, it counts as 8", "Observation")
    assert _input_row(an_input("sex_male", clip_high=1.0)).range == "male or female"


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        (GateSummary(("a",), ()), "1 passed"),
        (GateSummary(("a",), ("r",)), "1 passed; not passed: r"),
        (GateSummary(("a",), (), ("w", "v")), "1 passed; waived with an expiry date: w, v"),
    ],
)
def test_a_release_in_words(gates: GateSummary, words: str) -> None:
    release = Release(
        format="1", id="m", version="1", state="validated", digest="d", files={}, gates=gates, history=(), key="k"
    )
    assert release_status(release) == ReleaseStatus("validated", words, "d")


def test_the_page_of_a_model_has_everything_of_its_files() -> None:
    files = ModelFiles(None)
    name = "mortality_5y"
    manifest, card, release = files.manifest(name), files.card(name), files.release(name)
    assert manifest is not None
    values = model_values(manifest, card, release, files.effects(name))
    assert len(values["alerting"]) == len(manifest.thresholds.table)
    assert len(values["features"]) == len(values["shapes"]) == len(manifest.features)
    assert len(values["bins"]) == len(manifest.reference.bins)
    assert set(values["benefits"]) == {row.capacity for row in manifest.thresholds.table}
    assert (values["manifest"], values["tested"]) == (manifest, performance(manifest))
    numbers = [row.number for section in values["attributes"] for row in section.rows]
    assert len(numbers) == len(set(numbers)) == 31
    assert values["standing"].state == "validated"
    assert values["lineage"]
    assert values["provenance"]
    bare = model_values(manifest)
    assert (bare["attributes"], bare["standing"], bare["shapes"]) == ([], None, [])
    assert _curves(manifest, (), None)["equal_ages_source"] == ""


# The list of rules, and gates


def _row(name: str, title: str = "A rule", family: str = "Kidney", state: Any = "on") -> RuleRow:
    return RuleRow(name, title, family, "v", Standing(state, ""), RuleCounts())


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"family": "Kidney"}, True),
        ({"family": "Heart"}, False),
        ({"kind": "on"}, True),
        ({"kind": "off"}, False),
        ({"what": " RULE "}, True),
        ({"what": "renal-m"}, True),
        ({"what": "none"}, False),
        ({"family": "Kidney", "kind": "on", "what": "none"}, False),
    ],
)
def test_a_filter_leaves_rules_of_a_family_a_state_and_a_word(wanted: dict[str, str], *, fits: bool) -> None:
    assert _fits(_row("renal-metformin"), {"family": "", "kind": "", "what": "", **wanted}) is fits


@pytest.mark.parametrize(
    ("start", "rows", "first", "shown"),
    [
        ("", 120, 0, 50),
        ("50", 120, 50, 50),
        ("100", 120, 100, 20),
        ("99999", 120, 100, 20),
        ("99999", 100, 50, 50),
        ("100000", 120, 0, 50),
        ("-1", 120, 0, 50),
        ("\u0665", 120, 0, 50),
        ("50", 0, 0, 0),
    ],
)
def test_fifty_rules_are_shown_from_the_row_that_is_asked_for(start: str, rows: int, first: int, shown: int) -> None:
    made = [_row(f"r{number}") for number in range(rows)]
    values = rules_values(made, ["Kidney"], {"family": "Kidney", "what": "", "start": start}, 7, counting=True)
    assert (values["start"], values["rows"], values["total"]) == (first, made[first : first + 50], rows)
    assert (len(values["rows"]), values["query"](150)) == (shown, "family=Kidney&start=150")
    assert (values["families"], values["calls"], values["counting"], values["step"]) == (["Kidney"], 7, True, 50)
    assert values["kinds"] == {
        "": "All", "on": "Shows cards", "shadow": "In shadow", "off": "Off", "waiting": "Waiting", "refused": "Refused",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (("passed", "passed"), "2 of 2 passed"),
        (("passed", "waived"), "1 of 2 passed; Gate 1: waived"),
        (("failed", "waived"), "0 of 2 passed; Gate 0: failed, Gate 1: waived"),
        ((), "0 of 0 passed"),
    ],
)
def test_gates_that_did_not_pass_are_named(statuses: tuple[str, ...], words: str) -> None:
    gates = tuple(GateRow(f"G{number}", f"Gate {number}", status, "") for number, status in enumerate(statuses))
    standing = ModelStanding("m", "M", "1", "validated", Standing("on", ""), gates, (), (), None, ())
    assert standing.gate_words == words
