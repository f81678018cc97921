"""`cds-hooks call`: a chart on disk and perhaps a draft order → a hook call → its cards in the terminal."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from msgspec import json as msgspec_json
from rich.console import Console

from cds_hooks.tools.kit.commands.fhir_server import list_of_samples
from cds_hooks.tools.kit.commands.options import clock, given_as, server_url, stop
from cds_hooks.tools.kit.simulator.chart import (
    Chart,
    ChartError,
    days_to_today,
    move_chart,
    move_dates,
    open_chart,
    open_drafts,
)
from cds_hooks.tools.kit.simulator.request import (
    CardOutcome,
    RequestSigning,
    build_feedback,
    build_request,
    draft_from_chart,
    drafts_for,
    refuse_unknown_keys,
    with_fhir_server,
    without_keys,
)
from cds_hooks.tools.kit.simulator.terminal import print_answer, print_error, printable


@dataclass(frozen=True)
class CallOptions:
    """Options of `call`."""

    chart_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="CHART",
            help="A patient's Bundle or CDS Hooks request, JSON or JSON.gz, or sample:ID; else the samples are listed.",
        ),
    ] = None
    draft: Annotated[
        list[Path] | None, typer.Option(help="A draft order, or a Bundle with it; may be given again.")
    ] = None
    draft_ref: Annotated[list[str] | None, typer.Option(help="An order of the chart to draft again, as Type/id.")] = (
        None
    )
    hook: Annotated[str | None, typer.Option(help="Call the services of this hook only.")] = None
    service: Annotated[str | None, typer.Option(help="Call this service only.")] = None
    url: Annotated[str | None, typer.Option(help="Base address of the server; else CDS_PUBLIC_URL.")] = None
    shift_dates: Annotated[
        bool, typer.Option("--shift-dates", help="Move all dates so that the last event is today.")
    ] = False
    fhir_server: Annotated[
        str | None, typer.Option(metavar="URL", help="Send this FHIR server and a token for it instead of prefetch.")
    ] = None
    fhir_token: Annotated[str | None, typer.Option(help="Access token for the FHIR server; else a made-up one.")] = None
    omit: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Leave out this prefetch key only; may be given again.")
    ] = None
    key: Annotated[
        Path | None, typer.Option(help="Sign each call with this key of python -m cds_hooks.tools.kit token.")
    ] = None
    feedback: Annotated[
        CardOutcome | None, typer.Option(help="Tell the server that every card was accepted or overridden.")
    ] = None
    timings: Annotated[bool, typer.Option("--timings", help="Ask for the time of each stage.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON lines.")] = False
    curl: Annotated[bool, typer.Option("--curl", help="Print the calls as curl commands and send nothing.")] = False


@given_as(CallOptions)
def call(options: CallOptions) -> None:
    """Send a patient, and perhaps draft orders, through the server's services and draw the cards.

    Without CHART the invented sample patients are listed with their drafted orders, and nothing is sent. Without
    --hook: order-select where there are drafts, else patient-view.

    Exit codes: 0 every call was answered, 1 a call failed, 2 the files or options cannot be used.

    Example: cds-hooks call sample:planning-talk --hook patient-view
    """
    if options.chart_file is None:
        list_of_samples(as_json=options.as_json)
        return
    console = Console(stderr=options.as_json or options.curl)
    url = server_url(options.url)
    try:
        signing = _signing(options.key) if options.key else None
        # Reading the certificates of all authorities takes longer than the call; http needs none of them.
        with httpx.Client(base_url=url, timeout=60, auth=signing, verify=url.startswith("https://")) as client:
            quiet: list[str] | None = [] if options.service is None and not options.as_json else None
            caller = _Caller(client, console, options.as_json, options.curl, options.feedback, quiet)
            chart = open_chart(options.chart_file, clock())
            drafts = chart.drafts + [order for path in options.draft or [] for order in open_drafts(path, clock())]
            drafts += [order for reference in options.draft_ref or [] for order in draft_from_chart(chart, reference)]
            if options.shift_dates:
                chart, drafts = _moved(console, chart, drafts)
            drafts = drafts_for(chart, drafts)
            usual_hook = "order-select" if drafts else "patient-view"
            entries = caller.entries(options.hook or usual_hook, options.service, at_other_hooks=options.hook is None)
            requests = [build_request(entry, chart, drafts, options.timings, clock().date()) for entry in entries]
            refuse_unknown_keys(requests, options.omit or [])
            requests = [_sourced(request, options) for request in requests]
            answered = [caller.call(entry, request) for entry, request in zip(entries, requests, strict=True)]
            if quiet is not None and not options.curl:
                none = f"No card from {', '.join(quiet)}. " if quiet else ""
                service = entries[0]["id"] if len(entries) == 1 else "ID"
                console.print(
                    f"{none}All reasons: add --service {printable(service)}.", highlight=False, soft_wrap=True
                )
    except ChartError as error:
        stop(str(error))
    except httpx.HTTPError as error:
        fault = type(error).__name__
        stop(f"No server answers at {url} ({fault}). Start `cds-hooks serve`, or name another address: --url.", code=1)
    raise typer.Exit(0 if all(answered) else 1)


def call_sample(url: str, sample: str, draft: str | None = None) -> list[str]:
    """Send a sample patient, perhaps with a drafted order, print the cards, and return the services without one.

    Raises:
        ChartError, httpx.HTTPError: there is no such sample, or the server does not answer.
    """
    chart = open_chart(Path(f"sample:{sample}"), clock())
    drafts = drafts_for(chart, open_drafts(Path(f"sample:{draft}"), clock()) if draft else [])
    with httpx.Client(base_url=url, timeout=60, verify=url.startswith("https://")) as client:
        caller = _Caller(client, Console(), as_json=False, curl=False, feedback=None, quiet=[])
        for entry in caller.entries("order-select" if drafts else "patient-view", None):
            caller.call(entry, build_request(entry, chart, drafts, today=clock().date()))
    return caller.quiet or []


@dataclass(frozen=True)
class _Caller:
    """Sends requests to the services of a server and shows the answers as the options say."""

    client: httpx.Client
    console: Console
    as_json: bool
    curl: bool
    feedback: CardOutcome | None
    quiet: list[str] | None = None
    """The services that answered without a card, which are noted here; None: they and all reasons are printed."""

    def entries(self, hook: str, service: str | None, *, at_other_hooks: bool = False) -> list[dict[str, Any]]:
        """Return the entries of discovery for this hook; ChartError where there is none.

        `at_other_hooks`: a service that is at other hooks only is called at those.
        """
        answer = self.client.get("/cds-services")
        if answer.status_code != 200:
            status = answer.status_code
            raise ChartError(f"discovery was answered with HTTP {status}; a trusted server wants --key FILE")
        # `order-safety` names both services of that name, each of which is listed for one hook.
        wanted = [
            entry
            for entry in answer.json()["services"]
            if service in (None, entry["id"]) or entry["id"].startswith(f"{service}-")
        ]
        entries = [entry for entry in wanted if entry["hook"] == hook]
        if not entries and service is not None and at_other_hooks:
            entries = wanted
        if not entries:
            known_as = f"{service} for {hook}" if service else f"for {hook}"
            raise ChartError(f"the server has no service {known_as}; see: cds-hooks settings --services")
        return entries

    def call(self, entry: dict[str, Any], request: dict[str, Any]) -> bool:
        """Send one request, show the answer and give the feedback; False where one of them failed."""
        if self.curl:
            return self._print_curl(entry, request)
        answer = self._post(entry, request)
        if answer is None:
            return False
        status, document = answer
        if status == 200 and self.feedback is not None:
            return self._give_feedback(entry, document, self.feedback)
        return status == 200

    def _print_curl(self, entry: dict[str, Any], request: dict[str, Any]) -> bool:
        body = shlex.quote(msgspec_json.encode(request).decode())
        address = shlex.quote(f"{str(self.client.base_url).rstrip('/')}{_path(entry)}")
        typer.echo(f"curl -sS -X POST -H 'Content-Type: application/json' {address} -d {body}")
        return True

    def _post(self, entry: dict[str, Any], request: dict[str, Any]) -> tuple[int, Any] | None:
        """Send one request and show the answer; its status and document, None where there is no usable answer."""
        title = printable(f"{entry['hook']} → {entry['id']}")
        headers = {"content-type": "application/json"}
        try:
            answer = self.client.post(_path(entry), content=msgspec_json.encode(request), headers=headers)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            typer.echo(f"{title}: no usable answer ({type(error).__name__})", err=True)
            return None
        status = answer.status_code
        if self.as_json:
            line = {"service": entry["id"], "hook": entry["hook"], "status": status, "answer": document}
            typer.echo(msgspec_json.encode(line))
        elif status == 200 and self.quiet is not None and not document.get("cards"):
            self.quiet.append(entry["id"])
        elif status == 200:
            print_answer(self.console, title, printable(document), reasons=self.quiet is None)
        else:
            print_error(self.console, title, status, printable(document))
        return status, document

    def _give_feedback(self, entry: dict[str, Any], document: dict[str, Any], outcome: CardOutcome) -> bool:
        body = build_feedback(document, outcome, datetime.now(UTC))
        if not body["feedback"]:
            return True
        reply = self.client.post(f"{_path(entry)}/feedback", json=body)
        self.console.print(f"  feedback ({outcome.value}) on {len(body['feedback'])} cards: HTTP {reply.status_code}")
        return reply.status_code == 200


def _path(entry: dict[str, Any]) -> str:
    return f"/cds-services/{quote(str(entry['id']), safe='')}"  # a server may name its services as it likes


def _signing(key: Path) -> RequestSigning:
    """Signing with the key of this file; ChartError where it is none. Imported here: few calls are signed."""
    from cds_hooks.tools.kit.simulator.signing import SigningKeyError, read_key_file

    try:
        return RequestSigning(read_key_file(key))
    except SigningKeyError as error:
        raise ChartError(str(error)) from error


def _sourced(request: dict[str, Any], options: CallOptions) -> dict[str, Any]:
    """Return the request with its data from where the options say."""
    server, omitted = options.fhir_server, options.omit or []
    return with_fhir_server(request, server, options.fhir_token, omitted) if server else without_keys(request, omitted)


def _moved(console: Console, chart: Chart, drafts: list[dict[str, Any]]) -> tuple[Chart, list[dict[str, Any]]]:
    days, now = days_to_today(chart, clock()), clock().date()
    then = now - timedelta(days=days)
    console.print(f"All dates moved by {days:+,} days, birth dates too: {then} is now {now}.", highlight=False)
    return move_chart(chart, days), move_dates(drafts, days)
