"""`cds-hooks check` and `check-file`: any CDS Hooks server, or a document on disk, against the checklist."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, NoReturn

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cds_hooks.commands.options import AsJson
from cds_hooks.kit.contract.charts import (
    QUICK,
    PatientChart,
    UnreadableChart,
    of_one_run,
    read_patient_chart,
    sample_charts,
)
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.dialects import DIALECTS
from cds_hooks.kit.contract.document import Subject
from cds_hooks.kit.contract.registry import Check
from cds_hooks.kit.contract.report import Report, as_junit, print_report
from cds_hooks.kit.contract.report import as_json as report_as_json
from cds_hooks.kit.contract.run import UnknownRow, UnreadableDocument, check_file, run_checks, select_checks
from cds_hooks.kit.contract.signer import Signer, Stranger
from cds_hooks.kit.contract.target import Target
from cds_hooks.kit.simulator.signing import (
    SigningKeyError,
    algorithms_of,
    new_key,
    public_forms,
    read_key_file,
    sign_claims,
)
from cds_hooks.settings import settings
from models_onnx.artifact.files import write_whole

_SECONDS_BETWEEN_LINES = 5.0
_KINDS = {
    "discovery": Subject.DISCOVERY,
    "response": Subject.RESPONSE,
    "card": Subject.CARD,
    "action": Subject.SUGGESTED_ACTION,
    "source": Subject.SOURCE,
}

Only = Annotated[
    list[str] | None,
    typer.Option(metavar="ROW|SECTION", help="Only these rows or sections, such as CARD-03 or FB; may be given again."),
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for a CI server.")]
Rows = Annotated[bool, typer.Option("--rows", help="List every row that was not judged, and why.")]
DialectName = Annotated[str, typer.Option(metavar="NAME", help="Whose way of calling: standard or epic.")]


def check(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Base address of the server; else CDS_PUBLIC_URL.")
    ] = None,
    dialect: DialectName = "standard",
    only: Only = None,
    patient: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Send this patient's Bundle instead of the samples; may be given again."),
    ] = None,
    token: Annotated[str, typer.Option(help="Bearer token of every request.")] = "",
    token_command: Annotated[
        str, typer.Option(metavar="PROGRAM", help="Program that prints a token for {url}, run for every request.")
    ] = "",
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sign every request with this key of cds-hooks trust dev-key."),
    ] = None,
    subject: Annotated[str, typer.Option(help="sub of the tokens that are signed.")] = "",
    tenant: Annotated[str, typer.Option(help="tenant of the tokens that are signed.")] = "",
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust this authority's certificate (PEM) as well.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds to wait for one answer.")] = 10.0,
    time_limit: Annotated[
        float | None,
        typer.Option(
            min=1, max=86_400, metavar="SECONDS", help="End the run after this time and report what is known."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Four sample patients, and no check that waits or sends much.")
    ] = False,
    discovery: Annotated[
        str, typer.Option(metavar="PATH", help="Path of discovery where it is another; services stand under it.")
    ] = "/cds-services",
    origin: Annotated[
        str, typer.Option(help="Web origin that CORS is tried with.", show_default="the public sandbox, or localhost")
    ] = "",
    fhir_host: Annotated[
        str, typer.Option(metavar="HOST", help="Offer a FHIR server at this name of this machine, to fetch from.")
    ] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a should, too.")] = False,
    as_json: AsJson = False,
    junit: Junit = None,
    rows: Rows = False,
) -> None:
    """Test a CDS Hooks server from outside: discovery, calls, mistakes, feedback, CORS, time.

    Sends invented patients only, and nothing but what the server's own discovery asks for. Feedback it sends is about
    cards it was given; try it on test systems.

    Ctrl-C ends the run and reports what is known by then. Exit codes: 0 every must that was seen holds, 1 a must
    failed, 2 the server cannot be tested, or the run was cut short.

    Example: cds-hooks check http://127.0.0.1:8085 --only CARD --only FB
    """
    root = f"/{discovery.strip('/')}"
    base = (url or settings().public_url).rstrip("/").removesuffix(root)
    checks = _checks(only, dialect, quick)
    if not base.startswith(("http://", "https://")):
        _stop(f"{base} is not an http or https address; write for example http://127.0.0.1:8085")
    _check_writable(junit)
    as_of = settings().as_of or datetime.now(UTC)
    try:
        signer = _signer(key, subject, tenant) if key else None
        connection = Connection(base, timeout, token, tuple(shlex.split(token_command)), ca, signer)
        charts = tuple(read_patient_chart(path) for path in patient) if patient else _samples(as_of, quick)
    except (UnreadableChart, SigningKeyError, OSError) as error:
        _stop(str(error))
    target = Target(connection, charts, as_of, DIALECTS[dialect], origin, fhir_host, root)
    try:
        report = _with_progress(target, checks, time_limit)
    except KeyboardInterrupt:
        _stop("interrupted before discovery was read: nothing is known")
    finally:
        connection.close()
    _tell([report], as_json, junit, rows)
    raise typer.Exit(1 if strict and report.findings and not report.exit_code else report.exit_code)


def check_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Discovery documents or responses, JSON.")],
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help=f"What they are, if not seen: {', '.join(_KINDS)}.")
    ] = None,
    dialect: DialectName = "standard",
    only: Only = None,
    as_json: AsJson = False,
    junit: Junit = None,
    rows: Rows = False,
) -> None:
    """Judge documents on disk: a discovery document, a response, or a part of one.

    Exit codes: 0 every must holds, 1 a must failed, 2 a file cannot be judged.

    Example: cds-hooks check-file discovery.json response.json
    """
    checks = _checks(only, dialect)
    _check_writable(junit)
    if kind is not None and kind not in _KINDS:
        _stop(f"there is no kind {kind}; there are {', '.join(_KINDS)}")
    try:
        reports = [check_file(path, checks, _KINDS[kind] if kind else None) for path in files]
    except UnreadableDocument as error:
        _stop(str(error))
    _tell(reports, as_json, junit, rows)
    raise typer.Exit(max(report.exit_code for report in reports))


def _samples(as_of: datetime, quick: bool) -> tuple[PatientChart, ...]:
    return of_one_run(sample_charts(as_of, QUICK if quick else ()))


def _check_writable(junit: Path | None) -> None:
    """Ends before anything is sent where the report could not be written afterwards."""
    if junit is not None and not junit.absolute().parent.is_dir():
        _stop(f"--junit {junit}: there is no folder {junit.absolute().parent}")


def _checks(only: list[str] | None, dialect: str, quick: bool = False) -> list[Check]:
    if dialect not in DIALECTS:
        _stop(f"there is no dialect {dialect}; there are {', '.join(DIALECTS)}")
    try:
        return select_checks(only or [], dialect, quick=quick)
    except UnknownRow as error:
        _stop(str(error))


def _signer(key: Path, subject: str, tenant: str) -> Signer:
    """SigningKeyError where the file is no key."""
    signing = read_key_file(key)
    stranger = new_key(signing.issuer, signing.jwk["alg"])
    return Signer(
        signing.issuer,
        signing.jwk["alg"],
        signing.jwk["kid"],
        lambda header, claims: sign_claims(signing, header, claims),
        subject,
        tenant,
        algorithms_of(signing),
        public_forms(signing),
        Stranger(stranger.key_set()["keys"][0], lambda header, claims: sign_claims(stranger, header, claims)),
    )


def _with_progress(target: Target, checks: list[Check], time_limit: float | None) -> Report:
    """The report; on a terminal a bar shows how far the run is, elsewhere a line is printed now and then."""
    columns = (BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total} {task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("discovery", total=None)

        printed = monotonic()

        def show(words: str, number: int, count: int) -> None:
            nonlocal printed
            progress.update(task, description=words, completed=number, total=count)
            if not progress.console.is_terminal and monotonic() - printed >= _SECONDS_BETWEEN_LINES:
                printed = monotonic()
                typer.echo(f"{number}/{count} {words}", err=True)

        return run_checks(target, checks, show, time_limit)


def _tell(reports: list[Report], as_json: bool, junit: Path | None, rows: bool) -> None:
    if junit is not None:
        write_whole(junit, as_junit(reports))
    if as_json:
        documents = [report_as_json(report) for report in reports]
        typer.echo(orjson.dumps(documents[0] if len(documents) == 1 else documents, option=orjson.OPT_INDENT_2))
        return
    for report in reports:
        print_report(Console(), report, every_row=rows)


def _stop(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2)
