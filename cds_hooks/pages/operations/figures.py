"""What the page of operations says: each part is a question, a short answer, and a table that a chart is drawn in.

Everything is read from the book of counts, by day, client and service; no decision is read. The CSV of a part has the
same rows.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cds_hooks.pages.operations.counts import Counts
from cds_hooks.web.charts import Scale, round_scale, with_ticks
from cds_hooks.web.latency import format_ms, stage_words
from models_onnx.monitoring.sketch import Sketch, quantile

PERIODS: Final = (1, 7, 28)
_FEWEST: Final = 20
"""With fewer calls, keys or answers a share is not shown: it would say more than was counted."""
MOST_ROWS: Final = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a row: as it is shown, as it stands in the CSV, and perhaps a sign beside it."""

    text: str
    raw: str | float | None = None
    sign: str = ""

    @property
    def plain(self) -> str | float:
        """For the CSV."""
        return self.text if self.raw is None else self.raw


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn in a row, in percent of its column: bars one after the other, or a dot, a box and an end mark."""

    bars: tuple[float, ...] = ()
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its name, its values, its drawing, and the address of the decisions behind it."""

    name: str
    cells: tuple[Cell, ...]
    drawing: Drawing | None = None
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A question of the page. `key` explains what is drawn; `blank` says why there are no rows."""

    id: str
    question: str
    answer: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    blank: str
    scale: Scale | None = None
    key: tuple[tuple[str, str], ...] = ()
    unfolded: int = 100
    """So many rows are seen at once; the others unfold."""


def calls_part(counts: Counts) -> Part:
    """Return how many calls came on each day, and what came of them."""
    total, span = counts.total, counts.span
    most = max((total.calls for total in counts.by_day.values()), default=0)
    scale = round_scale(most)
    rows = [
        Row(
            f"{day}",
            (number(total.calls), number(total.with_cards), number(total.cards), number(total.errors)),
            Drawing((scale.at(total.calls),)),
            span.behind(since=f"{day}", until=f"{day}"),
        )
        for day, total in counts.by_day.items()
    ]
    failed = f"{total.errors:,} of {total.calls:,} recorded calls failed."
    return Part(
        "calls",
        "How many calls come, and are they answered?",
        failed if total.calls else "No call came.",
        "Calls of each day (UTC). A failed call got an error and never an empty list.",
        ("Day", "Calls", "With a card", "Cards", "Failed"),
        tuple(rows) if total.calls else (),
        "No call was recorded in these days.",
        scale,
    )


def stages_part(counts: Counts) -> Part:
    """Return how long each stage of a call takes."""
    sketches = [(stage_words(name), Sketch(buckets)) for name, buckets in counts.total.stages.items()]
    sketches.append(("Whole call", Sketch(counts.total.milliseconds)))
    values = [(name, [quantile(sketch, share) or 0.0 for share in (0.5, 0.95, 0.99)]) for name, sketch in sketches]
    scale = _LATENCY
    rows = [
        Row(
            name,
            tuple(Cell(format_ms(milliseconds), round(milliseconds, 3)) for milliseconds in quantiles),
            Drawing(marks=tuple(map(scale.at, quantiles))),
        )
        for name, quantiles in values
    ]
    measured = sum(counts.total.milliseconds.values())
    half, most, _ = values[-1][1]
    answer = f"Half of the calls take up to {format_ms(half)} ms, 95 in 100 up to {format_ms(most)} ms."
    return Part(
        "stages",
        "Where does the time go?",
        answer if measured else "Nothing was measured.",
        f"Milliseconds of {measured:,} calls, each step of the scale ten times the last; without the way to the EHR.",
        ("Stage", "Half within", "95 in 100", "99 in 100"),
        tuple(rows) if measured else (),
        "No call with measured stages was recorded in these days.",
        scale,
        (("Dot: half of the calls are faster.", "mid"), ("Box: up to 95 in 100. End mark: 99 in 100.", "pale")),
    )


def errors_part(counts: Counts) -> Part:
    """Return the calls that were recorded as failed, by class."""
    total = counts.total
    return count_part(
        "errors",
        ("What failed?", f"{total.errors:,} calls." if total.errors else "No recorded call."),
        "Calls that got an error, by class. Calls of unknown callers are not recorded; /metrics counts them.",
        ("Class", "Calls"),
        total.classes,
        "No recorded call failed in these days.",
        lambda name: counts.span.behind(outcome="error", reason=name),
    )


def prefetch_part(counts: Counts) -> Part:
    """Return how often each client sends each key."""
    rows = []
    lacking = 0
    for client, counts_of_client in counts.by_client.items():
        states: dict[str, Counter[str]] = {}
        for name, n in counts_of_client.keys.items():
            key, _, state = name.partition(" ")
            states.setdefault(key, Counter())[state] += n
        for key, counted in sorted(states.items()):
            total = counted.total()
            sent = counted["given"] + counted["null"]
            share = sent / total
            lacking += total >= _FEWEST and share < 0.9
            cells = (
                Cell(client),
                number(total),
                percent(sent, total, signs=True),
                number(counted["null"]),
                number(counted["fetched"]),
            )
            rows.append(Row(key, cells, Drawing((100 * share,)) if total >= _FEWEST else None))
    answer = (
        "Every key comes in at least 90 of 100 calls."
        if not lacking
        else f"{lacking} keys come less often than in 90 of 100 calls."
    )
    return Part(
        "prefetch",
        "Do clients send what is needed?",
        answer if rows else "Nothing was asked for.",
        "Share of the calls that brought a key; null: the EHR found nothing. What is missing is read where it can be.",
        ("Key", "Client", "Asked", "Sent", "Of these null", "Read by us"),
        tuple(rows[:MOST_ROWS]),
        "No call with prefetch keys was recorded in these days.",
        _PERCENT,
    )


def cards_part(counts: Counts) -> Part:
    """Return what became of the cards of each service."""
    rows = []
    for service, item in sorted(counts.by_service.items(), key=lambda total: -total[1].cards):
        if not item.cards and not item.accepted and not item.overridden:
            continue
        answered_or_shown = max(item.cards, item.accepted + item.overridden)
        bars = (100 * item.accepted / answered_or_shown, 100 * item.overridden / answered_or_shown)
        cells = (
            number(item.cards), percent(item.accepted, answered_or_shown), percent(item.overridden, answered_or_shown),
            number(max(0, answered_or_shown - item.accepted - item.overridden)),
        )  # fmt: skip
        behind = counts.span.behind(service=service, outcome="cards")
        rows.append(Row(service, cells, Drawing(bars) if answered_or_shown >= _FEWEST else None, behind))
    total = counts.total
    answered = total.accepted + total.overridden
    answer = f"{total.cards:,} cards; {answered:,} answered, {total.accepted:,} of them accepted."
    return Part(
        "cards",
        "Do the cards help?",
        answer if rows else "No card was shown.",
        "Of the cards shown. Overridden is not the same as wrong; many EHRs do not report a card that was only read.",
        ("Service", "Shown", "Accepted", "Overridden", "No answer"),
        tuple(rows),
        "No card was shown in these days.",
        _PERCENT,
        (("accepted, filled", "acc"), ("overridden, outlined", "pale")),
    )


def reasons_part(counts: Counts) -> Part:
    """Return why cards were overridden."""
    total = counts.total.overridden
    rows = [
        Row(name, (number(n), percent(n, total)), Drawing((100 * n / total,)))
        for name, n in _largest(counts.total.reasons)
    ]
    return Part(
        "reasons",
        "Why are cards overridden?",
        f"{total:,} were." if total else "None was.",
        "Codes of the reasons that clinicians gave.",
        ("Reason", "Cards", "Of those overridden"),
        tuple(rows),
        "No card was overridden in these days.",
        _PERCENT,
    )


def silence_part(counts: Counts) -> Part:
    """Return why there was no card, or why something was left out."""
    reasons: Counter[str] = Counter()
    for name, n in counts.total.silences.items():
        reasons[name.rpartition(" ")[2]] += n
    withheld = reasons["budget"]
    held_back = f"{withheld:,} findings were" if withheld else "No finding was"
    return count_part(
        "silence",
        ("Why were we silent?", f"{held_back} held back by a budget."),
        "Reasons on record for not saying something; a call can have several.",
        ("Reason", "Times"),
        reasons,
        "No reason was recorded in these days.",
        lambda name: counts.span.behind(reason=name),
    )


def count_part(
    part_id: str,
    heading: tuple[str, str],
    caption: str,
    columns: tuple[str, str],
    numbers: Mapping[str, int],
    blank: str,
    behind: Callable[[str], str] = lambda _: "",
) -> Part:
    """Return a part with one count a row, the largest first; `heading` is its question and answer."""
    scale = round_scale(max(numbers.values(), default=0))
    rows = tuple(
        Row(name, (number(count),), Drawing((scale.at(count),)), behind(name)) for name, count in _largest(numbers)
    )
    return Part(part_id, *heading, caption, columns, rows, blank, scale)


def number(value: int) -> Cell:
    """Return a count."""
    return Cell(f"{value:,}", value)


def percent(part: int, whole: int, *, signs: bool = False) -> Cell:
    """Return a share in percent; of fewer than 20 none. With `signs` below 90 a triangle, below 75 an octagon."""
    if whole < _FEWEST:
        return Cell(f"not enough data ({part:,} of {whole:,})", "", "none")
    share = 100 * part / whole
    sign = "" if not signs or share >= 90 else "critical" if share < 75 else "warning"
    return Cell(f"{share:.0f} %", round(share, 2), sign)


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_ROWS]


_PERCENT: Final = with_ticks(Scale(0, 100), {0: "0", 25: "25", 50: "50", 75: "75", 100: "100 %"})
_LATENCY: Final = with_ticks(
    Scale(0.01, 1000, logarithmic=True), {0.01: "0.01", 0.1: "0.1", 1: "1", 10: "10", 100: "100", 1000: "1,000"}
)
