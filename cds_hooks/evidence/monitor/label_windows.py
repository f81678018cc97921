"""Estimates with what happened, by SQL: each model's mature predictions and recent ones, and its cohort beside both."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cds_hooks.call.services import Service
from cds_hooks.call.services._model import ChartModel, SiteThresholds
from cds_hooks.evidence.monitor.changes import GROUPS
from cds_hooks.evidence.monitor.rows import RecordRows
from cds_hooks.evidence.monitor.window import GROWS, Window
from cds_hooks.evidence.outcomes.labels import DAY, Label, Labels
from models_onnx.artifact.manifest import Manifest
from models_onnx.monitoring.alerting import Deployed
from models_onnx.monitoring.figure import SCORES, Figure, State
from models_onnx.monitoring.label_judging import ModelWindow, Released
from models_onnx.monitoring.performance import Sample
from models_onnx.monitoring.shares import chance, distance

_PREDICTIONS: Final = """
CREATE OR REPLACE TEMP TABLE span AS
SELECT c.*, f.name AS model, f.value AS estimate, c.decided_at::DATE AS day,
       CASE WHEN o.value IN ('yes', 'no') THEN (o.value = 'yes')::DOUBLE
            WHEN done.until >= c.decided_at::DATE + $complete THEN 0.0 END AS happened
FROM calls c JOIN facts f USING (sequence)
LEFT JOIN (SELECT decision, arg_max(value, sequence) AS value FROM outcomes WHERE kind = 'event' AND subject = $model
           GROUP BY decision) o ON o.decision = c.id
LEFT JOIN (SELECT client, arg_max(value, sequence)::DATE AS until FROM outcomes WHERE kind = 'complete'
           AND subject = $event GROUP BY client) done ON done.client = c.client
