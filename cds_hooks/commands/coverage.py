"""`cds-hooks coverage`: checks a payer's own policies, counts what they would ask for, and writes CRD's metrics."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from cds_hooks.commands.options import AsJson, Database, Since
from cds_hooks.commands.record_options import microseconds, record_url
from cds_hooks.commands.sentences import as_sentence
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.queries import DecisionFilter, find_decisions

app = typer.Typer(no_args_is_help=True, help="Policies of payers: check them, count what they ask for, and metrics.")
_SERVICE = "coverage-requirements"
_STATUS = {"required": 412, "timeout": 503}
"""What a recorded refusal was answered with: data that is required was missing, or the time was over."""
Folder = Annotated[Path | None, typer.Argument(exists=True, file_okay=False, help="The payer's own folder, if any.")]


def _load(folder: Path | None) -> Any:
    from cards.coverage.policy import PolicyFault, load_policies

    try:
        return load_policies(folder)
    except PolicyFault as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from error


@app.command()
def lint(folder: Folder = None) -> None:
    """Check the policies of this package and of a payer's own folder.

    Prints how many rows and criteria each payer has, which rows end, and the version; then runs the cases of the folder
    (`cases/*.json`). Exit code 1 where a file cannot be used, with the file, the line and the fault, and where a case
    is answered otherwise than it expects.

    Example: cds-hooks coverage lint
    """
    rules = _load(folder)
    rows = list(rules.every())
    for payer in rules.payers.values():
        of_payer = [row for row in rows if row.payer == payer.id]
        ended = sum(row.effective_to is not None for row in of_payer)
        typer.echo(f"{payer.id}: {len(of_payer)} rows, {ended} with an end. {payer.name}")
    typer.echo(f"{len(rules.criteria)} sets of criteria. Version {rules.version}.")
    count, wrong = _run_cases(folder, rules) if folder is not None else (0, [])
    for sentence in wrong:
        typer.echo(sentence, err=True)
    typer.echo(f"{count} cases, {len(wrong)} wrong.")
    if wrong:
        raise typer.Exit(1)


def _run_cases(folder: Path, rules: Any) -> tuple[int, list[str]]:
    from cards.coverage.policy import PolicyFault
    from cards.coverage.simulation import wrong_cases

    try:
        return wrong_cases(folder, rules)
    except PolicyFault as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from error


@app.command()
def changes(
    first: Annotated[str, typer.Argument(help="The first day of service, YYYY-MM-DD.")],
    last: Annotated[str, typer.Argument(help="The last day of service, YYYY-MM-DD.")],
    folder: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="The payer's own folder.")] = None,
) -> None:
    """List the codes for which another list is in force on the last day than on the first.

    Exit code 2 where a day cannot be read, or the last is before the first.

    Example: cds-hooks coverage changes 2024-08-11 2026-04-13
    """
    try:
        days = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        typer.echo("A day is written as YYYY-MM-DD.", err=True)
        raise typer.Exit(2) from error
    if days[1] < days[0]:
        typer.echo("The last day is before the first.", err=True)
        raise typer.Exit(2)
    for row in _load(folder).every():
        before, after = (row.is_in_force(day) for day in days)
        if before != after:
            since = row.effective_from if after else row.effective_to
            typer.echo(f"{'+' if after else '-'} {row.code} {row.category} ({row.pa_needed or row.basis}, {since})")


@app.command()
def simulate(
    charts: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder of FHIR Bundles (*.json).")],
    folder: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="The payer's own folder.")] = None,
    payer: Annotated[str, typer.Option(help="The id of the payer whose rules are tried.")] = "medicare",
    as_json: AsJson = False,
) -> None:
    """Count by code what a payer's rules would ask for, over the orders in a folder of charts.

    Each file is a Bundle with a Patient and orders; all orders are judged as if the payer covered the patient. Nothing
    is recorded. Exit code 1 where the folder has no order with a rule, 2 where there is no such payer.

    Example: cds-hooks coverage simulate charts
    """
    from cards.coverage.simulation import simulate_orders

    rules = _load(folder)
    if payer not in rules.payers:
        typer.echo(f"There is no payer {payer}; there are {', '.join(rules.payers)}.", err=True)
        raise typer.Exit(2)
    counts: Counter[tuple[str, str, str]] = Counter()
    for path in sorted(charts.rglob("*.json")):
        counts.update(simulate_orders(path.read_bytes(), rules, rules.payers[payer], datetime.now(UTC)))
    if not counts:
        typer.echo("No order in this folder has a rule of this payer.", err=True)
        raise typer.Exit(1)
    rows = [
        {"code": code, "covered": covered, "pa_needed": pa_needed, "orders": count}
        for (code, covered, pa_needed), count in sorted(counts.items())
    ]
    if as_json:
        typer.echo(orjson.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['code']}: {row['orders']} orders, {row['covered']}, {row['pa_needed'] or 'nothing said'}")


@app.command()
def metrics(database: Database = None, since: Since = None) -> None:
    """Print CRD's metrics of the recorded answers to payers' calls, one JSON object (CRDMetricData 2.0.1) a line.

    They name the order codes and the answer, the client, and under which name the record has the user; nothing of the
    patient. Exit code 1 where there is no record.

    Example: cds-hooks coverage metrics --since 2026-11-01
    """
    from cards.coverage.annotation import URL, values_of

    wanted = DecisionFilter(service=_SERVICE, since=microseconds(since))
    try:
        for decision in find_decisions(record_url(database), wanted):
            typer.echo(orjson.dumps(metric_of(decision, URL, values_of)))
    except RecordUnavailable as error:
        typer.echo(as_sentence(error), err=True)
        raise typer.Exit(1) from error


def metric_of(decision: Decision, url: str, values_of: Any) -> dict[str, Any]:
    """Return the metric of one decision."""
    response, basis = msgspec.json.decode(decision.response), msgspec.json.decode(decision.basis)
    answered = datetime.fromtimestamp(decision.decided_at / 1e6, UTC)
    took = timedelta(milliseconds=sum((basis.get("timings") or {}).values()))
    metric: dict[str, Any] = {
        "source": "payer-src",
        "hookInstance": decision.hook_instance,
        "hookType": decision.hook,
        "providerId": {"value": decision.user_id or "not recorded"},
        "groupId": {"value": decision.client},
        "payerId": {"system": "urn:ietf:rfc:3986", "value": "not known"},
        "requestTime": (answered - took).isoformat(timespec="milliseconds"),
        "responseTime": answered.isoformat(timespec="milliseconds"),
        "httpResponse": 200,
    }
    if response.get("resourceType") == "OperationOutcome":
        issues = [issue.get("code", "processing") for issue in response.get("issue", ())]
        status = next((_STATUS[code] for code in issues if code in _STATUS), 400)
        return metric | {"httpResponse": status, "issue": [{"code": code} for code in issues]}
    codes, answers = [], []
    for action in response.get("systemActions", ()):
        resource = action["resource"]
        notes = [values_of(entry) for entry in resource["extension"] if entry.get("url") == url]
        codes += [{"coding": values.get("billingCode", [])} for values in notes]
        infos = [_coverage_info(values) for values in notes]
        contacts = [contact["value"] for values in notes for contact in values.get("contact", ())]
        metric["payerId"]["value"] = next(
            (contact for contact in contacts if contact.startswith("http")), metric["payerId"]["value"]
        )
        answers.append({"type": "coverage-info", "focus": [resource["resourceType"]], "coverageInfo": infos})
    for card in response["cards"]:
        answers.append({"type": card["source"]["topic"]["code"]})
        metric["payerId"]["value"] = card["source"].get("url") or card["source"]["label"]
    return metric | {"orderDetail": [code for code in codes if code["coding"]], "response": answers}


def _coverage_info(values: dict[str, list[Any]]) -> dict[str, Any]:
    names = {
        "covered": "covered",
        "pa-needed": "paNeeded",
        "doc-needed": "docNeeded",
        "info-needed": "infoNeeded",
        "coverage-assertion-id": "assertionId",
        "satisfied-pa-id": "satisfiedId",
    }
    info = {written: values[name][0] for name, written in names.items() if name in values}
    forms = [
        {"reference": address, "adaptive": False, "response": "response" in values}
        for address in values.get("questionnaire", ())
    ]
    return info | ({"questionnaire": forms} if forms else {})
