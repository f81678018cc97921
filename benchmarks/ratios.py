"""Answers per second of every service beside the bare handler, on the same bodies, in turn."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.progress import Progress
from rich.table import Column, Table

from benchmarks import bare
from benchmarks.load import Cores, Order, RunningLoad, Tally
from benchmarks.servers import Server, bare_command, running
from benchmarks.subject import Subject

Bodies = dict[int, bytes]
"""Request bodies by their size in KB."""
_WARM_CALLS = 10
"""Calls about one patient in a row where what a visit repeats is measured: two are read, eight have come before."""


@dataclass(frozen=True)
class Plan:
    """How long, how often and with how many connections each pair of servers is called."""

    seconds: float
    rounds: int
    connections: int
    cores: Cores


@dataclass
class Side:
    """What one server did with one body, one tally a round."""

    tallies: list[Tally] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    @property
    def errors(self) -> dict[str, int]:
        """Everything that was not a good answer, over all rounds, and rounds without any answer."""
        errors = sum((Counter(tally.errors) for tally in self.tallies), Counter[str]())
        errors["round without an answer: give it more --seconds"] = sum(not tally.answered for tally in self.tallies)
        return {text: count for text, count in errors.items() if count}


@dataclass
class Comparison:
    """A service and the bare handler on one body, which the service answers with this outcome."""

    subject: Subject
    size_kb: int
    service: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)
    times: int = 1
    """So often each chart comes: once, or `_WARM_CALLS` times."""

    @property
    def ratios(self) -> list[float]:
        """Answers per second, service to bare handler, of each round's pair; 0 where one of them gave no answer."""
        pairs = zip(self.service.tallies, self.bare.tallies, strict=True)
        return [service.per_second / bare.per_second if bare.answered else 0.0 for service, bare in pairs]

    @property
    def cpu_ratio(self) -> float:
        """Bare handler's processor time per call to the service's: what the ratio is when nothing else runs."""
        return median(self.bare.cpu_us) / median(self.service.cpu_us) if all(self.service.cpu_us) else 0.0

    @property
    def name(self) -> str:
        """What is compared, without the size."""
        return f"{self.subject.name}{', warm' if self.times > 1 else ''}"

    @property
    def card_share(self) -> float:
        """Share of the answers of the service that held a card."""
        answered = sum(tally.answered_in_all for tally in self.service.tallies)
        return sum(tally.with_cards for tally in self.service.tallies) / answered if answered else 0.0

    def faults(self) -> list[str]:
        """Sentences about what must not be: errors, or answers of the other outcome."""
        name = f"{self.name}, {self.size_kb} KB"
        sides = (("service", self.service), ("bare handler", self.bare))
        sentences = [
            f"{name}, {who}: {text} ({count} times)" for who, side in sides for text, count in side.errors.items()
        ]
        if self.card_share != (1.0 if self.subject.outcome == "card" else 0.0):
            sentences.append(f"{name}: {self.card_share:.0%} of the answers hold a card")
        return sentences


def compare_services(
    service: Server, subjects: list[tuple[Subject, Bodies]], plan: Plan, progress: Progress
) -> list[Comparison]:
    """One comparison for each service, outcome and size, the two servers called in turn.

    Silent answers are compared twice: with charts that never come again, and with charts that come ten times. A card
    that was shown rests, so that a chart with a card would be silent the second time.
    """
    pairs = [
        (subject, size, body, times)
        for subject, bodies in subjects
        for size, body in bodies.items()
        for times in ((1,) if subject.outcome == "card" else (1, _WARM_CALLS))
    ]
    task = progress.add_task("service and bare handler in turn", total=2 * plan.rounds * len(pairs))
    comparisons = []
    with (
        TemporaryDirectory(prefix="cds-bench-") as folder,
        running("bare", bare_command(), Path(folder), plan.cores.server) as bare_server,
    ):
        file = Path(folder, "body.json")
        for subject, size, body, times in pairs:
            progress.update(task, description=f"{subject.name}, {size} KB")
            file.write_bytes(body)
            comparison = Comparison(subject, size, times=times)
            for number in range(plan.rounds):
                sides = [(comparison.service, service, subject.path), (comparison.bare, bare_server, bare.PATH)]
                for side, server, path in sides if number % 2 == 0 else reversed(sides):
                    _load(side, server, path, file, plan, times)
                    progress.advance(task)
            comparisons.append(comparison)
    return comparisons


def _load(side: Side, server: Server, path: str, body: Path, plan: Plan, times: int) -> None:
    order = Order(
        port=server.port,
        path=path,
        body=str(body),
        seconds=plan.seconds,
        warm_up_seconds=min(0.3, plan.seconds / 3),
        connections=plan.connections,
        core=plan.cores.generator,
        keep_decisions=path != bare.PATH,
        times=times,
    )
    before = sum(server.cpu_seconds())
    tally = RunningLoad(order).tally()
    used = sum(server.cpu_seconds()) - before
    side.tallies.append(tally)
    side.cpu_us.append(1e6 * used / tally.answered_in_all if tally.answered_in_all else 0.0)


def ratios_table(comparisons: list[Comparison]) -> Table:
    """Return a row for each service and outcome: ratio (smallest-largest), CPU ratio, the service's CPU µs, by size."""
    sizes = list(dict.fromkeys(comparison.size_kb for comparison in comparisons))
    rows: dict[str, dict[int, str]] = {}
    for comparison in comparisons:
        ratios = comparison.ratios
        rows.setdefault(comparison.name, {})[comparison.size_kb] = (
            f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {comparison.cpu_ratio:.2f}"
            f" | {median(comparison.service.cpu_us):,.0f}"
        )
    columns = [Column(f"{size} KB", justify="right") for size in sizes]
    title = "Ratio to the bare handler (min-max) | CPU ratio | CPU µs"
    table = Table("service (hook), outcome", *columns, title=title)
    for name, row in rows.items():
        table.add_row(name, *(row.get(size, "-") for size in sizes))
    return table