WHERE f.kind = 'score' AND split_part(f.name, '@', 1) = $model AND c.decided_at::DATE BETWEEN $first AND $last
"""
_FEWEST: Final = 200
_FEWEST_VALUES: Final = 100
_RANGE: Final = (0.03, 0.10)
_COHORT: Final = (0.10, 0.50)
"""From which share of estimates or values on that lie otherwise than in the cohort there is something to watch, and to
act on: a site has other patients than a cohort; half of them are another population or unit (the project's choice)."""


_BAR: Final = 5.0
"""Cards for one event where a model declares no number: a card's PPV is to be 0.2 or more (responsible-ai.md, 4.2)."""
_CLOSE: Final = 1e-6
ThresholdsInForce = Mapping[tuple[str, str], Deployed]
"""By service and model the threshold from which on there is a card."""


def thresholds_in_force(services: Iterable[Service], site: SiteThresholds) -> ThresholdsInForce:
    """Return the thresholds of these services; without one that goes by age, or whose share was not tested."""
    advisors = [(service.id, advisor) for service in services for advisor in service.advisors]
    asked = [(service, advisor.of_chart) for service, advisor in advisors if advisor.of_chart is not None]
    deployed = {
        (service, model.manifest.id): _deployed(of_chart, model.manifest, site)
        for service, of_chart in asked
        for model in of_chart.loaded
    }
    return {of: threshold for of, threshold in deployed.items() if threshold is not None}


def _deployed(of_chart: ChartModel, manifest: Manifest, site: SiteThresholds) -> Deployed | None:
    if of_chart.compares_within_ages(manifest, site):
        return None
    share, tested = of_chart.share_for(manifest, site), manifest.thresholds
    row = next((row for row in tested.table if abs(row.capacity - share) < _CLOSE), None)
    if row is None:
        return None
    return Deployed(row.probability, 1 / ((tested.alerts_per_event or _BAR) - 1), row.net_benefit, row.sensitivity)


def label_figures(rows: RecordRows, labels: Labels, window: Window, thresholds: ThresholdsInForce) -> Iterator[Figure]:
    """Yield the figures of each model at each client and service."""
    for label in labels.values():
        mature = window.last - timedelta(days=ceil(label.wait / DAY))
        first = mature - timedelta(days=window.label_days - 1)
        oldest = first - timedelta(days=window.label_days)
        named = {"model": label.model, "event": label.event or "", "complete": ceil(label.horizon_days) + 1}
        recent_from = max(mature + timedelta(days=1), window.start - timedelta(days=window.days * (GROWS - 1)))
        rows.connection.execute(_PREDICTIONS, {**named, "first": min(oldest, recent_from), "last": window.last})
        rows.connection.execute(GROUPS)
        query = "SELECT DISTINCT client, service, model FROM span ORDER BY ALL"
        for of in rows.connection.execute(query).fetchall():
            deployed = thresholds.get((of[1], label.model))
            model_window = _window(rows.connection, of, label, (first, mature), window, deployed)
            yield from model_window.figures()
            yield from _against_cohort(model_window)
        yield from _inputs_against_cohort(rows.connection, label, window)
        yield from _outside_training(rows.connection, label, window)


def _window(
    connection: Any,
    of: tuple[str, str, str],
    label: Label,
    mature: tuple[date, date],
    window: Window,
    deployed: Deployed | None,
) -> ModelWindow:
    client, service, model = of
    first, last = mature
    columns = connection.execute(
        "SELECT sequence, day, estimate, happened, outcome = 'cards' AS with_card FROM span "
        "WHERE client = ? AND service = ? AND model = ? ORDER BY sequence", of,
    ).fetchnumpy()  # fmt: skip
    # DuckDB masks what is NULL
    happened = np.ma.filled(columns["happened"].astype(float), np.nan)
    day = columns["day"].astype("datetime64[D]")
    every = Sample(np.asarray(columns["estimate"], dtype=float), happened, np.asarray(columns["with_card"], dtype=bool))
    is_now = (day >= np.datetime64(first)) & (day <= np.datetime64(last))
    recent = day >= np.datetime64(window.start)
    if recent.sum() < _FEWEST:
        recent = day > np.datetime64(max(last, window.start - timedelta(days=window.days * (GROWS - 1) + 1)))
    rows = connection.execute(
        "SELECT sequence, grp FROM grouped WHERE grp <> 'all' AND sequence IN (SELECT sequence FROM span "
        "WHERE client = ? AND service = ? AND model = ?)", of,
    ).fetchnumpy()  # fmt: skip
    members = {group: rows["sequence"][rows["grp"] == group] for group in sorted(set(rows["grp"]))}
    groups = {group: np.isin(columns["sequence"][is_now], of_group) for group, of_group in members.items()}
    released = Released(label.area, label.bins, deployed.sensitivity if deployed else None, deployed)
    return ModelWindow(client, service, model, f"predictions of {first} to {last}", every.where(is_now), groups,
                       every.where(day < np.datetime64(first)), every.estimates[recent], released)  # fmt: skip


# Against the cohort of the release, which stays as it is


def _against_cohort(model: ModelWindow) -> Iterator[Figure]:
    """Yield whether estimates lie as those of the cohort that the model was released with."""
    bins, subject = [row for row in model.released.bins if row.count], f"{model.model} against its cohort"
    if not bins or len(model.recent) < _FEWEST:
        return
    then = np.array([row.count for row in bins])
    place = np.searchsorted([row.probability_low for row in bins], model.recent, side="right") - 1
    now = np.bincount(np.clip(place, 0, len(bins) - 1), minlength=len(bins))
    state, size = _like_cohort(now, then)
    text = f"{model.service}: {100 * size:.0f} in 100 estimates of {model.model} differ from its cohort."
    yield Figure(model.client, model.service, "drift", subject, state, len(model.recent), _FEWEST, size, 0.0, text,
                 about=SCORES)  # fmt: skip


def _like_cohort(now: NDArray[np.int64], then: NDArray[np.int64]) -> tuple[State, float]:
    size, watch, act = distance(now, then), *_COHORT
    return ("act" if size >= act else "watch" if size >= watch and chance(now, then) < 1e-3 else "good"), size


_INPUTS: Final = """
SELECT client, service, part, model, name, value, count(*) FROM (
    SELECT sequence, client, service, '' AS part, model, day FROM span
    UNION ALL SELECT sequence, client, service, site, model, day FROM span WHERE site <> '')
JOIN facts USING (sequence) WHERE kind = 'input' AND day BETWEEN ? AND ? GROUP BY ALL
"""


def _inputs_against_cohort(connection: Any, label: Label, window: Window) -> Iterator[Figure]:
    """Yield whether the values of each input lie as those of the cohort that the model was released with."""
    days = [window.start, window.last]
    if not label.distributions:
        query = "SELECT client, service, model, count(*) FROM span WHERE day BETWEEN ? AND ? GROUP BY ALL"
        for client, service, model, n in connection.execute(query, days).fetchall():
            text = f"{service}: the inputs of {model} are not compared with its cohort: its manifest has none of them."
            yield Figure(client, service, "drift", f"inputs of {model} against its cohort", "insufficient", n,
                         _FEWEST_VALUES, None, None, text)  # fmt: skip
    counts: dict[tuple[str, ...], NDArray[np.int64]] = {}
    for *of, value, n in connection.execute(_INPUTS, days).fetchall() if label.distributions else ():
        if (cohort := label.distributions.get(of[-1])) is not None:
            now = counts.setdefault(tuple(of), np.zeros(len(cohort.shares), dtype=np.int64))
            now[np.searchsorted(cohort.cuts, value)] += n
    for (client, service, site, model, name), now in counts.items():
        if now.sum() >= _FEWEST_VALUES:
            cohort, where = label.distributions[name], f" ({site})" if site else ""
            state, size = _like_cohort(now, np.rint(np.array(cohort.shares) * cohort.n).astype(np.int64))
            text = f"{service}{where}: {100 * size:.0f} in 100 values of {name} differ from the cohort of {model}."
            yield Figure(client, service, "drift", f"{name} against the cohort of {model}", state, int(now.sum()),
                         _FEWEST_VALUES, size, 0.0, text, site, name)  # fmt: skip


def _outside_training(connection: Any, label: Label, window: Window) -> Iterator[Figure]:
    """Yield the inputs that lie outside the range that the model was trained on."""
    query = (
        "SELECT client, service, f.name, count(*), count(*) FILTER (f.value NOT BETWEEN r.low AND r.high) FROM span "
        "JOIN facts f USING (sequence) JOIN ranges r ON r.name = f.name "
        "WHERE f.kind = 'input' AND day >= ? GROUP BY ALL"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE ranges (name VARCHAR, low DOUBLE, high DOUBLE)")
    if not label.ranges:
        return
    connection.executemany("INSERT INTO ranges VALUES (?, ?, ?)", [(n, *limits) for n, limits in label.ranges.items()])
    watch, act = _RANGE
    for client, service, name, n, outside in connection.execute(query, [window.start]).fetchall():
        subject, share = f"trained range of {name}", outside / n
        if n < 100:
            continue
        state: State = "act" if share >= act else "watch" if share >= watch else "good"
        text = (
            f"{service}: {100 * share:.1f} in 100 values of {name} lie outside the range that {label.model} was "
            f"trained on ({label.ranges[name][0]:.4g} to {label.ranges[name][1]:.4g})."
        )
        yield Figure(client, service, "drift", subject, state, n, 100, share, 0.0, text, about=name)
