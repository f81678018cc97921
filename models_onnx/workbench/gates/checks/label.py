"""Was the label audited: is it what it stands for, for every group?

The audit asks whether, at an equal score, one group needs more than another.

Source: Obermeyer et al., Science 2019;366:447. A score that predicts cost ranks people correctly by cost and wrongly by
need where a group gets less care for the same need. No figure about the label itself shows it, so people of a group are
compared with others of the same score in what they need, not in what was predicted.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.gates.checks.fairness import NO_GROUP, RATIO_ACT
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject

Array = NDArray[np.float64]
SEED = 20260101
BANDS = 20
ENOUGH_PEOPLE = 200
ENOUGH_NEED = 100.0  # responsible-ai.md 5.2: with fewer positives in a group nothing can be concluded
REPLICATES = 200


@dataclass(frozen=True, slots=True)
class GroupNeed:
    """One group compared with all others of the same score: the ratio of mean need with its 95 % interval.

    `sufficient` says whether there are enough people and need for a decision.
    """

    group: str
    people: int
    ratio: float
    low: float
    high: float
    sufficient: bool

    @property
    def judged(self) -> bool:
        """Whether anything can be concluded about this group."""
        return self.sufficient and self.group not in NO_GROUP

    @property
    def fault(self) -> str | None:
        """The fault in one sentence; None where there is none, or too few people for a decision.

        responsible-ai.md 5.2: act where 0.8 to 1.25 is left. The interval must also exclude 1, so that a small group is
        not accused by chance; the published gap of 26 % is beyond both.
        """
        is_more, is_less = self.ratio > RATIO_ACT[1] and self.low > 1.0, self.ratio < RATIO_ACT[0] and self.high < 1.0
        if not self.judged or not (is_more or is_less):
            return None
        times = f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f}) times"
        return f"at an equal score, {self.group} need {times} as much as others"


def audit_label(score: Array, group: NDArray[Any], need: Array, weight: Array | None = None) -> list[GroupNeed]:
    """One row per group; the ratio is 1 where need depends on the score alone. `weight`: how much a person counts."""
    weight = np.ones(len(score)) if weight is None else weight
    keep = ~(np.isnan(score) | np.isnan(need)) & (weight > 0)
    score, group, need, weight = score[keep], group[keep], need[keep], weight[keep]
    band = np.searchsorted(np.quantile(score, np.arange(1, BANDS) / BANDS), score, side="right")
    draw = np.random.default_rng(SEED)
    draws = [draw.integers(0, len(group), len(group)) for _ in range(REPLICATES)]
    needs = []
    for name in sorted(set(group.tolist()), key=str):
        is_member = group == name
        samples = [_ratio(is_member[rows], band[rows], need[rows], weight[rows]) for rows in draws]
        low, high = np.nanpercentile(samples, [2.5, 97.5])
        is_enough = is_member.sum() >= ENOUGH_PEOPLE and need[is_member].sum() >= ENOUGH_NEED
        ratio = _ratio(is_member, band, need, weight)
        needs.append(GroupNeed(str(name), int(is_member.sum()), ratio, float(low), float(high), bool(is_enough)))
    return needs


def _ratio(is_member: NDArray[np.bool_], band: NDArray[Any], need: Array, weight: Array) -> float:
    """Return the group's need divided by the need it would have with the mean need of the others at each score."""
    mine, theirs = (
        [np.bincount(band[rows], weights=of[rows], minlength=BANDS) for of in (weight, need * weight)]
        for rows in (is_member, ~is_member)
    )
    usable = theirs[0] > 0
    expected = float((mine[0][usable] * theirs[1][usable] / theirs[0][usable]).sum())
    return float(mine[1][usable].sum()) / expected if expected > 0 else float("nan")


def check_label(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that the label is declared and no cost, and that no group needs much more at an equal score."""
    label = subject.product.get("label")
    if not isinstance(label, dict):
        return Verdict("", ("the card does not say what the label is and what it stands for (product.label)",))
    if label.get("kind") == "cost" and not evidence.audits:
        return Verdict("", ("the label is cost: it stands in for need and was not audited against it",))
    if not evidence.audits and evidence.audited_before:
        return Verdict(
            f"The label is that of version {evidence.audited_before}, which is in use and whose audit is green; what "
            "people need is not in the record of outcomes."
        )
    if not evidence.audits:
        raise NotRun(evidence.why_absent("audit", "The label was not audited: there are no people to audit it on."))
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    few: list[str] = []
    judged: list[str] = []
    for audit in evidence.audits:
        groups = audit_label(audit.score, audit.group, audit.need, audit.weight)
        rows += [{"axis": audit.axis, **asdict(group)} for group in groups]
        few += [group.group for group in groups if not group.judged]
        if sum(group.judged for group in groups) < 2:
            continue
        judged.append(audit.axis)
        faults += [
            f"{fault} ({audit.words}); the label is {label['words']}"
            for group in groups
            if (fault := group.fault) is not None
        ]
    of_card = evidence.audits[0]
    if of_card.axis not in judged:
        raise Insufficient(f"Fewer than two groups have enough people and {of_card.words} to compare.")
    axes = f" by {', '.join(axis for axis in judged if axis)}" if any(judged) else ""
    sentence = (
        f"At an equal score no group{axes} has much more {of_card.words} than the others"
        f"{'; insufficient: ' + ', '.join(few) if few else ''}."
    )
    return Verdict(sentence, tuple(faults), {"label": label, "need": of_card.words}, rows)
