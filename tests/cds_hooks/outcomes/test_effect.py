"""The effect of showing a card: found where chance decided, refused with the reason where it did not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from msgspec.structs import replace
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.outcomes.effect import Shares, doubly_robust, effect_of_showing
from cds_hooks.outcomes.followed import Estimated, Followed
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


def test_with_fitted_propensities_it_gives_the_published_effect_of_quitting_on_weight(data_folder: Path) -> None:
    """NHEFS (Hernan and Robins, Causal Inference: What If): 3.4 kg, 2.4 to 4.5; the naive difference is 2.5."""
    people = pd.read_csv(data_folder / "series" / "nhefs.csv.gz").dropna(subset=["wt82_71"])
    numbers = people[["age", "smokeintensity", "smokeyrs", "wt71"]]
    kinds = pd.get_dummies(people[["education", "exercise", "active"]].astype(str), drop_first=True)
    confounders = pd.concat([people[["sex", "race"]], numbers, numbers**2, kinds], axis=1).astype(float)
    design = sm.add_constant(confounders)
    quit_smoking, gain = people["qsmk"].to_numpy(dtype=float), people["wt82_71"].to_numpy(dtype=float)
    propensity = np.asarray(sm.Logit(quit_smoking, design).fit(disp=0).predict(design))
    expected = [np.asarray(sm.OLS(gain[quit_smoking == arm], design[quit_smoking == arm]).fit().predict(design))
                for arm in (1, 0)]  # fmt: skip
    mean, low, high = doubly_robust(quit_smoking, propensity, gain, *expected)
    assert mean == pytest.approx(3.4, abs=0.1)
    assert low == pytest.approx(2.4, abs=0.15)
    assert high == pytest.approx(4.4, abs=0.15)


def test_the_command_says_why_it_cannot_tell(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    known = decision(0)
    write(url, known)
    store_outcomes(parse_url(url), [outcome(known, "yes")])
    told = CliRunner().invoke(cli.app, ["outcomes", "effect", "readmission_30d", "--database", url])
    assert told.exit_code == 1
    assert "The effect of showing this card cannot be told. No mature decision was made while" in told.output
