"""`cds-hooks check`: any CDS Hooks server, or documents on disk, against the checklist."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from cds_hooks.tools.kit.commands.options import AsJson, clock, given_as, server_url, stop
from cds_hooks.tools.kit.contract.charts import QUICK, read_patient_chart, sample_charts, with_new_identities
from cds_hooks.tools.kit.contract.connection import Connection
from cds_hooks.tools.kit.contract.registry import Check
from cds_hooks.tools.kit.contract.report import Report, print_report, report_document
from cds_hooks.tools.kit.contract.requests import DIALECTS
from cds_hooks.tools.kit.contract.run import UnknownRow, UnreadableDocument, check_file, run_checks, select_checks
from cds_hooks.tools.kit.contract.target import DISCOVERY, Target
from cds_hooks.tools.kit.simulator.chart import ChartError
from cds_hooks.tools.kit.simulator.signing import SigningKeyError, read_key_file

_SECONDS_BETWEEN_LINES = 5.0
_QUICK_SECONDS = 13.0  # with the start of the program and the report at most twenty, on a busy machine too


@dataclass(frozen=True)
class CheckOptions:
    """Options of `check`."""

    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL|FILE", help="Base address of the server, else CDS_PUBLIC_URL; or documents, JSON."),
    ] = None
    dialect: Annotated[
        str,
        typer.Option(metavar="NAME", help="Whose way of calling: standard or epic."),
    ] = "standard"
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW|SECTION", help="Only these rows or sections, such as CARD-03 or FB; may be given again."
        ),
    ] = None
    patient: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Send this patient's Bundle instead of the samples; may be given again."),
    ] = None
    token: Annotated[str, typer.Option(help="Bearer token of every request.")] = ""
    token_command: Annotated[
        str, typer.Option(metavar="PROGRAM", help="Program that prints a token for {url}, run for every request.")
    ] = ""
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sign every request with this key of python -m cds_hooks.tools.kit token."),
    ] = None
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="At most 20 seconds: each check at one service, and none that waits or sends much."
        ),
    ] = False
    origin: Annotated[
        str, typer.Option(help="Web origin that CORS is tried with.", show_default="the public sandbox, or localhost")
    ] = ""
    fhir_host: Annotated[
        str,
        typer.Option(
            metavar="HOST",
            help="Offer a FHIR server at this name of this machine, to fetch from, and expect that it is asked.",
        ),
    ] = ""
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a should, too.")] = False
    as_json: AsJson = False
    rows: Annotated[bool, typer.Option("--rows", help="List every row that was not judged, and why.")] = False


@given_as(CheckOptions)
def check(options: CheckOptions) -> None:
    """Test a CDS Hooks server from outside: discovery, calls, mistakes, feedback, CORS, time.

    Sends invented patients only, and nothing but what the server's own discovery asks for. Feedback it sends is about
    cards it was given; try it on test systems. SSL_CERT_FILE names certificates of authorities other than the public
    ones. Files are judged without a server: discovery documents and responses.

    Ctrl-C ends the run and reports what is known by then. Exit codes: 0 every must that was seen holds, 1 a must
    failed, 2 the server cannot be tested, a file cannot be judged, or the run was cut short.

    Example: cds-hooks check http://127.0.0.1:8085 --only CARD --only FB
    """
    targets = options.targets or []
    if options.dialect not in DIALECTS:
        stop(f"there is no dialect {options.dialect}; there are {', '.join(DIALECTS)}")
    try:
        checks = select_checks(options.only or [], options.dialect, quick=options.quick)
        if targets and all(map(_names_file, targets)):
            reports = [check_file(Path(target), checks) for target in targets]
        elif len(targets) > 1:
            stop("give the address of one server, or files")
        else:
            reports = [_check_server(_target(options, targets[0] if targets else None), checks, options)]
    except (UnknownRow, UnreadableDocument, ChartError, SigningKeyError, OSError) as error:
        stop(str(error))
    _print_reports(reports, options)
    exit_code = max(report.exit_code for report in reports)
    has_findings = any(report.findings for report in reports)
    raise typer.Exit(1 if options.strict and not exit_code and has_findings else exit_code)


def _target(options: CheckOptions, url: str | None) -> Target:
    """Return the server that is checked, and what is sent to it."""
    base = server_url(url).removesuffix(DISCOVERY)
    try:
        program = tuple(shlex.split(options.token_command))
    except ValueError as error:
        stop(f"--token-command {options.token_command!r} cannot be read as a command: {error}. Nothing was sent.")
    signer = read_key_file(options.key) if options.key else None
    connection = Connection(base, token=options.token, token_command=program, signer=signer)
    charts = [read_patient_chart(path) for path in options.patient or []]
    as_of, dialect = clock(), DIALECTS[options.dialect]
    samples = charts or with_new_identities(sample_charts(as_of, QUICK if options.quick else ()))
    return Target(connection, tuple(samples), as_of, dialect, options.origin, options.fhir_host)


def _names_file(target: str) -> bool:
    return "://" not in target and (target.endswith(".json") or Path(target).exists())


def _check_server(target: Target, checks: list[Check], options: CheckOptions) -> Report:
    """Run the checks; a line now and then says how far the run is."""
    printed = monotonic()

    def show(text: str, number: int, count: int) -> None:
        nonlocal printed
        if monotonic() - printed >= _SECONDS_BETWEEN_LINES:
            printed = monotonic()
            typer.echo(f"{number}/{count} {text}", err=True)

    try:
        limit = _QUICK_SECONDS if options.quick else None
        return run_checks(target, checks, show, limit, once=options.quick)
    except KeyboardInterrupt:
        stop("interrupted before discovery was read: nothing was tested")
    finally:
        target.connection.close()


def _print_reports(reports: list[Report], options: CheckOptions) -> None:
    if options.as_json:
        documents = [report_document(report) for report in reports]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False))
        return
    for report in reports:
        print_report(Console(), report, every_row=options.rows)
    if options.quick:
        typer.echo("Quick: each check was made at one service at most. Without --quick every service is checked.")
