"""Computes a simulation: the cards of charts or of recorded decisions, as the site is now and with the change.

A rule is tried switched on or off, on the charts of a folder (each order put back to the moment it was written, as
`cds-hooks rules simulate` does) or on recorded decisions. A model is tried with another version of it, or with another
share of the patients for whom its cards are shown, on recorded decisions (as `cds-hooks decisions replay --against`).
Both sides are computed now, so that nothing else that changed in the meantime is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.simulations.simulation import Example, Result, Simulation
from cds_hooks.replay.candidates import Change, NotReplayed, candidate_site, changes
from cds_hooks.replay.simulated_orders import SimulatedFinding, SimulatedOrder, SimulatedOrders, simulate
from cds_hooks.replay.site import Site, open_site
from cds_hooks.settings import Settings, with_settings
from cds_hooks.settings.checks import parts_of
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from fhir.record.charts import Chart, files_of, read_charts

_ORDERS_OF_A_PATIENT: Final = 10
_OF_CHARTS: Final = "order-safety, order-sign"

Progress = Callable[[int, int], None]
"""Is told how many of how many charts or decisions are judged; raises to stop."""


def run_simulation(configured: Settings, simulation: Simulation, charts: Path | None, progress: Progress) -> Result:
    """Return what the change does; minutes of processor time.

    `charts` is the folder that `simulation.folder` names.

    Raises:
        NoCandidate, ArtifactRefused, RulesFileError, RecordUnavailable, ChartsRefused: something cannot be used.
    """
    now, changed = open_site(configured), _changed_site(configured, simulation)
    if charts is not None:
        return _on_charts(now, changed, simulation, charts, progress)
    return _on_record(now, changed, configured.database_url, simulation, progress)


def _changed_site(configured: Settings, simulation: Simulation) -> Site:
    if simulation.kind == "rule":
        return open_site(configured, tried={simulation.name: simulation.change == "speaks"})
    if simulation.change == "share":
        shares = parts_of(configured.alert_share or "")
        other_parts = [part for part in shares if not part.startswith(f"{simulation.name}=")]
        text = ",".join([*other_parts, f"{simulation.name}={int(simulation.value) / 100}"])
        return open_site(with_settings(configured, {"alert_share": text}))
    folder = ModelFiles(configured.models_folder).folder(simulation.value)
    return candidate_site(configured, [str(folder)])


# Recorded decisions


def _on_record(now: Site, changed: Site, url: str, simulation: Simulation, progress: Progress) -> Result:
    result = Result()
    is_ours = _about(simulation)
    for change in changes(
        now, changed, url, _with_progress(_decisions(now, url, simulation), simulation.most, progress)
    ):
        if isinstance(change, NotReplayed):
            result.leave_out(change.because)
            continue
        how = result.take(change.service, change.group, Counter(change.before), Counter(change.after), is_ours)
        result.other_scores += change.is_other
        if how or change.is_other:
            result.keep(Example(how or "other", _what(change, is_ours), change.group, change.decision))
    return result


def _what(change: Change, is_ours: Callable[[str], bool]) -> str:
    ours = [card for card in (*change.more, *change.fewer, *change.after) if is_ours(card)]
    return ours[0] if ours else change.service


def _about(simulation: Simulation) -> Callable[[str], bool]:
    """Return whether a card that is about this is one of the rule or model."""
    if simulation.kind == "model":
        return lambda what: what == simulation.name
    return lambda what: what.partition("/")[0] == simulation.name


def _decisions(site: Site, url: str, simulation: Simulation) -> Iterator[Decision]:
    """Return the newest decisions of the window, of the services that can show what is tried."""
    services = {name for name, service in site.services.items() if _can_show(service.models, simulation)}
    until = site.components.settings.as_of or datetime.now(UTC)
    since = int((until - timedelta(days=simulation.days)).timestamp() * 1e6)
    decisions = find_decisions(url, DecisionFilter(since=since), min(500, simulation.most))
    return islice(
        (decision for decision in decisions if decision.service in services and decision.outcome != "error"),
        simulation.most,
    )


def _can_show(models: Iterable[object], simulation: Simulation) -> bool:
    """Return whether a service asks the model; of a rule, whether it asks no model, as all that judge orders."""
    ids = [getattr(getattr(model, "manifest", None), "id", "") for model in models]
    return simulation.name in ids if simulation.kind == "model" else not ids


def _with_progress(decisions: Iterable[Decision], most: int, progress: Progress) -> Iterator[Decision]:
    for number, decision in enumerate(decisions):
        progress(number, most)
        yield decision


# Charts of a folder


def _on_charts(now: Site, changed: Site, simulation: Simulation, folder: Path, progress: Progress) -> Result:
    result = Result()
    is_ours = _about(simulation)
    most = min(simulation.most, len(files_of(folder)) if not any(folder.rglob("*.ndjson*")) else simulation.most)
    for number, chart in enumerate(
        islice(read_charts(folder, lambda _: result.leave_out("the file cannot be read as FHIR")), simulation.most)
    ):
        progress(number, most)
        orders = list(zip(_judged(now, chart), _judged(changed, chart), strict=True))
        result.charts += bool(orders)
        for before, after in orders:
            ours = [finding for finding in (*after.findings, *before.findings) if is_ours(_card(finding))]
            how = result.take(_OF_CHARTS, before.group, _cards(before), _cards(after), is_ours)
            if how and ours:
                on = datetime.fromtimestamp(before.instant, UTC).date().isoformat()
                text = f"{ours[0].drug}: {ours[0].summary}"
                result.keep(Example(how, _card(ours[0]), before.group, text=text, on=on))
    return result


def _judged(site: Site, chart: Chart) -> list[SimulatedOrder]:
    """Return the orders of a chart, judged as the site would: as for a client and a care unit that no switch names."""
    call = CheckedCall(Caller("", chart.id, "", ""), 0.0, site.components.releases.current, site.governance.site)
    suppress = site.governance.check_findings(call)
    simulation = SimulatedOrders(each_order=[])
    simulate(simulation, [chart.patient, *chart.resources], _ORDERS_OF_A_PATIENT, suppress)
    return simulation.each_order or []


def _cards(order: SimulatedOrder) -> Counter[str]:
    return Counter(map(_card, order.findings))


def _card(finding: SimulatedFinding) -> str:
    return f"{finding.rule}/{finding.band}"
