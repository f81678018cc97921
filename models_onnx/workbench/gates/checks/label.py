"""Was the label audited: is it what it stands for, for every group?

The audit asks whether, at an equal score, one group needs more than another.

Source: Obermeyer et al., Science 2019;366:447. A score that predicts cost ranks people correctly by cost and wrongly by
need where a group gets less care for the same need. No figure about the label itself shows it, so people of a group are
compared with others of the same score in what they need, not in what was predicted.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.gates.checks.fairness import NO_GROUP
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import Audit, Evidence, Subject

Array = NDArray[np.float64]
SEED = 20260101

# responsible-ai.md 5.2: ratio of mean need at an equal score; act where 0.8 to 1.25 is left. The interval must also
# exclude 1, so that a small group is not accused by chance; the published gap of 26 % is beyond both.
ACT = (0.8, 1.25)
# A group whose scores could be lowered by 40 % without being shown is not cleared; where more than a twentieth of the
# people are in such groups, the need is too blunt to audit anything.
LOWERED = 0.6
BLIND = 0.05
BANDS = 20
TOP_BANDS = 2  # the highest tenth of scores, from which programmes enrol people
ENOUGH_PEOPLE = 200
ENOUGH_NEED = 100.0  # responsible-ai.md 5.2: with fewer positives in a group nothing can be concluded
REPLICATES = 200


@dataclass(frozen=True, slots=True)
class GroupNeed:
    """One group compared with all others of the same score.

    It holds the ratio of mean need with its 95 % interval, for all scores and for the highest; `sufficient` says
    whether there are enough people and need for a decision.
    """

    group: str
    people: int
    ratio: float
    low: float
    high: float
    top_ratio: float
    top_low: float
    top_high: float
    sufficient: bool
    top_sufficient: bool = True
    could_fail: bool = True
    """Whether the audit would have shown it, had the group's scores been lowered by 40 %."""

    @property
    def judged(self) -> bool:
        """Whether anything can be concluded about this group."""
        return self.sufficient and self.group not in NO_GROUP

    @property
    def cleared(self) -> bool:
        """Whether the audit finds nothing and would have found it."""
        return self.judged and self.could_fail and self.fault is None

    @property
    def fault(self) -> str | None:
        """The fault in one sentence; None where there is none, or too few people for a decision."""
        if not self.judged:
            return None
        top = ((" in the top tenth", self.top_ratio, self.top_low, self.top_high),) if self.top_sufficient else ()
        for where, ratio, low, high in (("", self.ratio, self.low, self.high), *top):
            if (ratio > ACT[1] and low > 1.0) or (ratio < ACT[0] and high < 1.0):
                times = f"{ratio:.2f} ({low:.2f} to {high:.2f}) times"
                return f"at an equal score{where}, {self.group} need {times} as much as others"
        return None


def audit_label(
    score: Array,
    group: NDArray[Any],
    need: Array,
    weight: Array | None = None,
    seed: int = SEED,
) -> list[GroupNeed]:
    """One row per group; the ratio is 1 where need depends on the score alone. `weight`: how much a person counts."""
    weight = np.ones(len(score)) if weight is None else weight
    keep = ~(np.isnan(score) | np.isnan(need)) & (weight > 0)
    scores, groups = score[keep], group[keep]
    people = _People(_bands(scores), need[keep], weight[keep])
    draws = _draws(len(groups), seed)
    needs = []
    for name in sorted(set(groups.tolist()), key=str):
        is_member = groups == name
        lowered = _People(_bands(np.where(is_member, LOWERED * scores, scores)), people.need, people.weight)
        could_fail = any(ratio > ACT[1] for ratio in _ratios(is_member, lowered))
        needs.append(replace(_group(name, is_member, people, draws), could_fail=could_fail))
    return needs


def need_by_score(
    score: Array, need: Array, weight: Array | None = None, seed: int = SEED
) -> tuple[float, float, float]:
    """Mean need in the top tenth of scores over the mean of everybody, with its interval; 1 for a random score."""
    weight = np.ones(len(score)) if weight is None else weight
    keep = ~(np.isnan(score) | np.isnan(need)) & (weight > 0)
    people = _People(_bands(score[keep]), need[keep], weight[keep])

    def ratio(rows: NDArray[np.int64]) -> float:
        top = rows[people.band[rows] >= BANDS - TOP_BANDS]
        mean = np.average(people.need[rows], weights=people.weight[rows])
        return _share(float(np.average(people.need[top], weights=people.weight[top])), float(mean)) if len(top) else 1.0

    low, high = np.nanpercentile([ratio(rows) for rows in _draws(int(keep.sum()), seed)], [2.5, 97.5])
    return ratio(np.arange(int(keep.sum()))), float(low), float(high)


@dataclass(frozen=True, slots=True)
class _People:
    band: NDArray[np.int64]
    need: Array
    weight: Array


