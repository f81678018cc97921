"""Compares the days of a window with the days before it: one figure for each thing that can go wrong.

The limits are those of "Figures and limits" in docs/operations/monitoring.md, with its sources. A figure
says "act" only where the change is both large and certain, and certainty is asked for once for all figures of a kind
together (Bonferroni), so that a month of days without a change raises no alarm.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

from models_onnx.monitoring import arrival, drift, rates
from models_onnx.monitoring.day import DayCounts, total_of
from models_onnx.monitoring.figure import Family, Figure, State
from models_onnx.monitoring.label_judging import label_choice
from models_onnx.monitoring.sketch import Sketch, bucket_at, quantile, value_of
from models_onnx.monitoring.today import Today

_FEWEST_CALLS, _FEWEST_VALUES, _FEWEST_FOR_DRIFT, _FEWEST_EXPECTED = rates.FEWEST_CALLS, 100, 500, 20
_FEWEST_FEEDBACK, _FEWEST_FOR_PAUSE, _FEWEST_FOR_REASONS = 50, 200, 100
_NOT_FOR_THIS_PATIENT, _NOT_APPLICABLE = "patient-ineligible", 0.3
_CONTINUOUS = 10
"""An input with fewer different values has no median whose ratio means anything: flags, counts of stays."""
_UNLIKELY, _RARE = 1e-6, 1e-3
_MANY_MORE = 1.5
_NOVEL = 0.01
_HOURS = 24
_FLAG = 2
"""Yes and no: so many different values has an input whose level is the share of the higher one."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A window of days and the reference before it, of one client and service; each day under its date."""

    client: str
    service: str
    window: dict[date, DayCounts]
    reference: dict[date, DayCounts]
    at: datetime | None = None
    """The instant (UTC) up to which the last day of the window has been counted; None where all of it has been."""

    def figures(self) -> list[Figure]:
        """Return all figures, those to look at first."""
        now, before = total_of(list(self.window.values())), total_of(list(self.reference.values()))
        figures = [
            *self._feed(now),
            *self._hours(),
            *self._shares(),
            *self._latency(now, before),
            *self._inputs(now, before),
        ]
        figures += [self._arrival("clock", clock) for clock in arrival.clocks(now, before)]
        figures += [
            *self._scores(now, before),
            *self._alerts(now, before),
            *self._answers(now),
            *self._rules(now, before),
        ]
        needs = total_of([DayCounts(needs=now.needs), DayCounts(needs=before.needs)])
        figures += [*self._answers_by_rule(now), *label_choice(self.client, self.service, needs)]
        if self.at is not None and (today := self.window.get(self.at.date())) is not None:
            so_far = Today(self.client, self.service, self.at, today, self._alike(self.at.date()))
            figures += so_far.figures()
        return sorted(figures, key=lambda figure: figure.order)

    def _figure(
        self, family: Family, subject: str, n: int, minimum: int, value: float | None, before: float | None,
        state: State, text: str,
    ) -> Figure:  # fmt: skip
        return Figure(self.client, self.service, family, subject, state, n, minimum, value, before, text)

    def _too_few(self, family: Family, subject: str, n: int, minimum: int) -> Figure:
        text = f"{self.service}, {subject}: {n:,} counted, {minimum:,} are needed."
        return self._figure(family, subject, n, minimum, None, None, "insufficient", text)

    def _arrival(self, family: Family, arrival_figure: arrival.Found) -> Figure:
        subject, state, n, minimum, value, before, text = arrival_figure
        sentence = text if text.endswith("?") else f"{text}."
        return self._figure(family, subject, n, minimum, value, before, state, f"{self.service}: {sentence}")

    def _feed(self, now: DayCounts) -> Iterator[Figure]:
        """Yield whether as many calls came as on the same days of the week before."""
        expected = sum(self.expected(day) for day in self.window)
        if expected < _FEWEST_EXPECTED:
            yield self._too_few("feed", "calls", round(expected), _FEWEST_EXPECTED)
            return
        calls = now.calls - self._in_the_hour_that_runs()
        chance, share = rates.at_most(calls, expected), calls / expected
        state: State = "good"
        if chance < _UNLIKELY and share < 0.5:
            state = "act"
        elif chance < _RARE and share < 0.8:
            state = "watch"
        if share > _MANY_MORE and rates.at_least(calls, expected) < _UNLIKELY:
            state = "watch"
        text = f"{self.service}: {calls:,} calls came where {expected:,.0f} were expected."
        yield self._figure("feed", "calls", calls, _FEWEST_EXPECTED, calls, expected, state, text)

    def _hours(self) -> Iterator[Figure]:
        """Hours of the day in which calls stay away over the whole window, though they come at other hours."""
        days = [day for day in self.window if self.at is None or day != self.at.date()]
        calls = [sum(self.window[day].hours.get(hour, 0) for day in days) for hour in range(_HOURS)]
        then = [sum(self._expected_in(hour, day) for day in days) for hour in range(_HOURS)]
        # When the clocks change, all calls come an hour earlier or later by UTC: the hours around count, too.
        least = [min(then[hour - 1], then[hour], then[(hour + 1) % _HOURS]) for hour in range(_HOURS)]
        judged_hours = sum(count >= _FEWEST_EXPECTED for count in least)
        if not judged_hours or sum(calls) < 0.5 * sum(then):  # of calls that stay away at all hours `_feed` tells
            return
        quiet = [
            hour
            for hour in range(_HOURS)
            if least[hour] >= _FEWEST_EXPECTED
            and calls[hour] < 0.5 * least[hour]
            and rates.at_most(calls[hour], least[hour]) * judged_hours < _UNLIKELY
        ]
        came, expected = sum(calls[hour] for hour in quiet), sum(then[hour] for hour in quiet)
        hours = ", ".join(f"{hour:02}:00" for hour in quiet)
        text = (
            f"{self.service}: in the hours from {hours} (UTC) {came:,} calls came where {expected:,.0f} were expected."
        )
        text = text if quiet else f"{self.service}: calls come at all hours of the day at which they came before."
        state: State = "act" if quiet else "good"
        yield self._figure("feed", "hours", sum(calls), _FEWEST_EXPECTED, came, expected, state, text)

    def _expected_in(self, hour: int, day: date) -> float:
        alike = self._alike(day)
        return sum(day.hours.get(hour, 0) for day in alike) / len(alike) if alike else 0.0

    def expected(self, day: date) -> float:
        """How many calls came on average on the same weekday of the reference; of today in its full hours so far."""
        alike = self._alike(day)
        if self.at is not None and day == self.at.date():
            calls = [sum(day.hours.get(hour, 0) for hour in range(self.at.hour)) for day in alike]
        else:
            calls = [day.calls for day in alike]
        return sum(calls) / len(calls) if calls else 0.0

    def _alike(self, day: date) -> list[DayCounts]:
        """Return the days of the reference on the same weekday; all of them where there is only one of these."""
        same = [
            counts
            for date_of_reference, counts in self.reference.items()
            if date_of_reference.weekday() == day.weekday()
        ]
        return same if len(same) > 1 else list(self.reference.values())

    def _in_the_hour_that_runs(self) -> int:
        """Return the calls of today since the last full hour, for which nothing is expected yet."""
        today = self.window.get(self.at.date()) if self.at is not None else None
        if today is None or self.at is None:
            return 0
        return sum(calls for hour, calls in today.hours.items() if hour >= self.at.hour)

    def _shares(self) -> Iterator[Figure]:
        """Call that failed or came twice, and prefetch keys that come less often than before."""
        yield self._rise("errors", "calls", lambda day: (day.errors, day.calls), "failed", 1)
        yield from self._uncounted()
        yield self._rise("feed", "repeated calls", lambda day: (day.repeated, day.calls), "came twice", 1)
        days = [*self.reference.values(), *self.window.values()]
        sent = {key.partition(" ")[0] for day in days for key in day.keys}
        for key in sorted(sent):
            words = f"came without the prefetch key {key}"
            yield self._rise("prefetch", key, _without(key), words, len(sent))

    def _uncounted(self) -> Iterator[Figure]:
        """Yield an incident where calls could not be counted: what is not seen of them may be anything."""
        uncounted = sum(day.uncounted for day in self.window.values())
        if uncounted:
            calls = sum(day.calls for day in self.window.values())
            text = f"{self.service}: {uncounted} of {calls} calls could not be counted; no figure has their cards."
            yield self._figure("errors", "calls not counted", calls, 1, uncounted / calls, 0.0, "act", text)

    def _rise(self, family: Family, subject: str, counted: rates.Counted, words: str, comparisons: int) -> Figure:
        """Return whether a share rose, in all or on a day."""
        rise = rates.rise(self.window, list(self.reference.values()), self._alike, counted, comparisons)
        if rise.state == "insufficient":
            return self._too_few(family, subject, rise.n, _FEWEST_CALLS)
        on = f" on {rise.day:%A}, {rise.day}," if rise.day is not None else ""
        text = f"{self.service}: {100 * rise.share:.1f} in 100 calls{on} {words}, {100 * rise.before:.1f} before."
        return self._figure(family, subject, rise.n, _FEWEST_CALLS, rise.share, rise.before, rise.state, text)

    def _latency(self, now: DayCounts, before: DayCounts) -> Iterator[Figure]:
        n, m = sum(now.milliseconds.values()), sum(before.milliseconds.values())
        if min(n, m) < _FEWEST_CALLS:
            yield self._too_few("latency", "90th percentile", min(n, m), _FEWEST_CALLS)
            return
        value, then = _quantile(now.milliseconds, 0.9), _quantile(before.milliseconds, 0.9)
        ratio = value / then if then else 1.0
        state: State = "act" if ratio >= 5 else "watch" if ratio >= 2 else "good"
        text = f"{self.service}: nine of ten answers took up to {value:.1f} ms, {then:.1f} ms before."
        yield self._figure("latency", "90th percentile", n, _FEWEST_CALLS, value, then, state, text)

    def _inputs(self, now: DayCounts, before: DayCounts) -> Iterator[Figure]:
        names = sorted({*now.names("features"), *before.names("features")})
        for name in names:
            values, then = now.sketch("features", name), before.sketch("features", name)
            yield self._rise("missing", name, _missing(name), f"had no usable {name}", len(names))
            if len(then) >= _CONTINUOUS:
                yield self._scale(name, now, before, len(names))
                yield self._older(name, now, before)
                late = arrival.delay(name, now.sketch("ages", name), before.sketch("ages", name), len(names))
                if late is not None:
                    yield self._arrival("age of values", late)
            moved = self._moved("input drift", name, values, then, len(names))
            yield self._closer(name, values, then, moved, len(names)) if moved.state in ("good", "watch") else moved
            if name == "sex_male":
                yield from map(self._exchanged, drift.exchanged(now, before))

    def _scale(self, name: str, now: DayCounts, before: DayCounts, comparisons: int) -> Figure:
        values, then = now.sketch("features", name), before.sketch("features", name)
        if min(values.total(), then.total()) < _FEWEST_VALUES:
            return self._too_few("units", name, min(values.total(), then.total()), _FEWEST_VALUES)
        value, median = quantile(values, 0.5) or 0.0, quantile(then, 0.5) or 0.0
        ratio = value / median if median else 1.0
        state: State = "good" if 0.8 <= ratio <= 1.25 else "watch" if 0.5 <= ratio <= 2 else "act"
        text = f"{self.service}: the median of {name} is {value:.4g}, {median:.4g} before"
        text += "." if state == "good" else "; another unit may be sent."
        new = drift.beyond(then, values)
        share = new.number / values.total()
        if (
            state != "act" and share >= _NOVEL and new.chance * comparisons < _UNLIKELY
        ):  # a part of the values has another unit
            state = "act"
            text = f"{self.service}: {100 * share:.1f} in 100 values of {name} lie outside all values before "
            text += f"({new.low:.4g} to {new.high:.4g}); another unit may be sent."
        return self._figure("units", name, values.total(), _FEWEST_VALUES, value, median, state, text)

    def _older(self, name: str, now: DayCounts, before: DayCounts) -> Figure:
        ages, then = now.sketch("ages", name), before.sketch("ages", name)
        if min(ages.total(), then.total()) < _FEWEST_VALUES:
            return self._too_few("age of values", name, min(ages.total(), then.total()), _FEWEST_VALUES)
        value, median = quantile(ages, 0.5) or 0.0, quantile(then, 0.5) or 0.0
        state: State = "watch" if value > 1.5 * median and value - median >= 1 else "good"
        text = f"{self.service}: {name} is {value:.3g} days old in the median, {median:.3g} before."
        return self._figure("age of values", name, ages.total(), _FEWEST_VALUES, value, median, state, text)

    def _moved(self, family: Family, name: str, values: Sketch, then: Sketch, comparisons: int) -> Figure:
        n, m = values.total(), then.total()
        if min(n, m) < _FEWEST_FOR_DRIFT:
            return self._too_few(family, name, min(n, m), _FEWEST_FOR_DRIFT)
        reference, window = drift.binned(then, values)
        index = drift.stability_index(reference, window)
        state: State = "good"
        if index > max(drift.WATCH, drift.limit_by_chance(len(reference), n, m, 1 - 0.01 / comparisons)):
            state = "watch"
        if index > max(drift.ACT, drift.limit_by_chance(len(reference), n, m, 1 - 0.001 / comparisons)):
            state = "act"
        alike = "as" if state == "good" else "otherwise than"
        text = f"{self.service}: {name} is distributed {alike} before (stability index {index:.2f})."
        return self._figure(family, name, n, _FEWEST_FOR_DRIFT, index, 0.0, state, text)

    def _closer(self, name: str, values: Sketch, then: Sketch, figure: Figure, comparisons: int) -> Figure:
        """Return the figure, or a worse one of what the index of ten bins does not see: level, one value, rounding."""
        figure = self._level(name, values, then, figure, comparisons)
        if figure.state == "act" or len(then) <= _FLAG:
            return figure
        days, sums = list(self.reference.values()), (values, then)
        single_value = drift.one_value(name, self.window, days, self._alike, sums, comparisons)
        for repetition in (drift.coarser(name, values, then, comparisons), single_value):
            if repetition is not None and (repetition.state == "act" or figure.state == "good"):
                text, least = f"{self.service}: {repetition.text}", _FEWEST_FOR_DRIFT
                n = values.total()
                figure = self._figure(
                    "input drift", name, n, least, repetition.value, repetition.before, repetition.state, text
                )
        return figure

    def _level(self, name: str, values: Sketch, then: Sketch, figure: Figure, comparisons: int) -> Figure:
        """Return the figure, or that of the level, where more or fewer values than before lie above the median of then.

        The index sees that of a flag, and of a level that moved by a third of a standard deviation, hardly.
        """
        cut = min(then) if len(then) <= _FLAG else bucket_at(then, 0.5)
        n, m = values.total(), then.total()
        sums = rates.Moved("good", n, _above(values, cut) / n, _above(then, cut) / m)

        def counted(day: DayCounts) -> tuple[int, int]:
            buckets = day.features.get(name, {})
            return _above(buckets, cut), sum(buckets.values())

        level = rates.moved(self.window, list(self.reference.values()), counted, comparisons, sums)
        if level.state == "good" or (level.state, figure.state) == ("watch", "watch"):
            return figure
        text = f"{self.service}: {100 * level.share:.1f} in 100 values of {name} are above {value_of(cut):.4g}, "
        text += f"{100 * level.before:.1f} before."
        least = _FEWEST_FOR_DRIFT
        return self._figure("input drift", name, n, least, level.share, level.before, level.state, text)

    def _exchanged(self, exchanged: drift.Exchanged) -> Figure:
        subject = f"sex_male by {exchanged.name}"
        if exchanged.state == "insufficient":
            return self._too_few("input drift", subject, exchanged.n, drift.FEWEST)
        text = f"{self.service}: women and men differ in {exchanged.name} as before."
        if exchanged.state != "good":
            text = f"{self.service}: women and men do not differ in {exchanged.name} as before, "
            text += f"as if they were exchanged in {100 * exchanged.share:.0f} of 100 calls."
        return self._figure(
            "input drift", subject, exchanged.n, drift.FEWEST, exchanged.share, 0.0, exchanged.state, text
        )

    def _scores(self, now: DayCounts, before: DayCounts) -> Iterator[Figure]:
        names = sorted({*now.scores, *before.scores})
        for name in names:
            yield self._moved(
                "score drift", name, now.sketch("scores", name), before.sketch("scores", name), len(names)
            )

    def _alerts(self, now: DayCounts, before: DayCounts) -> Iterator[Figure]:
        """Judge the cards' rate: beyond three sigma on two days running, to act; on one, or by CUSUM, to be watched."""
        days = [
            (day_counts.with_cards, day_counts.calls)
            for _, day_counts in sorted(self.reference.items())
            if day_counts.calls
        ]
        latest = [
            (day_counts.with_cards, day_counts.calls)
            for _, day_counts in sorted(self.window.items())
            if day_counts.calls
        ]
        if before.calls < _FEWEST_CALLS or now.calls < _FEWEST_VALUES or len(days) < 7:
            yield self._too_few("alert rate", "cards", now.calls, _FEWEST_VALUES)
            return
        centre = before.with_cards / before.calls
        spread = rates.day_spread(days, centre)
        z = [rates.sigmas(cards, calls, centre, spread) for cards, calls in [*days, *latest]]
        of_window = z[len(days) - 1 :]  # with the day before it
        state: State = "good"
        if any(abs(value) > 3 for value in of_window[1:]) or rates.cusum(z) > rates.CUSUM_LIMIT:
            state = "watch"
        if any(min(abs(first), abs(other)) > 3 and first * other > 0 for first, other in pairwise(of_window)):
            state = "act"
        rate = now.with_cards / now.calls
        text = f"{self.service}: {100 * rate:.1f} in 100 calls had a card, {100 * centre:.1f} before."
        yield self._figure("alert rate", "cards", now.calls, _FEWEST_VALUES, rate, centre, state, text)

    def _answers(self, now: DayCounts) -> Iterator[Figure]:
        """Yield acceptance: a service of whose cards fewer than 5 in 100 of at least 200 are accepted disturbs only."""
        answered = now.accepted + now.overridden
        if answered < _FEWEST_FEEDBACK:
            yield self._too_few("acceptance", "cards", answered, _FEWEST_FEEDBACK)
            return
        share = now.accepted / answered
        state: State = "act" if answered >= _FEWEST_FOR_PAUSE and share < 0.05 else "good"
        text = f"{self.service}: {100 * share:.1f} in 100 of {answered:,} answered cards were accepted."
        yield self._figure("acceptance", "cards", answered, _FEWEST_FEEDBACK, share, None, state, text)

    def _answers_by_rule(self, now: DayCounts) -> Iterator[Figure]:
        """Yield acceptance of each rule's cards, and of the overrides the share that says: not for this patient."""
        for rule in sorted({key.rpartition(" ")[0] for key in now.answers}):
            accepted, overridden = (now.answers.get(f"{rule} {kind}", 0) for kind in ("accepted", "overridden"))
            answered = accepted + overridden
            if answered < _FEWEST_FEEDBACK:
                yield self._too_few("acceptance", rule, answered, _FEWEST_FEEDBACK)
                continue
            share, ineligible = accepted / answered, now.answer_reasons.get(f"{rule} {_NOT_FOR_THIS_PATIENT}", 0)
            state: State = "act" if answered >= _FEWEST_FOR_PAUSE and share < 0.05 else "good"
            if answered >= _FEWEST_FOR_REASONS and ineligible > _NOT_APPLICABLE * answered:
                state = "act"
            text = f"{self.service}: {100 * share:.1f} in 100 of {answered:,} answered cards of {rule} were accepted"
            text += self._reasons_for(rule, now)
            yield self._figure("acceptance", rule, answered, _FEWEST_FEEDBACK, share, None, state, f"{text}.")

    @staticmethod
    def _reasons_for(rule: str, now: DayCounts) -> str:
        """Return the three most frequent reasons for overriding, and what was done with the orders, in words."""
        figures = [
            (times, key.removeprefix(f"{rule} "))
            for key, times in now.answer_reasons.items()
            if key.startswith(f"{rule} ")
        ]
        reasons = ", ".join(f"{reason} ({times:,})" for times, reason in sorted(figures, reverse=True)[:3])
        done = [
            (key.removeprefix(f"{rule} "), times) for key, times in now.orders.items() if key.startswith(f"{rule} ")
        ]
        orders = ", ".join(f"{what} ({times:,})" for what, times in sorted(done) if times)
        return (f"; overridden because: {reasons}" if reasons else "") + (
            f"; orders afterwards: {orders}" if orders else ""
        )

    def _rules(self, now: DayCounts, before: DayCounts) -> Iterator[Figure]:
        """Rules with a card in most calls, and rules that had cards before and have none now."""
        silent = [rule for rule in before.rules if rule not in now.rules and before.calls]
        for rule in sorted(silent):
            expected = before.rules[rule] / before.calls * now.calls
            if expected < _FEWEST_EXPECTED:
                continue
            state: State = "act" if rates.at_most(0, expected) * len(before.rules) < _UNLIKELY else "watch"
            text = f"{self.service}: the rule {rule} showed no card; {expected:,.0f} were expected."
            yield self._figure("rules", rule, now.calls, _FEWEST_CALLS, 0.0, expected, state, text)
        for rule, times in sorted(now.rules.items()):
            if now.calls >= _FEWEST_CALLS and times > now.calls / 2:
                text = f"{self.service}: the rule {rule} shows cards in {100 * times / now.calls:.0f} of 100 calls."
                yield self._figure("rules", rule, now.calls, _FEWEST_CALLS, times / now.calls, None, "watch", text)


def _above(buckets: Mapping[int, int], cut: int) -> int:
    return sum(times for bucket, times in buckets.items() if bucket > cut)


def _without(key: str) -> rates.Counted:
    return lambda day: (day.calls - day.keys.get(f"{key} given", 0), day.calls)


def _missing(feature: str) -> rates.Counted:
    """In how many calls an input was missing, of those in which it was asked for."""

    def counted(day: DayCounts) -> tuple[int, int]:
        gone = day.missing_of(feature)
        return gone, gone + sum(day.features.get(feature, {}).values())

    return counted


def _quantile(buckets: dict[int, int], share: float) -> float:
    return quantile(Sketch(buckets), share) or 0.0
