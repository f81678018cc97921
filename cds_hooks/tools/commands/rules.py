"""`cds-hooks rules check`: checks the files of all rules, or runs the cases of rules.

`cds-hooks rules simulate`: runs the rules over a folder of charts and counts the cards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cards.casebook.cases import faults_of_case, missing_cases, waiting_bands
from cards.casebook.rule_files import file_faults
from cards.rules.engine.family import rule_families
from cards.rules.engine.governance import NEEDS_NOTE, SiteRules, all_rule_versions
from cards.rules.engine.lint import lint_family
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.knowledge_base import listed_faults
from cards.rules.language.site import site_folders
from cds_hooks.call.hold_back.checks import Caller, CheckedCall, check_findings
from cds_hooks.call.hold_back.site_file import RulesFileError, read_rules_file
from cds_hooks.evidence.replay.simulated_orders import SimulatedOrders, simulate
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import (
    AsJson,
    as_sentence,
    failure,
    is_there,
    print_json,
    progress_bars,
    said_in_a_sentence,
)
from cds_hooks.tools.commands.record import site_rules
from cds_hooks.tools.kit.commands.plain_group import PlainGroup
from cds_hooks.tools.kit.tables import print_table
from fhir.record.charts import read_charts
from fhir.record.folder import ChartsRefused
from fhir.terminology.plain_file import why_unreadable

_MOST_NAMED = 5
app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Check the medication rules, and try them on charts.",
)


@app.command()
def check(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(
            callback=is_there, metavar="CASES…", help="Case files, folders of them, or a payer's own folder."
        ),
    ] = None,
    to_review: Annotated[
        bool, typer.Option("--to-review", help="Print the rules that are not approved here, each with its version.")
    ] = False,
    family: Annotated[str | None, typer.Option(help="With --to-review: of this family only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the files of all rules (form, words, codes, what is unsafe to offer), or run cases of rules.

    With CASES what the rules find is compared with what each case says is right. Exit code 1 where something is wrong.

    A file is a list of cases of the rule it is named after (docs/rules/README.md): every band of the rule needs a
    firing, a silent and a missing case. Files of a folder that hold none are left out and named. Of a payer's own
    folder (with payers.csv) the policies are checked and counted, and its cases are run.

    The list of --to-review has one line for each rule: id, version, and behind `|` the note, which a rule that still
    needs a label check must have. Take out what you do not approve, and choose the file at /rules.

    Example: cds-hooks rules check tests/cases/rules
    """
    if to_review:
        _print_review(family)
        return
    if not cases:
        _lint(as_json)
        return
    if len(cases) == 1 and (cases[0] / "payers.csv").is_file():
        _check_payer(cases[0])
        return
    checked: list[Checked] = []
    left_out: list[str] = []
    files = list(_files(cases))
    with progress_bars(as_json) as step:
        for number, path in enumerate(files, 1):
            try:
                checked.extend(check_file(path))
            except CaseFault as fault:
                if isinstance(fault, NoCaseFile) and path not in cases:
                    left_out.append(path.name)
                else:
                    checked.append(Checked(path.name, (str(fault),)))
            step("cases", number, len(files))
    wrong = [case for case in checked if case.faults]
    waiting = sum(case.waits for case in checked)
    if as_json:
        cases_said = [{"case": case.name, "faults": list(case.faults)} for case in checked]
        summary = {"cases": cases_said, "wrong": len(wrong), "waiting": waiting, "left_out": left_out}
        print_json(summary)
    else:
        for case in wrong:
            typer.echo(f"{case.name}: {'; '.join(case.faults)}")
        if left_out:
            more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
            typer.echo(f"No cases, left out: {', '.join(left_out[:_MOST_NAMED])}{more}.")
        not_asked = f" {waiting} were not checked: their card waits for its label to be read." if waiting else ""
        typer.echo(f"{_cases(len(checked))}, {len(wrong)} wrong.{not_asked}")
    if wrong or not checked:
        raise typer.Exit(1)


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _print_review(family: str | None) -> None:
    with said_in_a_sentence(RulesFileError, RecordUnavailable):
        site = site_rules()
    of_family = {
        rule: version for rule, version in all_rule_versions().items() if family in (None, version.table.family)
    }
    for version in site.not_approved(of_family):
        needs_note = " |" if version.rule.audit.verified == NEEDS_NOTE else ""
        typer.echo(f"# {version.rule.title}\n{version.rule.id} {version.digest}{needs_note}")