def _bands(score: Array) -> NDArray[np.int64]:
    limits = np.quantile(score, np.arange(1, BANDS) / BANDS)
    return np.searchsorted(limits, score, side="right").astype(np.int64)


def _draws(count: int, seed: int) -> list[NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, count, count) for _ in range(REPLICATES)]


def _group(name: Any, is_member: NDArray[np.bool_], people: _People, draws: list[NDArray[np.int64]]) -> GroupNeed:
    ratio, top = _ratios(is_member, people)
    samples = np.array(
        [_ratios(is_member[rows], _People(people.band[rows], people.need[rows], people.weight[rows])) for rows in draws]
    )
    low, high = np.nanpercentile(samples, [2.5, 97.5], axis=0)
    at_top = is_member & (people.band >= BANDS - TOP_BANDS)
    sufficient = is_member.sum() >= ENOUGH_PEOPLE and people.need[is_member].sum() >= ENOUGH_NEED
    ends = (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))
    enough_at_top = bool(people.need[at_top].sum() >= ENOUGH_NEED)
    return GroupNeed(str(name), int(is_member.sum()), ratio, *ends[0], top, *ends[1], bool(sufficient), enough_at_top)


def _ratios(is_member: NDArray[np.bool_], people: _People) -> tuple[float, float]:
    """Return the group's need divided by the need it would have with the mean need of the others at each score."""
    needed = people.need * people.weight
    mine = np.bincount(people.band[is_member], weights=people.weight[is_member], minlength=BANDS)
    have = np.bincount(people.band[is_member], weights=needed[is_member], minlength=BANDS)
    count = np.bincount(people.band[~is_member], weights=people.weight[~is_member], minlength=BANDS)
    theirs = np.bincount(people.band[~is_member], weights=needed[~is_member], minlength=BANDS)
    usable = count > 0
    mean = np.divide(theirs, count, out=np.zeros(BANDS), where=usable)
    everywhere = _share(have[usable].sum(), (mine * mean)[usable].sum())
    top = usable & (np.arange(BANDS) >= BANDS - TOP_BANDS)
    return everywhere, _share(have[top].sum(), (mine * mean)[top].sum())


def _share(part: float, total: float) -> float:
    return float(part / total) if total > 0 else float("nan")


def check_label(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that the label is declared and no cost, and that no group needs much more at an equal score."""
    label = subject.product.get("label")
    if not isinstance(label, dict):
        return Verdict("", ("the card does not say what the label is and what it stands for (product.label)",))
    if label.get("kind") == "cost" and evidence.audit is None:
        return Verdict("", ("the label is cost: it stands in for need and was not audited against it",))
    if evidence.audit is None and evidence.audited_before:
        return Verdict(
            f"The label is that of version {evidence.audited_before}, which is in use and whose audit is green; what "
            "people need is not in the record of outcomes."
        )
    if evidence.audit is None:
        raise NotRun(evidence.why_absent("audit", "The label was not audited: there are no people to audit it on."))
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    few: list[str] = []
    judged: list[str] = []
    for audit in (evidence.audit, *evidence.further_audits):
        groups = audit_label(audit.score, audit.group, audit.need, audit.weight, audit.seed)
        rows += [{"axis": audit.axis, **asdict(group)} for group in groups]
        few += [group.group for group in groups if not group.cleared and group.fault is None]
        if sum(group.judged for group in groups) < 2:
            continue
        judged.append(audit.axis)
        faults += [
            f"{fault} ({audit.words}); the label is {label['words']}"
            for group in groups
            if (fault := group.fault) is not None
        ]
        faults += _blind_faults(audit, groups)
    if evidence.audit.axis not in judged:
        raise Insufficient(f"Fewer than two groups have enough people and {evidence.audit.words} to compare.")
    axes = f" by {', '.join(axis for axis in judged if axis)}" if any(judged) else ""
    sentence = (
        f"At an equal score no group{axes} has much more {evidence.audit.words} than the others"
        f"{'; insufficient: ' + ', '.join(few) if few else ''}."
    )
    return Verdict(sentence, tuple(faults), {"label": label, "need": evidence.audit.words}, rows)


def _blind_faults(audit: Audit, groups: list[GroupNeed]) -> list[str]:
    """Why this audit clears nobody: need does not rise with the score, or a group lowered by 40 % would not show."""
    faults = []
    ratio, low, high = need_by_score(audit.score, audit.need, audit.weight, audit.seed)
    if not low > 1.0:
        faults.append(
            f"people of the highest tenth of scores have {ratio:.2f} ({low:.2f} to {high:.2f}) times the {audit.words} "
            "of everybody: the score says nothing about need"
        )
    blind = [group for group in groups if group.judged and group.fault is None and not group.could_fail]
    if sum(group.people for group in blind) > BLIND * sum(group.people for group in groups):
        names = ", ".join(group.group for group in blind)
        faults.append(
            f"had the scores of {names} been lowered by 40 %, {audit.words} would not show it: "
            "this need cannot audit the label"
        )
    return faults
