"""The whole outcome of every case, as a digest: all cards, all that was not shown, and why.

A case says what a rule must find; here is everything else that is answered to it: facts, notes, suggestions, silences.

    python -m tests.cards.rules.outcomes            # lists the cases whose outcome is not the reviewed one
    python -m tests.cards.rules.outcomes --write    # you confirm them; read a few of those that changed first
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from cards.compose.orders import OrderOutcome, check_orders
from cards.rules.patient.orders import read_drafts
from tests.cards.rules.cases import all_cases, check_case, family_book, uuids
from tests.cards.rules.drafted import drafted_cases, outcome_of
from tests.cards.rules.pinned import AS_OF, book_of, review_cases, text_of_outcome
from tests.conftest import ROOT
from tests.fhir.drawn import drawn_drafts, drawn_record

FOLDER: Final = ROOT / "tests" / "cases" / "outcomes"
CONFIRM: Final = "read what is answered now, then: .venv/bin/python -m tests.cards.rules.outcomes --write"


def whole_text(outcome: OrderOutcome) -> str:
    """Return everything that is answered: the cards, whose they are, and the reason for every silence.

    What was looked through without a finding is left out: it grows with every rule that is added.
    """
    silences = [
        f"{silence.subject}: {silence.reason}: {silence.text}"
        for silence in outcome.silences
        if silence.reason not in ("scope", "within-limits")
    ]
    return "\n".join([text_of_outcome(outcome), *outcome.drafts, *silences])


def digest_of(text: str) -> str:
    """Return twelve letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _rules() -> Iterator[tuple[str, OrderOutcome]]:
    for name, rule, case in _named(all_cases()):
        yield name, check_case(case, AS_OF, family_book(rule))


def _reviews() -> Iterator[tuple[str, OrderOutcome]]:
    for name, rule, case in _named(review_cases()):
        yield name, check_case(case, AS_OF, book_of(rule))


def _drafts() -> Iterator[tuple[str, OrderOutcome]]:
    for name, _, case in _named(drafted_cases()):
        yield name, outcome_of(case, AS_OF)


def _named(cases: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each case with a name that a new case before it does not change."""
    times = Counter[str]()
    for owner, case in cases:
        name = f"{owner} {case['id']}"
        times[name] += 1
        yield f"{name} ({times[name]})" if times[name] > 1 else name, owner, case


def _drawn() -> Iterator[tuple[str, OrderOutcome]]:
    for number in range(_SESSIONS):
        record, drafts = drawn_record(number % 100), read_drafts(drawn_drafts(number))
        yield f"session {number}", check_orders(record, drafts, None, uuids(), signing=number % 3 > 0)


_SESSIONS: Final = 150
GROUPS: Final = {"rules": _rules, "reviews": _reviews, "drafts": _drafts, "drawn": _drawn}


def file_of(group: str) -> Path:
    """Return the file with the digests of a group."""
    return FOLDER / f"{group}.txt"


def reviewed(group: str) -> dict[str, str]:
    """Return the digests that were reviewed, by the name of the case."""
    lines = file_of(group).read_text(encoding="utf-8").splitlines() if file_of(group).exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def assert_reviewed(group: str) -> None:
    """Compare the outcome of each case of a group with the reviewed one; the failure shows three that changed."""
    before, texts = reviewed(group), {name: whole_text(outcome) for name, outcome in GROUPS[group]()}
    changed = [f"{name}\n{text}" for name, text in texts.items() if digest_of(text) != before.get(name)]
    assert not changed, f"{len(changed)} outcomes changed; {CONFIRM}\n\n" + "\n\n".join(changed[:3])
    assert texts.keys() == before.keys(), CONFIRM


def main(write: bool) -> int:
    """Lists the cases whose outcome differs from the reviewed one, or writes all."""
    differ = 0
    for group in GROUPS:
        before = reviewed(group)
        lines = []
        for name, outcome in GROUPS[group]():
            digest = digest_of(whole_text(outcome))
            lines.append(f"{digest}  {name}")
            if before.get(name) != digest:
                differ += 1
                print(f"{group}: {name}")
        if write:
            file_of(group).write_text("\n".join([*lines, ""]), encoding="utf-8")
    return 0 if write or not differ else 1


if __name__ == "__main__":
    raise SystemExit(main("--write" in sys.argv))