def _check_payer(folder: Path) -> None:
    """Check the policies of the package and of a payer's own folder, and run the cases of the folder."""
    from cards.coverage.approval import policy_tables
    from cards.coverage.policy import PolicyFault, load_policies
    from cards.coverage.proposals import load_proposals
    from cards.coverage.simulation import wrong_cases

    with said_in_a_sentence(PolicyFault):
        policies = load_policies(folder)
        load_proposals(folder, policies.payers)
        list(policy_tables(policies))
        rows = list(policies.every())
        for payer in policies.payers.values():
            of_payer = [row for row in rows if row.payer == payer.id]
            ended = sum(row.effective_to is not None for row in of_payer)
            typer.echo(f"{payer.id}: {len(of_payer)} rows, {ended} with an end. {payer.name}")
        typer.echo(f"{len(policies.criteria)} sets of criteria. Version {policies.version}.")
        count, wrong = wrong_cases(folder, policies)
    for sentence in wrong:
        typer.echo(sentence, err=True)
    typer.echo(f"{_cases(count)}, {len(wrong)} wrong.")
    if wrong:
        raise typer.Exit(1)


def _lint(as_json: bool) -> None:
    families = rule_families()
    faults: list[object] = [*file_faults(), *(fault for family in families for fault in lint_family(family))]
    faults += _site_rules_without_cases()
    faults += _rules_file_faults()
    if as_json:
        report = {
            "rules": len(all_rule_versions()),
            "families": len(families),
            "faults": [str(fault) for fault in faults],
            "left_out": list(listed_faults()),
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
        raise typer.Exit(1 if faults else 0)
    for sentence in listed_faults():
        typer.echo(sentence)
    for fault in faults:
        typer.echo(fault)
    if faults:
        typer.echo(f"{len(faults)} wrong.")
        raise typer.Exit(1)
    typer.echo(f"{len(all_rule_versions())} rules in {len(families)} families.\nNothing wrong.")


def _rules_file_faults() -> Iterator[str]:
    """Yield a sentence for each mistake of the file that CDS_RULES_FILE names."""
    if (file := settings().rules_file) is not None:
        try:
            read_rules_file(file)
        except RulesFileError as error:
            yield from (f"{file}: {problem}" for problem in error.problems)


def _site_rules_without_cases() -> Iterator[str]:
    """Yield a sentence for each rule of the site's folder that has no file of cases beside it."""
    folders = site_folders().values()
    for path in sorted(path for folder in folders for path in folder.glob("site-*.json")):
        if not any((folder / "cases" / path.name).is_file() for folder in folders):
            cases = path.parent / "cases" / path.name
            yield f"{path}, line 1: the rule has no cases; write them in {cases} (docs/adding/site-rules.md)"


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path


@app.command("simulate")
def simulate_folder(
    folder: Annotated[
        Path, typer.Argument(callback=is_there, metavar="FOLDER", help="Charts: Bundles or NDJSON, .gz too.")
    ],
    orders: Annotated[
        int, typer.Option(min=1, max=10_000, help="Orders of each patient, at most, evenly over time.")
    ] = 10,
    examples: Annotated[int, typer.Option(min=0, max=10_000, help="Examples of each rule, at most.")] = 2,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="With the switches of this rules file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge each order of these charts as of the moment it was written, and count what the rules say per 100 orders.

    Facts dated later are left out; earlier orders count as active until they ended. Nothing is recorded. Exit code 2
    where the folder holds no orders.

    Example: cds-hooks rules simulate charts/ --orders 20
    """
    try:
        site = read_rules_file(file) if file is not None else SiteRules()
    except RulesFileError as error:
        raise failure(f"{error}.") from error
    simulation = SimulatedOrders()
    call = CheckedCall(Caller("", "", "", ""), 0.0, site=site)
    suppress = check_findings(call)
    try:
        charts = read_charts(folder, unreadable=lambda problem: typer.echo(f"Left out: {problem}.", err=True))
        with progress_bars(as_json) as step:
            for number, chart in enumerate(charts, 1):
                simulate(simulation, [chart.patient, *chart.resources], orders, suppress)
                step("charts", number, None)
    except ChartsRefused as problem:
        raise failure(as_sentence(problem), 2) from problem
    if not simulation.orders:
        raise failure(f"{folder} holds no chart with dated medication orders.", 2)
    if as_json:
        print_json(_as_json(simulation, examples))
    else:
        _draw(simulation, examples)


def _draw(simulation: SimulatedOrders, examples: int) -> None:
    console = Console()
    console.print(_sentence(simulation), highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("rule")
    table.add_column("per 100", justify="right")
    table.add_column("times", justify="right")
    table.add_column("examples")
    for rule, findings in sorted(simulation.findings.items(), key=lambda item: -len(item[1])):
        shown = "\n".join(f"{finding.band}: {finding.summary}" for finding in findings[:examples])
        table.add_row(rule, f"{simulation.per_100(len(findings)):.2f}", str(len(findings)), shown)
    print_table(table, console)


def _sentence(simulation: SimulatedOrders) -> str:
    by_indicator = ", ".join(f"{number} {indicator}" for indicator, number in sorted(simulation.indicators.items()))
    return (
        f"{simulation.orders:,} orders of {simulation.charts} patients: {simulation.with_card} with a card "
        f"({simulation.per_100(simulation.with_card):.1f} per 100; {by_indicator or 'none'}), "
        f"{simulation.not_covered} of them to say that no rule is about a high-alert drug; "
        f"{simulation.not_recognised} orders were not recognized."
    )


def _as_json(simulation: SimulatedOrders, examples: int) -> dict[str, Any]:
    rules = {
        rule: {
            "times": len(rule_findings),
            "per_100_orders": round(simulation.per_100(len(rule_findings)), 3),
            "examples": [
                {"band": finding.band, "indicator": finding.indicator, "drug": finding.drug, "summary": finding.summary}
                for finding in rule_findings[:examples]
            ],
        }
        for rule, rule_findings in sorted(simulation.findings.items())
    }
    return {
        "orders": simulation.orders,
        "patients": simulation.charts,
        "not_recognised": simulation.not_recognised,
        "cards": simulation.with_card,
        "not_covered": simulation.not_covered,
        "cards_per_100_orders": round(simulation.per_100(simulation.with_card), 3),
        "indicators": dict(simulation.indicators),
        "rules": rules,
    }


Json = dict[str, Any]


class CaseFault(Exception):
    """The file holds no case; the message says what it should hold."""


class NoCaseFile(CaseFault):
    """The file is of another kind: a folder of cases may hold tables and charts, too."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One case and what is wrong with the answer to it."""

    name: str
    faults: tuple[str, ...]
    waits: bool = False
    """Whether it is about what shows no card until a label was read: it was not asked."""


def check_file(path: Path) -> list[Checked]:
    """Every case of a file; CaseFault where it holds none."""
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise CaseFault(why_unreadable(path, error)) from error
    except orjson.JSONDecodeError as error:
        raise CaseFault(f"line {error.lineno} is not valid JSON ({error.msg})") from error
    if isinstance(document, list) and all(isinstance(case, dict) and "kind" in case for case in document):
        return _short_cases(path.stem, document)
    is_list = isinstance(document, list)
    came = "another list" if is_list else "an object" if isinstance(document, dict) else "no list"
    raise NoCaseFile(f"holds {came}; a case file holds a list of cases of a rule, each an object with `kind`")


def _short_cases(rule: str, cases: list[Json]) -> list[Checked]:
    rule_book()  # a rule that cannot be used stops the command with a sentence, and is no fault of a case
    waiting = waiting_bands()
    if rule not in all_rule_versions() and rule not in waiting:
        raise CaseFault(f"must be named after a rule; no rule is called {rule}")
    for number, case in enumerate(cases, 1):
        lacks = [name for name in ("kind", "about") if not isinstance(case.get(name), str)]
        if lacks:
            raise CaseFault(f"case {number} lacks {' and '.join(lacks)}, each a string")
    checked = []
    for case in cases:
        waits = case["about"] in waiting.get(rule, ())
        faults = () if waits else tuple(_faults_of_short_case(rule, case))
        checked.append(Checked(f"{rule}: {case.get('id')}", faults, waits))
    lacking = missing_cases(rule, cases) if rule in all_rule_versions() else ()
    return [*checked, Checked(f"{rule}: all cases", tuple(lacking))] if lacking else checked


def _faults_of_short_case(rule: str, case: Json) -> list[str]:
    try:
        return faults_of_case(rule, case)
    except (KeyError, ValueError, TypeError) as error:
        return [f"the case cannot be read ({type(error).__name__}: {error})"]
