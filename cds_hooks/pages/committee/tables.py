"""The lists of models and rules for a committee, and what the page of one adds: state, gates, approvals, counts."""

from collections import Counter
from typing import Annotated, Any
from urllib.parse import urlencode

from msgspec import Struct
from pydantic import BaseModel, Field

from cds_hooks.hold_back.acts import Act
from cds_hooks.hold_back.standing import SIGNS, RuleCounts, Standing
from cds_hooks.pages.model_files import GateRow
from models_onnx.artifact.release_file import ReleaseStep


class ActForm(Struct, frozen=True):
    """What can be done about one thing: whether to approve this version, and the acts that are possible now.

    `acts` are words and the state, `served` the version that they name: of a model the digest of its file, where
    `version` is that of its release. `by_click`: whether who looks at the page can do it there.
    """

    kind: str
    name: str
    version: str
    approves: bool
    by_click: bool
    acts: tuple[tuple[str, str], ...] = ()
    served: str = ""


class ApprovalRow(Struct, frozen=True):
    """One approval in the record: whose, in which role, when, and what was checked."""

    by: str
    role: str
    at: str
    note: str


class WaitingRow(Struct, frozen=True):
    """Something that one person did and that does not count yet: by whom, and what is missing; `wanted` repeats it."""

    what: str
    by: ApprovalRow
    missing: str
    wanted: dict[str, str]


class WaiverRow(Struct, frozen=True):
    """A waiver of a gate, and whether it is in force here."""

    gate: str
    reason: str
    until: str
    fault: str | None
    form: ActForm


class ModelStanding(Struct, frozen=True):
    """How a model stands at this site. `missing` says why it is not approved by two people; None where it is."""

    id: str
    title: str
    version: str
    state: str
    now: Standing
    gates: tuple[GateRow, ...]
    waivers: tuple[WaiverRow, ...]
    approvals: tuple[ApprovalRow, ...]
    missing: str | None
    steps: tuple[Act | ReleaseStep, ...]
    form: ActForm

    @property
    def gate_words(self) -> str:
        """How many gates passed, and which did not."""
        counts = Counter(row.status for row in self.gates)
        not_passed = [f"{row.title}: {row.status}" for row in self.gates if row.status != "passed"]
        passed = f"{counts['passed']} of {len(self.gates)} passed"
        return f"{passed}; {', '.join(not_passed)}" if not_passed else passed


class RuleRow(Struct, frozen=True):
    """A rule in the list."""

    id: str
    title: str
    family: str
    version: str
    now: Standing
    counted: RuleCounts


class RuleStanding(Struct, frozen=True):
    """What the page of one rule adds for a committee."""

    now: Standing
    counted: RuleCounts
    calls: int
    approvals: tuple[ApprovalRow, ...]
    missing: str | None
    steps: tuple[Act | ReleaseStep, ...]
    form: ActForm


class WantedRules(BaseModel):
    """What the list of rules is narrowed to, and the row that it begins with."""

    family: Annotated[str, Field(max_length=100)] = ""
    kind: Annotated[str, Field(max_length=100)] = ""
    what: Annotated[str, Field(max_length=100)] = ""
    start: Annotated[int, Field(ge=0, lt=100_000)] = 0


def rules_values(
    rows: list[RuleRow], families: list[str], wanted: WantedRules, calls: int, counting: bool
) -> dict[str, Any]:
    """Return the template's values: rules that a filter leaves, with their number of cards, fifty from row `start`."""
    start = min(wanted.start, max(0, len(rows) - 1) // ROWS_ON_A_PAGE * ROWS_ON_A_PAGE)
    kept_filters = wanted.model_dump(exclude={"start"}, exclude_defaults=True)
    return {
        "rows": rows[start : start + ROWS_ON_A_PAGE],
        "total": len(rows),
        "start": start,
        "step": ROWS_ON_A_PAGE,
        "query": lambda at: urlencode({**kept_filters, "start": at}),
        "families": families,
        "wanted": wanted,
        "calls": calls,
        "counting": counting,
        "kinds": KINDS,
    }


ROWS_ON_A_PAGE = 50

KINDS = {"": "All"} | {state: word for state, (_, word) in SIGNS.items()}
"""The states by which the list of rules is filtered."""
