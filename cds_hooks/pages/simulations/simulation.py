"""What is tried, on what, and what came of it: cards before and after a change, by service, group and band."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Literal

from msgspec import Struct, field

_EXAMPLES: Final = 5

How = Literal["more", "fewer", "same", "other"]
"""More or fewer cards of what is tried, the same, or the same kind with other words or another estimate."""


class Simulation(Struct, frozen=True):
    """What is tried. `value` is the version (name of its folder) or the share in per cent of a model's simulation.

    `folder` is the name of a folder of charts, else the recorded decisions of the last `days` are taken; `most` charts
    or decisions are judged.
    """

    kind: Literal["rule", "model"]
    name: str
    title: str
    change: Literal["speaks", "off", "version", "share"]
    most: int
    value: str = ""
    folder: str = ""
    days: int = 0

    @property
    def change_words(self) -> str:
        """What is changed, in words: "switched off"."""
        return {
            "speaks": "it shows its cards",
            "off": "switched off",
            "version": f"version {self.value}",
            "share": f"cards for {self.value} in 100 patients",
        }[self.change]

    @property
    def source_words(self) -> str:
        """On what it is tried, in words."""
        if self.folder:
            return f"at most {self.most:,} charts of the folder {self.folder}"
        days = "day" if self.days == 1 else f"{self.days} days"
        return f"the newest {self.most:,} recorded decisions of the last {days}"


class Counts(Struct):
    """How many decisions or orders, and in how many of them there was a card: as the site is now, and changed."""

    judged: int = 0
    before: int = 0
    after: int = 0

    def add(self, before: int, after: int) -> None:
        """One decision or order more."""
        self.judged += 1
        self.before += before > 0
        self.after += after > 0


class Example(Struct, frozen=True):
    """A decision (`decision`), or an order of a chart (`on` its date, `text` of its card), that the change is about."""

    how: How
    what: str
    group: str
    decision: str = ""
    text: str = ""
    on: str = ""


class Result(Struct):
    """Counts of one simulation.

    `total` is about the rule or model that is tried; `others` are cards of others that change.
    """

    judged: int = 0
    charts: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """How many decisions or files could not be judged, by the reason."""
    other_scores: int = 0
    """Decisions in which the cards are of the same kind and their words or scores differ."""
    total: Counts = field(default_factory=Counts)
    by_band: dict[str, Counts] = field(default_factory=dict)
    by_service: dict[str, Counts] = field(default_factory=dict)
    by_group: dict[str, Counts] = field(default_factory=dict)
    others: dict[str, Counts] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def take(
        self, service: str, group: str, before: Counter[str], after: Counter[str], is_ours: Callable[[str], bool]
    ) -> How | None:
        """Counts one decision or order by what its cards are about; says how ours changed, None where there is none."""
        now, then = (sum(cards[card] for card in cards if is_ours(card)) for cards in (before, after))
        self.judged += 1
        for counts in (self.total, _in(self.by_service, service), _in(self.by_group, group)):
            counts.add(now, then)
        for what in before | after:
            if is_ours(what):
                _in(self.by_band, what).add(before[what], after[what])
            elif before[what] != after[what]:
                _in(self.others, what).add(before[what], after[what])
        if now == then:
            return "same" if now else None
        return "more" if then > now else "fewer"

    def leave_out(self, because: str) -> None:
        """One decision or file less."""
        self.left_out[because] = self.left_out.get(because, 0) + 1

    def keep(self, example: Example) -> None:
        """Keeps an example, the first few of each kind."""
        if (
            sum((kept_example.how, kept_example.what) == (example.how, example.what) for kept_example in self.examples)
            < _EXAMPLES
        ):
            self.examples.append(example)

    def rows(self) -> Iterator[tuple[str, str, Counts]]:
        """Return every row of the result, for a table: what it is by, its name, its counts."""
        yield "all", "", self.total
        for by, counted in (("band", self.by_band), ("service", self.by_service), ("group", self.by_group)):
            yield from ((by, name, counts) for name, counts in sorted(counted.items()))
        yield from (("card of another", name, counts) for name, counts in sorted(self.others.items()))


def _in(counted: dict[str, Counts], name: str) -> Counts:
    return counted.setdefault(name, Counts())
