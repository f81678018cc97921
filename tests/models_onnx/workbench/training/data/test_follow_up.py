"""Who was followed for less than the horizon counts through the time there was: weights and refusals."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import DAYS_PER_YEAR, FollowUp, OutcomeSpec
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.data.follow_up import Observed, observe
from models_onnx.workbench.training.data.leaks import leaks_of
from tests.models_onnx.invented import INVENTED, invented_table

pytestmark = pytest.mark.slow  # They judge whole tables of training.

OUTCOME = OutcomeSpec(
    column="died",
    words="died within 5 years",
    horizon_days=5 * DAYS_PER_YEAR,
    follow_up=FollowUp(lambda table: table["months"], lambda table: table["died"], per_year=12),
)


def observed(months: Any, died: Any) -> Observed:
    """What is seen of these people."""
    return observe(OUTCOME, pd.DataFrame({"months": months, "died": died}), np.ones(len(months), dtype=bool))


def test_the_weighted_share_is_the_kaplan_meier_risk() -> None:
    draw = np.random.default_rng(4)
    death, left = draw.exponential(60, 800).round(), draw.uniform(10, 120, 800).round()
    seen = observed(np.minimum(death, left), (death <= left).astype(float))
    surviving, at_risk = 1.0, 800
    for month in range(61):
        died = ((death == month) & (death <= left)).sum()
        surviving *= 1 - died / at_risk
        at_risk -= died + ((left == month) & (left < death)).sum()
    assert (seen.weight * seen.y).sum() / seen.weight.sum() == pytest.approx(1 - surviving, abs=0.002)


@pytest.mark.parametrize(("months", "died"), [([-1, 60], [0, 1]), ([np.nan, 60], [0, 1]), ([50, 60], [0, 2])])
def test_an_impossible_follow_up_is_refused(months: list[float], died: list[float]) -> None:
    with pytest.raises(TrainingRefused, match="follow-up"):
        observed(months, died)


PEOPLE = 4000
# No follow-up: whether the outcome happened stands in the table, as in most extracts of a hospital.
SPEC = replace(
    INVENTED,
    outcome=OutcomeSpec(column="came_back", words="came back within 30 days", horizon_days=30),
    exclusions=(),
    recalibration=None,
    newest=None,
    never_inputs=(),
    derived={**INVENTED.derived, "mcv_fl": lambda table: table["told"]},
)


@pytest.fixture(scope="module")
def extract() -> pd.DataFrame:
    """A table in which one in ten has the outcome, with dates of admission and of the next contact."""
    rows = invented_table(people=PEOPLE)
    draw = np.random.default_rng(3)
    margin = 0.02 * (rows["age_years"] - 60) - 1.5 * (rows["albumin_g_dl"].fillna(4.2) - 4.2) - 2.4
    y = (draw.random(PEOPLE) < 1 / (1 + np.exp(-margin))).astype(int)
    contact = np.where(y == 1, draw.integers(1, 30, PEOPLE), draw.integers(20, 400, PEOPLE))
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, PEOPLE), unit="D")
    return rows.assign(came_back=y, out=day, next_contact=day + pd.to_timedelta(contact, unit="D"), told=rows["mcv_fl"])


def noisy(rows: pd.DataFrame, share: float) -> pd.Series:
    changed = np.random.default_rng(5).random(len(rows)) < share
    return 85.0 + rows["came_back"].where(~changed, 1 - rows["came_back"])


def rates(rows: pd.DataFrame) -> pd.Series:
    return 50 + 100 * rows["came_back"].groupby(np.random.default_rng(6).integers(0, 250, len(rows))).transform("mean")


def given(rows: pd.DataFrame) -> pd.Series:
    draw = np.random.default_rng(7).random(len(rows))
    return 85.0 + ((rows["came_back"] == 1) & (draw < 0.3) | (draw > 0.999))


def gaps(rows: pd.DataFrame) -> pd.Series:
    draw = np.random.default_rng(8).random(len(rows))
    return rows["told"].mask((rows["came_back"] == 1) & (draw < 0.6) | (draw > 0.95))


def numbered(rows: pd.DataFrame) -> pd.Series:
    return rows["came_back"].rank(method="first") / 100 + 50


LEAKS: dict[str, tuple[Callable[[pd.DataFrame], pd.Series], str]] = {
    "copied": (lambda rows: 85.0 + rows["came_back"], "the outcome under another name"),
    "a quarter is wrong": (lambda rows: noisy(rows, 0.25), "alone reaches an AUROC of 0.7"),
    "future date": (
        lambda rows: 50 + (rows["next_contact"] - rows["out"]).dt.days / 10,
        "the outcome under another name",
    ),
    "only its gaps": (gaps, "alone reaches an AUROC of 0.7"),
    "treatment afterwards": (given, "have the outcome (1"),
    "rates of small groups": (rates, "alone reaches an AUROC of 0.7"),
    "numbered by outcome": (numbered, "the outcome under another name"),
}


def test_the_honest_table_has_no_leak(extract: pd.DataFrame) -> None:
    draw, came = np.random.default_rng(174), extract["came_back"]
    nights = 60.0 + np.minimum(draw.geometric(0.12, PEOPLE) + draw.geometric(0.3, PEOPLE) * came, 34)
    for told in (extract["told"], nights):
        assert leaks_of(SPEC, build_cohort(SPEC, extract.assign(told=told))) == ()


_AT_ONCE = ("copied", "only its gaps", "treatment afterwards")


@pytest.mark.parametrize(
    "leak", [pytest.param(leak, marks=[] if leak in _AT_ONCE else [pytest.mark.slow]) for leak in LEAKS]
)
def test_a_leak_is_named_with_its_input(extract: pd.DataFrame, leak: str) -> None:
    column_of, words = LEAKS[leak]
    sentences = leaks_of(SPEC, build_cohort(SPEC, extract.assign(told=column_of(extract))))
    assert any("mcv_fl" in sentence and words in sentence for sentence in sentences), sentences
    assert not any("age_years" in sentence for sentence in sentences)
