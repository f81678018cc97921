"""What of the operator's page is not counted by day: refused calls since the start, the record's chain, the budgets."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from cards.rules.engine.governance import Budget
from cds_hooks.monitor.book import Verified
from cds_hooks.pages.operations.counts import Counts
from cds_hooks.pages.operations.figures import Cell, Part, Row, count_part, number
from cds_hooks.web.numbers import format_time

_ANSWERED: Final = "200"
_UNTRUSTED: Final = "cds_untrusted_total"
_REQUESTS: Final = "cds_requests_total"


def refused_part(metrics: bytes) -> Part:
    """Return the calls that were answered with an error since the server started, from what /metrics says."""
    refusals: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics.decode()):
        for sample in family.samples:
            if sample.name == _REQUESTS and sample.labels["status"] != _ANSWERED:
                refusals[f"HTTP {sample.labels['status']}"] += int(sample.value)
            elif sample.name == _UNTRUSTED:
                refusals[f"not trusted: {sample.labels['reason']}"] += int(sample.value)
    calls = sum(count for name, count in refusals.items() if name.startswith("HTTP"))
    return count_part(
        "refused",
        ("What was refused?", f"{calls:,} calls since the start." if refusals else "Nothing since the start."),
        "Calls answered with an error since this server started. Those of unknown callers are not in the record.",
        ("Answer or reason", "Calls"),
        refusals,
        "No call was refused since this server started.",
    )


def budgets_part(counts: Counts, budgets: Sequence[Budget]) -> Part:
    """Return the budgets of cards in force, and what was held back because of them."""
    withheld = sum(n for name, n in counts.total.silences.items() if name.endswith(" budget"))
    rows = [
        Row(budget.words, (Cell(", ".join(sorted(budget.names)) or "everyone"), Cell(budget.note)))
        for budget in budgets
    ]
    answer = f"{withheld:,} findings were held back in these days."
    return Part(
        "budgets",
        "Do the budgets hold cards back?",
        answer if rows else "No budget is set.",
        "Budgets of cards that the rules file sets. Critical cards are never held back.",
        ("Budget", "For", "Why"),
        tuple(rows),
        "The rules file sets no budget (docs/rules/governance.md).",
    )


def record_part(verified: Verified | None, sealed_at: float | None, newest: int, cut: str = "") -> Part:
    """Return whether the record is as it was written, as far as that was looked at."""
    rows = []
    if verified is not None:
        sign, words = ("critical", verified.fault) if verified.fault else ("good", "as it was written")
        cells = (Cell(_instant(verified.at)), number(verified.decisions), Cell(words, words, sign))
        rows.append(Row("Chain of hashes, the last time it was verified here", cells))
    if sealed_at is not None:
        rows.append(
            Row("Sealed and sent off up to", (Cell(_instant(sealed_at)), Cell(""), Cell("sealed", sign="good")))
        )
    if cut:
        rows.append(Row("What was sealed", (Cell("now"), Cell(""), Cell(cut, cut, "critical"))))
    answer = "Not verified on this machine."
    if verified is not None:
        answer = "It is broken." if verified.fault else f"Verified {_instant(verified.at)}."
    if cut:
        answer = "It was cut or changed after it was sealed."
    return Part(
        "record",
        "Is the record whole?",
        answer,
        f"The record has row numbers up to {newest:,}.",
        ("What", "When", "Decisions", "Result"),
        tuple(rows),
        "Nobody has verified the chain on this machine, and no key seals the record. Run “cds-hooks decisions verify”.",
    )


def _instant(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
