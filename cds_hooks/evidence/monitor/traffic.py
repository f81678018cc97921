"""Figures that are counts and no shares: calls by day and hour, clocks of answers, cards and what was answered."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import Any, Final

from cds_hooks.call.hold_back.reasons import WITHHELD
from cds_hooks.evidence.monitor.rows import RecordRows
from cds_hooks.evidence.monitor.window import Window
from models_onnx.monitoring.figure import Family, Figure, State
from models_onnx.monitoring.shares import fewer_by_chance, more_by_chance

FEWEST_CALLS: Final = 3_000
"""Of a rule that found nothing in so many calls it is known, with 95 % certainty, that it does in under 1 of 1,000.

The "rule of three": Hanley and Lippman-Hand, JAMA 1983;249:1743.
"""
_EXPECTED: Final = 20
_UNLIKELY, _RARE = 1e-6, 1e-3
_HOURS: Final = 24
_LATEST: Final = 3
_NAMED: Final = 20
_ANSWERS, _ANSWERS_TO_ACT, _ANSWERS_WITH_REASON = 50, 200, 100
_NOT_FOR_THIS_PATIENT: Final = "patient-ineligible"
ByHour = dict[date, list[int]]


def traffic_figures(rows: RecordRows, window: Window, catalogue: frozenset[str]) -> Iterator[Figure]:
    """Yield whether calls come as before, clocks agree, and what cards and answers say; after `change_figures`."""
    query = "SELECT client, service, part, day, hour, count(*) FROM scoped GROUP BY ALL"
    calls: dict[tuple[str, str, str], ByHour] = {}
    for client, service, site, day, hour, n in rows.connection.execute(query).fetchall():
        calls.setdefault((client, service, site), {}).setdefault(day, [0] * _HOURS)[hour] += n
    for key, days in calls.items():
        yield from _calls(key, days, window)
    yield from _uncounted(rows.connection)
    yield from _clocks_of_answers(rows.connection, window)
    yield from _answers(rows.connection)
    yield from _burden(rows.connection)
    yield from _silent_rules(rows.connection)
    yield from _rules_without_findings(rows.connection, catalogue)


# Calls


def _calls(key: tuple[str, str, str], days: ByHour, window: Window) -> Iterator[Figure]:
    client, service, site = key
    where = f" ({site})" if site else ""
    wanted = [window.start + timedelta(days=place) for place in range(window.days)]
    begin, end = window.reference((client, service, site, "calls", "calls"), window.start)
    past = {day: hours for day, hours in days.items() if begin <= day < end}
    today = window.at.date() if window.at is not None else None
    full = {day: window.at.hour if window.at is not None and day == today else _HOURS for day in wanted}
    came = {day: sum(days.get(day, [0] * _HOURS)[: full[day]]) for day in wanted}
    usual = {day: _usual(past, day) for day in wanted}
    expected = sum(sum(usual[day][: full[day]]) for day in wanted)
    yield _volume(key, "calls", sum(came.values()), expected, f"{service}{where}")
    if today is not None and today in full and (hours := range(max(0, full[today] - _LATEST), full[today])):
        came_today, then = days.get(today, [0] * _HOURS), sum(usual[today][hour] for hour in hours)
        latest = sum(came_today[hour] for hour in hours)
        yield _volume(key, "calls today", latest, then, f"{service}{where}, since {hours.start:02}:00 UTC")
    whole = [day for day in wanted if day != today]
    by_hour = [sum(days.get(day, [0] * _HOURS)[hour] for day in whole) for hour in range(_HOURS)]
    yield from _quiet_hours(key, by_hour, [sum(usual[day][hour] for day in whole) for hour in range(_HOURS)])


def _usual(past: ByHour, day: date) -> list[float]:
    """Return the calls of each hour on the same weekdays before; on all days where there is only one of these."""
    alike = [hours for other, hours in past.items() if other.weekday() == day.weekday()]
    alike = alike if len(alike) > 1 else list(past.values())
    return [sum(of) / len(alike) for of in zip(*alike, strict=True)] if alike else [0.0] * _HOURS


def _volume(key: tuple[str, str, str], subject: str, calls: int, expected: float, words: str) -> Figure:
    client, service, site = key
    if expected < _EXPECTED:
        return _too_few(client, service, "calls", subject, round(expected), _EXPECTED, site)
    chance, share = fewer_by_chance(calls, expected), calls / expected
    state: State = (
        "act" if chance < _UNLIKELY and share < 0.5 else "watch" if chance < _RARE and share < 0.8 else "good"
    )
    if share > 1.5 and more_by_chance(calls, expected) < _UNLIKELY:
        state = "watch"
    text = f"{words}: {calls:,} calls came where {expected:,.0f} were expected."
    return Figure(client, service, "calls", subject, state, calls, _EXPECTED, calls, expected, text, site, "volume")


def _quiet_hours(key: tuple[str, str, str], calls: list[int], then: list[float]) -> Iterator[Figure]:
    """Yield the hours of the day in which calls stay away over the whole window, though they come at other hours."""
    client, service, site = key
    # When the clocks change, all calls come an hour earlier or later by UTC: the hours around count, too.
    least = [min(then[hour - 1], then[hour], then[(hour + 1) % _HOURS]) for hour in range(_HOURS)]
    judged = sum(count >= _EXPECTED for count in least)
    if not judged or sum(calls) < 0.5 * sum(then):  # of calls that stay away at all hours the volume tells
        return
    quiet = [
        hour
        for hour in range(_HOURS)
        if least[hour] >= _EXPECTED
        and calls[hour] < 0.5 * least[hour]
        and fewer_by_chance(calls[hour], least[hour]) * judged < _UNLIKELY
    ]
    came, expected = sum(calls[hour] for hour in quiet), sum(then[hour] for hour in quiet)
    hours = ", ".join(f"{hour:02}:00" for hour in quiet)
    text = f"{service}: in the hours from {hours} (UTC) {came:,} calls came where {expected:,.0f} were expected."
    text = text if quiet else f"{service}: calls come at all hours of the day at which they came before."
    state: State = "act" if quiet else "good"
    yield Figure(client, service, "calls", "hours", state, sum(calls), _EXPECTED, came, expected, text, site, "volume")


def _uncounted(connection: Any) -> Iterator[Figure]:
    """Yield an incident where calls could not be read: what is not seen of them may be anything."""
    query = (
        "SELECT client, service, count(*), count(*) FILTER (NOT is_counted) FROM span WHERE is_now GROUP BY ALL "
        "HAVING count(*) FILTER (NOT is_counted) > 0"
    )
    for client, service, calls, uncounted in connection.execute(query).fetchall():
        text = f"{service}: {uncounted} of {calls} calls could not be counted; no figure has their cards."
        yield Figure(client, service, "errors", "calls not counted", "act", calls, 1, uncounted / calls, 0.0, text,
                     about="not counted")  # fmt: skip


def _clocks_of_answers(connection: Any, window: Window) -> Iterator[Figure]:
    """Yield whether answers arrive before they were given, or the quickest of them arrive later than before."""
    query = (
        "SELECT client, service, count(*) FILTER (is_now), count(*) FILTER (is_now AND seconds < -300), "
        "quantile_cont(seconds, 0.05) FILTER (is_now), quantile_cont(seconds, 0.05) FILTER (NOT is_now) FROM ("
        "SELECT *, received_at::DATE >= $start AS is_now FROM answers WHERE seconds IS NOT NULL "
        "AND received_at::DATE BETWEEN $first AND $last) GROUP BY ALL"
    )
    days = {"start": window.start, "first": window.first, "last": window.last}
    subject = "clock of the client"
    for client, service, n, ahead, quickest, before in connection.execute(query, days).fetchall():
        if n < _ANSWERS:
            yield _too_few(client, service, "calls", subject, n, _ANSWERS)
            continue
        share = ahead / n
        late = before is not None and quickest - before > 300
        state: State = "act" if share >= 0.10 or (late and share < 0.02) else "watch" if share >= 0.02 else "good"
        text = f"the quickest answers arrive {quickest:,.0f} seconds after they were given"
        text += f", {before:,.0f} before" if before is not None else ""
        text += "; a clock is wrong, or they are sent late" if late else ""
        if share >= 0.02:
            text = f"{100 * share:.0f} in 100 answers are dated over 5 minutes after they arrived: its clock is ahead"
        yield Figure(client, service, "calls", subject, state, n, _ANSWERS, share, 0.0, f"{service}: {text}.",
                     about=subject)  # fmt: skip


# Cards and what was answered

_CARDS: Final = """
CREATE OR REPLACE TEMP TABLE shown AS
SELECT DISTINCT s.client, s.service, s.part, s.day, s.is_now, f.name AS card, coalesce(nullif(f.text, ''), s.service)
       AS rule, a.outcome, a.reason
