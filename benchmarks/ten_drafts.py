"""Ten drafts for a patient with 30 medications and 300 results: signed at once, and signed after ten selections."""

from datetime import UTC, datetime
from statistics import median

from rich.table import Column, Table

from benchmarks.in_process import service_in_process
from benchmarks.subject import discover
from benchmarks.visits import MARK, bodies_of, take_times
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from tests.cards.rules.large_call import chart_and_drafts


def ten_drafts_times(rounds: int) -> Table:
    """Milliseconds of processor time, the decision committed: median and least of so many rounds."""
    bundle, drafts = chart_and_drafts(datetime.now(UTC))
    chart = Chart(resources_of(bundle))
    milliseconds: dict[str, list[float]] = {"first": [], "ten selections": [], "after the selects": []}
    with service_in_process() as service:
        entries = [entry for entry in discover(service.call_json) if "order-safety" in entry["id"]]
        (sign,) = bodies_of(entries, "order-sign", chart, drafts)
        selections = [next(bodies_of(entries, "order-select", chart, drafts[:n])) for n in range(1, len(drafts) + 1)]
        for number in range(0, 2 * rounds, 2):
            for name, calls in zip(milliseconds, ([sign], selections, [sign]), strict=True):
                patient = b"--%07d" % (number + (name != "first"))
                bodies = [(path, body.replace(MARK, patient)) for path, body in calls]
                milliseconds[name].append(sum(take_times(service, bodies)))
    rows = Table("ten drafts", *(Column(name, justify="right") for name in ("median ms", "least ms")))
    for name, times in milliseconds.items():
        rows.add_row(name, f"{median(times):.2f}", f"{min(times):.2f}")
    return rows
