"""Builds the calls of the corpus: every service that discovery lists, over samples, charts and cases, whole and broken.

The calls are built once and kept in a file, so that both commits are sent the same bytes. All dates count from one
fixed clock, and nothing is random: the same commit builds the same file again.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import msgspec

from benchmarks.answers.damage import broken_requests, damaged_prefetches
from benchmarks.answers.exchange import CLOCK, Call, Json, Step
from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import (
    Chart,
    ChartError,
    Resource,
    days_to_today,
    move_chart,
    move_dates,
    open_drafts,
    read_chart,
)
from cds_hooks.kit.simulator.request import CardOutcome, build_request, draft_from_chart, drafts_for
from cds_hooks.package_tests.contracts import ORDER_HOOKS, chart_of

ORIGINAL_DATES_OF_EVERY = 2
"""Of every second chart the calls are also made with the dates of the chart: nearly all of its values are too old."""
OWN_ORDERS = 3
ORDERS_AT_ONCE = 6
DAMAGED = ("ckd4-metformin", "going-home-diabetes", "messy-record", "af-apixaban-dose")


@dataclass(frozen=True)
class Corpus:
    """What the calls are built from: the discovery of a server, and the data folder."""

    services: list[Json]
    data: Path

    def calls(self) -> Iterator[Call]:
        """Every call, the ones that leave something behind in the server (feedback) last."""
        yield from self._of_samples()
        yield from self._of_cases()
        yield from self._of_outside()
        yield from self._of_review_charts()
        yield from self._of_damage()
        yield from self._of_charts()
        yield from self._with_feedback()

    def _of_samples(self) -> Iterator[Call]:
        drafts = sorted({order.draft for sample in list_samples() for order in sample.orders})
        for sample in list_samples():
            chart = chart_of(sample.id, CLOCK)
            yield from self._about_patient("sample", sample.id, chart)
            for draft in drafts:
                hooks = ORDER_HOOKS if draft in {order.draft for order in sample.orders} else ("order-sign",)
                yield from self._about_orders("sample", f"{sample.id} {draft}", chart, _draft(draft), hooks)

    def _of_charts(self) -> Iterator[Call]:
        for number, path in enumerate(sorted(self.data.glob("fhir/*/*.json.gz"))):
            chart, name = read_chart(path), path.name.removesuffix(".json.gz")
            today = move_chart(chart, days_to_today(chart, CLOCK))
            yield from self._about_patient("chart today", name, today)
            yield from self._own_orders("chart today", name, today)
            if number % ORIGINAL_DATES_OF_EVERY == 0:
                yield from self._about_patient("chart original", name, chart)
                yield from self._own_orders("chart original", name, chart)

    def _own_orders(self, kind: str, name: str, chart: Chart) -> Iterator[Call]:
        """Orders that the chart holds already, drafted once more: some alone, and several at once."""
        orders = [
            resource
            for resource in chart.resources
            if resource.get("resourceType") == "MedicationRequest" and resource.get("id")
        ]
        spread = orders[:: max(1, len(orders) // ORDERS_AT_ONCE)][:ORDERS_AT_ONCE]
        drafted = [draft_from_chart(chart, f"MedicationRequest/{order['id']}") for order in spread]
        for number, draft in enumerate(drafted[:OWN_ORDERS]):
            yield from self._about_orders(kind, f"{name} order {number}", chart, draft, ("order-sign",))
        together = [resource for draft in drafted for resource in draft]
        yield from self._about_orders(kind, f"{name} {len(drafted)} orders", chart, together, ORDER_HOOKS)

    def _of_cases(self) -> Iterator[Call]:
        for path in sorted(self.data.glob("cases/order-select/*.json")):
            case = json.loads(path.read_text())
            days = (CLOCK - datetime.fromisoformat(case["as_of"])).days
            today = move_dates(case["request"], days)
            for hook in ORDER_HOOKS:
                yield self._call("case", f"{path.stem} {hook} today", "order-safety", _at_hook(today, hook))
            yield self._call("case", f"{path.stem} original dates", "order-safety", case["request"])

    def _of_outside(self) -> Iterator[Call]:
        for path in sorted(self.data.glob("cases/outside/*/*.json")):
            if path.name.endswith("published-response.json"):
                continue
            name, text = f"{path.parent.name}/{path.stem}", path.read_text(errors="replace")
            yield _raw("outside", f"{name} as found", "order-safety", text)
            try:
                request = json.loads(text)
                days = days_to_today(read_chart(path), CLOCK)
            except (ValueError, ChartError):
                continue
            for entry in self.services if request.get("hook") in ORDER_HOOKS else ():
                if entry["hook"] == request["hook"]:
                    yield self._call("outside", f"{name} {entry['id']} today", entry["id"], move_dates(request, days))

    def _of_review_charts(self) -> Iterator[Call]:
        for path in sorted(self.data.glob("cases/review-*/*.chart.json")):
            chart = read_chart(path)
            days = days_to_today(chart, CLOCK)
            name, today = path.name.removesuffix(".chart.json"), move_chart(chart, days)
            yield from self._about_patient("review chart", name, today)
            draft = path.with_name(f"{name}.draft.json")
            if draft.exists():
                drafts = move_dates(open_drafts(draft, CLOCK), days)
                yield from self._about_orders("review chart", name, today, drafts, ORDER_HOOKS)

    def _of_damage(self) -> Iterator[Call]:
        for sample in list_samples():
            if sample.id in DAMAGED:
                chart = chart_of(sample.id, CLOCK)
                drafts = [resource for order in sample.orders[:1] for resource in _draft(order.draft)]
                for call in (
                    *self._about_patient("", sample.id, chart),
                    *self._about_orders("", sample.id, chart, drafts),
                ):
                    yield from _damaged(call)

    def _with_feedback(self) -> Iterator[Call]:
        """Yield calls about an order, the feedback on their cards, and the same calls once more."""
        for sample in list_samples():
            for order in sample.orders[:1]:
                for story in CardOutcome:
                    chart = _renamed_patient(chart_of(sample.id, CLOCK), f"{sample.id}-{story}")
                    name = f"{sample.id} {order.draft} {story}"
                    for call in self._about_orders("feedback", name, chart, _draft(order.draft), ("order-sign",)):
                        feedback = Step(f"{call.steps[0].path}/feedback", story)
                        yield Call(call.id, call.kind, (*call.steps, feedback, *call.steps))

    def _about_patient(self, kind: str, name: str, chart: Chart) -> Iterator[Call]:
        """Yield the calls of every service whose hook is not about orders."""
        for entry in self.services:
            if entry["hook"] not in ORDER_HOOKS:
                yield from self._built(kind, name, entry, chart, [])

    def _about_orders(
        self, kind: str, name: str, chart: Chart, drafts: list[Resource], hooks: Iterable[str] = ORDER_HOOKS
    ) -> Iterator[Call]:
        for entry in self.services:
            if entry["hook"] in hooks:
                yield from self._built(kind, name, entry, chart, drafts_for(chart, drafts))

    def _built(self, kind: str, name: str, entry: Json, chart: Chart, drafts: list[Resource]) -> Iterator[Call]:
        try:
            request = build_request(entry, chart, drafts, today=CLOCK.date())
        except ChartError:
            return  # such as a discharge of a chart without an encounter
        yield self._call(kind, f"{name} {entry['id']} {entry['hook']}", entry["id"], request)

    def _call(self, kind: str, name: str, service: str, request: Json) -> Call:
        instance = str(uuid5(NAMESPACE_URL, f"{kind}/{name}"))
        return _raw(kind, name, service, json.dumps(request | {"hookInstance": instance}))


def _draft(name: str) -> list[Resource]:
    return open_drafts(Path(f"sample:{name}"), CLOCK)


def _raw(kind: str, name: str, service: str, body: str) -> Call:
    return Call(f"{kind}: {name}", kind, (Step(f"/cds-services/{service}", body),))


def _at_hook(request: Json, hook: str) -> Json:
    context = dict(request["context"])
    drafts = [entry["resource"] for entry in context["draftOrders"]["entry"]]
    chosen = [f"{draft['resourceType']}/{draft['id']}" for draft in drafts if draft["resourceType"] != "Medication"]
    context.pop("selections", None)
    return request | {"hook": hook, "context": context | ({"selections": chosen} if hook == "order-select" else {})}


def _damaged(call: Call) -> Iterator[Call]:
    (step,) = call.steps
    request = json.loads(step.body)
    for title, prefetch in damaged_prefetches(request["prefetch"]):
        body = json.dumps(request | {"prefetch": prefetch})
        yield Call(f"broken prefetch{call.id} {title}", "broken prefetch", (Step(step.path, body),))
    for title, body in broken_requests(request):
        yield Call(f"broken request{call.id} {title}", "broken request", (Step(step.path, body),))


def _renamed_patient(chart: Chart, name: str) -> Chart:
    """Return the chart under another patient id, so that one story's feedback is not heard in another."""
    old = chart.patient["id"]
    text = json.dumps(chart.resources).replace(f'"Patient/{old}"', f'"Patient/{name}"')
    return Chart(json.loads(text.replace(f'"id": "{old}"', f'"id": "{name}"')))


def write_calls(path: Path, calls: Iterable[Call]) -> int:
    """Write the calls to a gzipped file, one a line; return how many there are."""
    count = 0
    with gzip.open(path, "wb", compresslevel=4) as out:
        for call in calls:
            count += 1
            out.write(msgspec.json.encode(call) + b"\n")
    return count
