"""Interleaved rounds: the same body to the service and to the bare handler, in turn, the order alternating."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.generator import Order, Tally
from benchmarks.load import Cores, send_load
from benchmarks.servers import Server


@dataclass(frozen=True)
class Plan:
    """How long, how often and with how many connections."""

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
    def per_second(self) -> float:
        """Median of the rounds' answers per second."""
        return median(tally.per_second for tally in self.tallies)

    def milliseconds(self, percentile: str) -> float:
        """Median over the rounds of `p50`, `p90` or `p99`."""
        nanoseconds: list[int] = [getattr(tally, f"{percentile}_ns") for tally in self.tallies]
        return median(nanoseconds) / 1e6

    @property
    def errors(self) -> dict[str, int]:
        """Everything that was not a good answer, over all rounds, and rounds without any answer."""
        errors = sum((Counter(tally.errors) for tally in self.tallies), Counter[str]())
        errors["round without an answer: give it more --seconds"] = sum(not tally.answered for tally in self.tallies)
        return {text: count for text, count in errors.items() if count}


@dataclass
class Comparison:
    """Service and bare handler on one body."""

    body_bytes: int
    service: Side = field(default_factory=Side)
    bare: Side = field(default_factory=Side)

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
    def card_share(self) -> float:
        """Share of the sampled answers of the service that held a card."""
        sampled = sum(tally.sampled for tally in self.service.tallies)
        return sum(tally.sampled_with_cards for tally in self.service.tallies) / sampled if sampled else 0.0


@dataclass(frozen=True)
class Target:
    """A server and the path that is called on it."""

    server: Server
    path: str
    is_service: bool


def compare(
    bodies: list[str], body_bytes: int, service: Target, bare: Target, plan: Plan, advance: Callable[[], None]
) -> Comparison:
    """All rounds with one kind of body (files); `advance` is called after each side of a round."""
    comparison = Comparison(body_bytes)
    for number in range(plan.rounds):
        for target in (service, bare) if number % 2 == 0 else (bare, service):
            one_side(comparison.service if target.is_service else comparison.bare, target, bodies, plan)
            advance()
    return comparison


def one_side(side: Side, target: Target, bodies: list[str], plan: Plan) -> None:
    """One load on one server, its tally and processor time added to `side`."""
    order = Order(
        port=target.server.port,
        path=target.path,
        bodies=bodies,
        seconds=plan.seconds,
        warm_up_seconds=min(0.3, plan.seconds / 3),
        connections=plan.connections,
        core=plan.cores.generator,
        expect_decision=target.is_service,
    )
    before = target.server.cpu_seconds()
    tally = send_load(order)
    used = target.server.cpu_seconds() - before
    side.tallies.append(tally)
    side.cpu_us.append(1e6 * used / tally.answered_in_all if tally.answered_in_all else 0.0)