FROM scoped s JOIN facts f ON f.sequence = s.sequence AND f.kind = 'card'
LEFT JOIN (SELECT card, arg_min(outcome, sequence) AS outcome, arg_min(reason, sequence) AS reason FROM answers
           GROUP BY card) a ON a.card = f.name
"""


def _answers(connection: Any) -> Iterator[Figure]:
    """Yield what was answered to the cards of each service and rule: accepted, overridden, ignored."""
    connection.execute(_CARDS)
    counts = (
        "count(DISTINCT card), count(DISTINCT card) FILTER (outcome = 'accepted'), "
        "count(DISTINCT card) FILTER (outcome IS NOT NULL AND outcome <> 'accepted'), "
        f"count(DISTINCT card) FILTER (reason = '{_NOT_FOR_THIS_PATIENT}')"
    )
    for subject in ("'cards'", "rule"):
        query = f"SELECT client, service, part, {subject}, {counts} FROM shown WHERE is_now GROUP BY ALL"  # noqa: S608
        for row in connection.execute(query).fetchall():
            yield _acceptance(row[:4], row[4:], _reasons(connection, row[:4]))


def _reasons(connection: Any, of: tuple[str, str, str, str]) -> str:
    """Return the three most frequent reasons for overriding, and what was done with the orders, in words."""
    client, service, part, subject = of
    query = (
        "SELECT coalesce(reason, 'no reason') || ' (' || count(DISTINCT card) || ')' FROM shown WHERE is_now "
        "AND outcome IS NOT NULL AND outcome <> 'accepted' AND client = ? AND service = ? AND part = ? "
        "AND ? IN (rule, 'cards') GROUP BY reason ORDER BY count(DISTINCT card) DESC, 1 LIMIT 3"
    )
    reasons = ", ".join(words for (words,) in connection.execute(query, [client, service, part, subject]).fetchall())
    query = (
        "SELECT value || ' (' || count(*) || ')' FROM (SELECT arg_max(value, sequence) AS value, subject FROM outcomes "
        "WHERE kind = 'order' GROUP BY subject) JOIN shown ON subject LIKE left(card, 34) || '%' WHERE is_now "
        "AND client = ? AND service = ? AND part = ? AND ? IN (rule, 'cards') GROUP BY value ORDER BY 1"
    )
    orders = ", ".join(words for (words,) in connection.execute(query, [client, service, part, subject]).fetchall())
    return (f"; overridden because: {reasons}" if reasons else "") + (
        f"; orders afterwards: {orders}" if orders else ""
    )


def _acceptance(of: tuple[str, str, str, str], counts: tuple[int, int, int, int], reasons: str) -> Figure:
    """A service or rule of whose answered cards hardly any is accepted, or many are for other patients, disturbs."""
    (client, service, site, subject), (shown, accepted, overridden, ineligible) = of, counts
    answered, named = accepted + overridden, f"answers to {subject}"
    if answered < _ANSWERS:
        return _too_few(client, service, "alerts", named, answered, _ANSWERS, site)
    share = accepted / answered
    state: State = "act" if answered >= _ANSWERS_TO_ACT and share < 0.05 else "good"
    if answered >= _ANSWERS_WITH_REASON and ineligible > 0.3 * answered:
        state = "act"
    where = f" ({site})" if site else ""
    text = (
        f"{service}{where}: of {shown:,} {subject if subject == 'cards' else f'cards of {subject}'} {accepted:,} were "
        f"accepted, {overridden:,} overridden and {shown - answered:,} not answered{reasons}."
    )
    return Figure(client, service, "alerts", named, state, answered, _ANSWERS, share, None, text, site, named)


def _burden(connection: Any) -> Iterator[Figure]:
    """Yield how many cards a patient and a user get on a day; the record has no encounters."""
    query = (
        "SELECT client, service, part, count(*), sum(cards), sum(cards) / count(DISTINCT (patient, day)), "
        "sum(cards) / nullif(count(DISTINCT (person, day)), 0) FROM scoped WHERE is_now "
        "GROUP BY ALL HAVING sum(cards) > 0"
    )
    for client, service, site, calls, cards, of_patient, of_user in connection.execute(query).fetchall():
        users = f", {of_user:.2g} for each user and day" if of_user is not None else ""
        where = f" ({site})" if site else ""
        text = f"{service}{where}: {cards:,} cards, {of_patient:.2g} for each patient and day{users}."
        yield Figure(client, service, "alerts", "cards for each patient and user", "good", calls, 1, of_patient, None,
                     text, site, "burden")  # fmt: skip


def _silent_rules(connection: Any) -> Iterator[Figure]:
    """Yield rules that had cards before and have none now, and rules with a card in most calls."""
    query = (
        "SELECT client, service, rule, count(DISTINCT card) FILTER (is_now), count(DISTINCT card) FILTER (NOT is_now) "
        "FROM shown WHERE part = '' AND rule <> service GROUP BY ALL"
    )
    calls = {
        (client, service): (now, before)
        for client, service, now, before in connection.execute(
            "SELECT client, service, count(*) FILTER (is_now), count(*) FILTER (NOT is_now) FROM span GROUP BY ALL"
        ).fetchall()
    }
    rules = connection.execute(query).fetchall()
    for client, service, rule, now, before in rules:
        n, m = calls[client, service]
        expected = before / m * n if m else 0.0
        if expected >= _EXPECTED and not now:
            state: State = "act" if fewer_by_chance(0, expected) * len(rules) < _UNLIKELY else "watch"
            text = f"{service}: the rule {rule} showed no card; {expected:,.0f} were expected."
            yield Figure(client, service, "alerts", rule, state, n, 200, 0.0, expected, text, about=rule)
        elif n >= 200 and now > n / 2:
            text = f"{service}: the rule {rule} shows cards in {100 * now / n:.0f} of 100 calls."
            yield Figure(client, service, "alerts", rule, "watch", n, 200, now / n, None, text, about=rule)


def _rules_without_findings(connection: Any, catalogue: Collection[str]) -> Iterator[Figure]:
    """Yield for each client how many rules of the catalog found nothing; a finding that was withheld counts."""
    withheld = ", ".join(f"'{code}'" for code in sorted(WITHHELD))
    query = (
        "SELECT client, service, CASE kind WHEN 'card' THEN text ELSE name END, count(*) FROM span JOIN facts "  # noqa: S608
        f"USING (sequence) WHERE kind = 'card' OR (kind = 'silence' AND text IN ({withheld})) GROUP BY ALL"
    )
    rules_of = defaultdict[str, set[str]](set)
    services = defaultdict[str, set[str]](set)
    for client, service, rule, _ in connection.execute(query).fetchall():
        if rule in catalogue:
            rules_of[client].add(rule)
            services[client].add(service)
    calls = dict[tuple[str, str], int]()
    for client, service, n in connection.execute("SELECT client, service, count(*) FROM span GROUP BY ALL").fetchall():
        calls[client, service] = n
    for client, rules in sorted(rules_of.items()):
        yield _rules_figure(client, sum(calls[client, service] for service in services[client]), rules, catalogue)


def _rules_figure(client: str, calls: int, rules: Collection[str], catalogue: Collection[str]) -> Figure:
    subject, silent = "rules without a finding", sorted(set(catalogue) - set(rules))
    if calls < FEWEST_CALLS:
        return _too_few(client, "all services", "alerts", subject, calls, FEWEST_CALLS)
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    text = (
        f"{len(silent)} of {len(catalogue)} rules found nothing in {calls:,} calls, so each finds something in "
        f"fewer than {3000 / calls:.2g} of 1,000 (95 % certainty): {', '.join(silent[:_NAMED])}{more}."
    )
    state: State = "watch" if silent else "good"
    return Figure(client, "all services", "alerts", subject, state, calls, FEWEST_CALLS, len(silent) / len(catalogue),
                  None, text, about=subject)  # fmt: skip


def _too_few(client: str, service: str, family: Family, subject: str, n: int, minimum: int, site: str = "") -> Figure:
    text = f"{service}, {subject}: {n:,} counted, {minimum:,} are needed."
    return Figure(client, service, family, subject, "insufficient", n, minimum, None, None, text, site, subject)
