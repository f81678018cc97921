"""The effect of showing a card: found where chance decided, refused with the reason where it did not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.outcomes.effect import (
    Effect,
    Shares,
    _Arms,
    _arms,
    _expected,
    _line,
    _refused,
    _share_at,
    doubly_robust,
    effect_of_showing,
)
from cds_hooks.outcomes.followed import FOLDS, Estimated, Followed
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import store_outcomes
from tests.cds_hooks.outcomes.test_followed import decision, outcome, write
from tests.live import record_in

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


CANARY = [((FIRST + timedelta(days=day)).timestamp(), share) for day, share in ((-30, None), (0, 0.3), (300, None))]


LATER = ("budget", "said-once")


@dataclass
class World:
    """Invented patients; the card lowers the odds of the event by `effect`."""

    effect: float = -0.8
    share: float = 0.3
    count: int = 4000
    unreported: float = 0.0

    def rows(self) -> list[Followed]:
        draw = np.random.default_rng(8)
        odds = draw.normal(-0.5, 1, self.count)
        shown = draw.random(self.count) < self.share
        event = draw.random(self.count) < 1 / (1 + np.exp(-(odds + self.effect * shown)))
        reported = shown | (draw.random(self.count) >= self.unreported)
        at = int((FIRST + timedelta(days=10)).timestamp() * 1e6)
        return [
            Followed(
                str(n), f"{n:016x}", at + n, {}, (), (Estimated("1", "x", float(1 / (1 + np.exp(-odds[n]))), True),),
                bool(event[n]), () if shown[n] else ("canary",),
            )
            for n in range(self.count)
            if reported[n]
        ]  # fmt: skip


@pytest.mark.parametrize("effect", [-0.8, 0.0, 0.6])
def test_the_planted_effect_lies_in_the_interval(effect: float) -> None:
    told = effect_of_showing(World(effect=effect).rows(), CANARY, "m", LATER)
    odds = np.random.default_rng(1).normal(-0.5, 1, 200_000)
    true = float((1 / (1 + np.exp(-odds - effect)) - 1 / (1 + np.exp(-odds))).mean())
    assert told.refused == ""
    assert told.low is not None
    assert told.high is not None
    assert told.low < true < told.high
    assert told.high - told.low < 0.09
    assert (told.low < 0 < told.high) is (effect == 0.0)


def test_a_patient_counts_once_and_only_while_chance_decided() -> None:
    rows = World(count=1500).rows()
    again = [replace(row, decision="b", decided_at=row.decided_at + 1, event=not row.event) for row in rows]
    a_year = int(3e13)
    later = [
        replace(row, patient=f"f{row.patient[1:]}", decided_at=row.decided_at + a_year, event=True) for row in rows
    ]
    held = [Followed("d", "e" * 16, rows[0].decided_at, {}, (), rows[0].estimates, True, ("already-done",))]
    assert effect_of_showing([*again, *rows, *later, *held], CANARY, "m", LATER) == effect_of_showing(
        rows, CANARY, "m", LATER
    )


def test_cards_held_back_by_later_checks_do_not_make_the_arms_differ() -> None:
    """The budget of cards is used up for the patients at highest risk, in the arm that is shown the card only."""
    world = World(effect=0.0, share=0.5)
    rows = [
        replace(row, reasons=("budget",)) if not row.reasons and row.estimates[0].probability > 0.55 else row
        for row in world.rows()
    ]
    told = effect_of_showing(rows, [(CANARY[0][0], 0.5)], "m", LATER)
    assert told.held_back > 200
    assert told.shown + told.withheld == world.count
    assert (told.low or 0) < 0 < (told.high or 0)


@pytest.mark.parametrize(
    ("rows", "shares", "why"),
    [
        (World().rows(), [], "No mature decision was made while m was in canary"),
        (World(count=250).rows(), CANARY, "100 patients and 20 events are needed in each arm"),
        (World(share=0.5).rows(), CANARY, "was not left to chance"),
        (World(unreported=0.5).rows(), CANARY, "outcomes of one arm are reported more often"),
    ],
    ids=["no canary", "few", "another share", "outcomes of one arm"],
)
def test_a_design_that_cannot_tell_is_refused(rows: list[Followed], shares: Shares, why: str) -> None:
    told = effect_of_showing(rows, shares, "m", LATER)
    assert why in told.refused
    assert told.difference is None


def test_the_command_says_why_it_cannot_tell(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    known = decision(0)
    write(url, known)
    store_outcomes(parse_url(url), [outcome(known, "yes")])
    told = CliRunner().invoke(cli.app, ["outcomes", "effect", "readmission_30d", "--database", url])
    assert told.exit_code == 1
    assert "The effect of showing this card cannot be told. No mature decision was made while" in told.output


ESTIMATED = (
    np.array([1.0, 1.0, 0.0, 0.0]),
    np.array([0.5, 0.25, 0.5, 0.25]),
    np.array([1.0, 0.0, 1.0, 0.0]),
    np.array([0.5, 0.25, 0.5, 0.125]),
    np.array([0.25, 0.5, 0.75, 0.5]),
)


def test_the_estimate_weights_what_happened_beyond_the_expectation_by_the_share_drawn() -> None:
    """By hand: treated 1.5, -0.75, 0.5, 0.125; untreated 0.25, 0.5, 1.25, -1/6."""
    scores = np.array([1.5 - 0.25, -0.75 - 0.5, 0.5 - 1.25, 0.125 + 1 / 6])
    mean, error = scores.mean(), np.sqrt(((scores - scores.mean()) ** 2).sum() / 3) / 2
    assert doubly_robust(*ESTIMATED) == pytest.approx((mean, mean - 1.96 * error, mean + 1.96 * error))


@pytest.mark.parametrize(
    ("at", "share"), [(0, None), (5_000_000, None), (10_000_000, 0.3), (19_999_999, 0.3), (20_000_000, None)]
)
def test_the_share_in_force_is_that_of_the_newest_change_until_then(at: int, share: float | None) -> None:
    assert _share_at([(5.0, None), (10.0, 0.3), (20.0, None)], at) == share


def _followed(patient: str, at: int, probability: float, event: bool, reasons: tuple[str, ...], due: bool) -> Followed:
    return Followed("d", patient * 16, at, {}, (), (Estimated("1", "x", probability, due),), event, reasons)


def test_each_patient_has_one_row_with_what_was_drawn_and_what_happened() -> None:
    rows = [
        _followed("b", 20, 0.5, event=True, reasons=(), due=True),
        _followed("b", 10, 0.25, event=False, reasons=("budget",), due=True),
        _followed("b", 10, 0.75, event=True, reasons=(), due=True),
        _followed("c", 5, 0.5, event=True, reasons=("canary",), due=True),
        _followed("d", 5, 0.5, event=True, reasons=(), due=False),
        _followed("e", 5, 0.5, event=True, reasons=("already-done",), due=True),
        _followed("f", 5, 1.0, event=True, reasons=("canary", "budget"), due=True),
    ]
    arms = _arms(rows, [(0.0, 0.3)], {"canary", "budget"})
    assert arms.shown.tolist() == [1.0, 0.0, 0.0]
    assert arms.held_back == 1
    assert arms.propensity.tolist() == [0.3, 0.3, 0.3]
    assert arms.event.tolist() == [0.0, 1.0, 1.0]
    assert arms.odds == pytest.approx([np.log(0.25 / 0.75), 0.0, np.log((1 - 1e-9) / 1e-9)])
    assert arms.fold.tolist() == [int(digits * 8, 16) % FOLDS for digits in "bcf"]
    assert _arms(rows, [(0.0, None)], {"canary"}).shown.tolist() == []


def _effect(shown: int = 100, withheld: int = 100, events: tuple[int, int] = (20, 20)) -> str:
    propensity = np.full(shown + withheld, 0.5)
    empty = np.zeros(shown + withheld)
    arms = _Arms(empty, 0, propensity, empty, empty, empty.astype(np.int64))
    return (_refused(arms, Effect(shown, withheld, *events), "m") or "")[:40]


@pytest.mark.parametrize(
    ("shown", "withheld", "events", "refused"),
    [
        (100, 100, (20, 20), ""),
        (99, 100, (20, 20), "99 patients were shown the card and 100 w"[:40]),
        (100, 99, (20, 20), "100 patients were shown the card and 99 w"[:40]),
        (100, 100, (19, 20), "100 patients were shown the card and 100 "[:40]),
        (100, 100, (20, 19), "100 patients were shown the card and 100 "[:40]),
        (0, 0, (0, 0), "No mature decision was made while m was "),
        (0, 100, (0, 20), "0 patients were shown the card and 100 w"),
        # 400 patients: 200 expected, one standard deviation is 10
        (232, 168, (20, 20), ""),
        (233, 167, (20, 20), "233 patients were shown the card where 2"),
        (168, 232, (20, 20), ""),
        (167, 233, (20, 20), "167 patients were shown the card where 2"),
    ],
)
def test_each_ground_of_a_refusal_at_its_limit(
    shown: int, withheld: int, events: tuple[int, int], refused: str
) -> None:
    assert _effect(shown, withheld, events) == refused


def test_the_expectation_of_an_arm_is_a_line_on_the_log_odds() -> None:
    """Two groups with 1 of 4 and 3 of 4 events: the line through both, but for the ridge."""
    odds = np.array([0.0] * 400 + [1.0] * 400)
    event = np.array(([0.0] * 3 + [1.0]) * 100 + ([1.0] * 3 + [0.0]) * 100)
    intercept, slope = _line(odds, event)
    assert intercept == pytest.approx(-np.log(3), abs=1e-4)
    assert slope == pytest.approx(2 * np.log(3), abs=1e-4)
    # without any patient there is only the ridge: the estimate as it stands
    assert _line(np.array([]), np.array([])) == pytest.approx((0.0, 1.0))
    # all of them had the event: the ridge holds the intercept back
    assert _line(np.zeros(10), np.ones(10))[0] == pytest.approx(6.9, abs=0.6)


def test_the_expectation_of_a_fold_is_fitted_without_it_and_in_one_arm_only() -> None:
    fold = np.array([0, 1] * 400, dtype=np.int64)
    shown = np.array([0.0] * 400 + [1.0] * 400)
    event = np.array([1.0, 0.0, 1.0, 0.0] * 100 + [0.0, 1.0, 1.0, 1.0] * 100)
    arms = _Arms(shown, 0, np.full(800, 0.5), event, np.zeros(800), fold)
    # withheld: fold 0 always has the event, fold 1 never; shown: fold 0 in half, fold 1 always
    withheld = _expected(arms, 0)
    assert withheld[0] == withheld[400] < 0.01
    assert withheld[1] == withheld[401] > 0.99
    assert _expected(arms, 1)[1] == pytest.approx(0.5, abs=0.01)
    assert _expected(arms, 1)[0] > 0.99


def test_the_counts_of_an_effect_are_those_of_its_arms() -> None:
    rows = World(count=1200).rows()
    told = effect_of_showing(rows, CANARY, "m", LATER)
    shown = [row for row in rows if not row.reasons]
    withheld = [row for row in rows if row.reasons]
    counts = len(shown), len(withheld), sum(row.event for row in shown), sum(row.event for row in withheld)
    assert (told.shown, told.withheld, told.events_shown, told.events_withheld) == counts
    assert told.crude == pytest.approx(counts[2] / counts[0] - counts[3] / counts[1])
    assert told.held_back == 0
