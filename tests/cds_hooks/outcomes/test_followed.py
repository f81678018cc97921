"""The way back from the record: mature estimates with their outcomes, and two versions on the same people."""

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.outcomes.followed import Estimated, Followed, compare_with_outcomes, followed, table_rows
from cds_hooks.outcomes.labels import Label
from cds_hooks.storage import Decision, new_decision_id, open_decision_log
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import Outcome, store_outcomes
from tests.live import record_in

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABEL = Label("readmission_30d", "admission", 30, 3)
OLD, NEW = "aa" * 32, "bb" * 32


def decision(days: float, **changes: Any) -> Decision:
    """An estimate of 0.2 about a patient, so many days after the first day; a version beside it says 0.4."""
    beside = [{"id": "readmission_30d", "version": "2", "sha256": NEW, "probability": 0.4, "is_due": True}]
    basis = {
        "features": {"age_years": [70, None, "Patient/x"], "sex_male": [0, None, "Patient/x"]},
        "scores": {"id": "readmission_30d", "version": "1", "sha256": OLD, "probability": 0.2, "beside": beside},
        "groups": ["race Asian"],
        "silence": [["readmission_30d", "below-threshold", "Not among the highest."]],
    }
    members: dict[str, Any] = {
        "id": new_decision_id(), "decided_at": int((FIRST + timedelta(days=days)).timestamp() * 1e6),
        "hook": "encounter-discharge", "service": "follow-up", "hook_instance": "h", "client": "north",
        "patient": "p", "outcome": "silent", "input_digest": "ab" * 32, "models": b"[]", "response": b"{}",
        "basis": json.dumps(basis).encode(),
    }  # fmt: skip
    return Decision(**(members | changes))


async def write(url: str, *decisions: Decision) -> None:
    log = open_decision_log(url)
    await asyncio.gather(*(log.append(item) for item in decisions))
    await log.close()


def outcome(of: Decision, value: str) -> Outcome:
    return Outcome(of.id, "follow-up", "north", "event", LABEL.model, value, None, "api", of.decided_at)


def read(url: str, days: float) -> list[Followed]:
    return list(followed(url, LABEL, int((FIRST + timedelta(days=days)).timestamp() * 1e6)))


async def test_only_mature_decisions_with_a_known_outcome_are_rows(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    yes, no, unknown, young = (decision(days) for days in (0, 1, 2, 20))
    await write(url, yes, no, unknown, young)
    store_outcomes(parse_url(url), [outcome(yes, "yes"), outcome(no, "no"), outcome(young, "yes")])
    assert [(row.decision, row.event) for row in read(url, 40)] == [(no.id, False), (yes.id, True)]
    assert read(url, 32.9) == []
    through = Outcome(None, "", "north", "complete", "admission", "2026-05-01", None, "api", 0)
    store_outcomes(parse_url(url), [through])
    assert [row.event for row in read(url, 40)] == [False, False, True], "all events of that time were sent"


async def test_a_row_has_the_inputs_the_groups_the_fold_of_the_patient_and_no_identity(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    known = decision(0)
    await write(url, known)
    store_outcomes(parse_url(url), [outcome(known, "yes")])
    (row,) = table_rows(read(url, 40), ("age_years", "inr"), "readmitted")
    assert (row["age_years"], row["inr"], row["readmitted"], row["race"]) == (70, "", 1, "Asian")
    assert (row["estimate"], row["estimated_by"], row["year"]) == (0.2, "1", 2026)
    assert row["patient"] != "p"
    assert 0 <= row["fold"] < 5


def people(count: int, noise_of_old: float, shift_of_old: float = 0.0) -> list[Followed]:
    """Invented people whose new version knows the risk; the old one is noisy, or too high."""
    draw = np.random.default_rng(4)
    odds = draw.normal(-2, 1, count)
    old = odds + draw.normal(shift_of_old, noise_of_old or 1e-9, count)
    happened = draw.random(count) < 1 / (1 + np.exp(-odds))

    def estimate(version: str, file: str, value: float) -> Estimated:
        return Estimated(version, file, float(1 / (1 + np.exp(-value))), bool(value > -1))

    return [
        Followed(
            str(n), str(n), 0, {}, (), (estimate("1", OLD, old[n]), estimate("2", NEW, odds[n])), bool(happened[n])
        )
        for n in range(count)
    ]


def test_a_better_a_worse_and_an_equal_version_are_told_in_words_with_intervals() -> None:
    better = compare_with_outcomes(people(3000, 1.5), NEW, 0.25)
    assert better.verdict.startswith("Better: its AUROC")
    assert better.auroc is not None
    assert better.auroc[1] > 0
    assert compare_with_outcomes(people(3000, 1.5), OLD, 0.25).verdict.startswith("Worse: ")
    assert compare_with_outcomes(people(3000, 0.0), NEW, 0.25).verdict.startswith("No certain difference")
    shifted = compare_with_outcomes(people(3000, 0.0, shift_of_old=1.0), NEW, 0.25)
    assert "nearer to what happened" in shifted.verdict
    few = compare_with_outcomes(people(200, 1.5), NEW, 0.25)
    assert "100 needed" in few.verdict
    assert few.version is None


@pytest.mark.parametrize(("events", "code"), [(True, 0), (False, 1)])
async def test_the_command_writes_the_table_of_a_model_from_the_record(tmp_path: Path, events: bool, code: int) -> None:
    url, out = record_in(tmp_path), tmp_path / "table.csv"
    known = decision(0)
    await write(url, known)
    if events:
        store_outcomes(parse_url(url), [outcome(known, "yes")])
    words = ["data", "readmission_30d", "--followed", "--out", str(out), "--database", url]
    told = CliRunner().invoke(cli.app, words)
    assert told.exit_code == code, told.output
    if events:
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert [(row["age_years"], row["readmitted"]) for row in rows] == [("70.0", "1")]
        assert "1 rows of 1 patients, 1 with the event" in told.output


@pytest.mark.parametrize(
    ("outcome_of_call", "silence", "reasons"),
    [
        ("silent", [["readmission_30d", "below-threshold", "t"]], ("below-threshold",)),
        ("silent", [["follow-up", "budget", "t"], ["another", "canary", "t"]], ("budget",)),
        ("silent", [["another", "canary", "t"]], ("no-card",)),
        ("silent", [], ("no-card",)),
        ("cards", [], ()),
        ("cards", [["readmission_30d", "canary", "t"]], ("canary",)),
    ],
)
async def test_why_a_card_was_not_shown_is_what_was_said_of_its_model_or_service(
    tmp_path: Path, outcome_of_call: str, silence: list[list[str]], reasons: tuple[str, ...]
) -> None:
    url, one = record_in(tmp_path), decision(0)
    basis = json.loads(one.basis) | {"silence": silence}
    one = decision(0, id=one.id, outcome=outcome_of_call, basis=json.dumps(basis).encode())
    await write(url, one)
    store_outcomes(parse_url(url), [outcome(one, "yes")])
    (row,) = read(url, 33)
    assert row.reasons == reasons
    is_due = [*silence, ["", "", ""]][0][1] != "below-threshold"
    assert row.estimates == (Estimated("1", OLD, 0.2, is_due), Estimated("2", NEW, 0.4, True))
    assert (row.decided_at, row.event, row.groups) == (one.decided_at, True, ("race Asian",))
    assert row.of_file(NEW) == Estimated("2", NEW, 0.4, True)
    assert row.of_file("cc") is None
    assert read(url, 33 - 1e-10) == [], "a few microseconds before its horizon and the lag have passed"
