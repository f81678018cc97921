"""`cds-hooks approve`: people sign rules, models and waivers with their own keys; the record keeps what they signed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cds_hooks.commands.options import AsJson, Database, Out, print_json
from cds_hooks.commands.record import site_approvals
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import said_in_a_sentence
from cds_hooks.hold_back.acts import (
    ApprovalRefused,
    Kind,
    Statement,
    Subject,
    model_subject,
    rule_subject,
    waiver_subject,
    words_of,
)
from cds_hooks.hold_back.approvals import NEEDED, ApprovalBook, Signed
from cds_hooks.hold_back.people import People, PeopleFileError, Person, add_person, entry_of, read_people
from cds_hooks.hold_back.rules_file import ReviewedRule, RulesFileError, read_review, refuse_unfit
from cds_hooks.hold_back.signatures import sign_act, write_signed
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.trusted_models import own_keys
from models_onnx.artifact.keys import local_signer, read_signer
from models_onnx.artifact.release_file import read_release
from models_onnx.errors import ModelError, NotReleased
from models_onnx.serving.registry import ARTIFACTS, Version, find_version

app = typer.Typer(no_args_is_help=True, help="Sign rules, models and waivers with the keys of two people.")

Key = Annotated[Path, typer.Option("--key", help="Private key of the person who signs (PEM).")]
Note = Annotated[str, typer.Option(help="What was checked; needed where a rule still needs a label check.")]
PeopleOption = Annotated[
    Path | None, typer.Option("--people", metavar="FILE", help="The file of people; else CDS_PEOPLE_FILE.")
]
Folder = Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own in it.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version.")]


@app.command()
def key(
    out: Annotated[Path, typer.Option(help="New file of the private key; only you can read it.")],
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    role: Annotated[str, typer.Option(help="As what they approve: pharmacist, physician …")],
    people: PeopleOption = None,
) -> None:
    """Make a person's key, and add the person to the file of people, or print the entry for it.

    Example: cds-hooks approve key --out ann.pem --name "Ann Lee" --role pharmacist --people people.toml
    """
    with _said_in_a_sentence():
        signer, is_new = local_signer(out, name)
        if not is_new:
            raise ApprovalRefused(f"{out} is there already; nothing was changed")
        person = Person(name.strip(), role.strip(), signer.public)
        if people is not None:
            add_person(people, person)
    typer.echo(f"Private key: {out}, key id {signer.public.id}. {name} keeps it and gives it to nobody.")
    typer.echo(f"{people} names {name} ({role})." if people else entry_of(person).strip())


@app.command()
def rule(
    key: Key,
    rule: Annotated[str | None, typer.Argument(metavar="RULE", help="Its id.")] = None,
    version: Annotated[str, typer.Option(help="The version that was read, as `rules show` prints it.")] = "",
    reviewed: Annotated[
        Path | None,
        typer.Option(
            "--reviewed", metavar="FILE", help="All versions of a list, as `rules show --to-review` prints it."
        ),
    ] = None,
    note: Note = "",
    people: PeopleOption = None,
    database: Database = None,
    out: Out = None,
) -> None:
    """Sign a version of a medication rule, or every version of a reviewed list; a wrong line signs nothing.

    With the second person's signature it shows its cards behind a trust file.

    Example: cds-hooks approve rule renal-metformin --version 0123456789abcdef --key ann.pem
    """
    if (rule is None) == (reviewed is None):
        raise typer.BadParameter("name a RULE with its --version, or a list with --reviewed")
    with _said_in_a_sentence():
        wanted = read_review(reviewed) if reviewed is not None else [ReviewedRule(str(rule), version, note)]
        refuse_unfit(wanted)
    _sign(
        [
            ("rule", rule_subject(reviewed_rule.rule, reviewed_rule.digest), reviewed_rule.note)
            for reviewed_rule in wanted
        ],
        key,
        people,
        database,
        out,
    )


@app.command()
def model(
    name: ModelName,
    key: Key,
    note: Note = "",
    folder: Folder = ARTIFACTS,
    people: PeopleOption = None,
    database: Database = None,
    out: Out = None,
) -> None:
    """Sign a model as it was released, with its gate report. It takes two people in two roles.

    Example: cds-hooks approve model mortality_5y --key ann.pem
    """
    with _said_in_a_sentence():
        version = find_version(name, folder)
        release = read_release(version.folder, own_keys(settings()))
        if release.gates is None or release.gates.red:
            red = ", ".join(release.gates.red) if release.gates is not None else "no gate report"
            raise NotReleased(f"{release.id} {release.version} cannot be approved: {red} not green")
    _sign([("model", model_subject(release), note)], key, people, database, out)


@app.command()
def waiver(
    name: ModelName,
    key: Key,
    gate: Annotated[str, typer.Option(help="The gate whose waiver is signed.")] = "G9",
    note: Note = "",
    folder: Folder = ARTIFACTS,
    people: PeopleOption = None,
    database: Database = None,
    out: Out = None,
) -> None:
    """Sign the waivers of a gate on a model's card, text and end. The second key is not the author's.

    Example: cds-hooks approve waiver mortality_5y --gate G9 --key ann.pem
    """
    with _said_in_a_sentence():
        version = find_version(name, folder)
        subjects = [waiver for waiver in _waivers(version) if waiver["gate"] == gate]
        if not subjects:
            raise ApprovalRefused(f"the card of {version.id} {version.version} has no waiver of {gate}")
    _sign([("waiver", subject, note) for subject in subjects], key, people, database, out)


def _waivers(version: Version) -> list[Subject]:
    from models_onnx.workbench.gates.subject import read_subject

    subject = read_subject(version.folder, own_keys(settings()))
    return [waiver_subject(subject.id, subject.about.version, waiver) for waiver in subject.product.get("waivers", [])]


def _sign(
    wanted: Sequence[tuple[Kind, Subject, str]], key: Path, people: Path | None, database: str | None, out: Path | None
) -> None:
    if out is not None:
        with _said_in_a_sentence():
            _write(wanted, key, people or settings().people_file, out)
        return
    with _said_in_a_sentence():
        url = record_url(database)
        book = ApprovalBook(url, people or settings().people_file)
        signer = read_signer(key, "approval")
        today = datetime.now(UTC).date()
        book.approve_all(wanted, signer)
        faults = [book.why_not_approved(kind, subject, today) for kind, subject, _ in wanted]
        if len(wanted) == 1:
            kind, subject, _ = wanted[0]
            signed = book.signers(kind, subject)
            by = " and ".join(f"{signature.person.name} ({signature.person.role})" for signature in signed)
            typer.echo(f"{_capital(words_of(kind, subject))}: signed by {by}.")
            typer.echo(f"It is approved: {_next(kind, subject)}" if faults[0] is None else f"{_capital(faults[0])}.")
        else:
            approved = faults.count(None)
            typer.echo(
                f"Signed: {len(wanted)} {wanted[0][0]}s. Approved by {NEEDED} people now: {approved}; waiting for the "
                f"signature of another person: {len(wanted) - approved}."
            )


def _write(wanted: Sequence[tuple[Kind, Subject, str]], key: Path, people: Path | None, out: Path) -> None:
    """Signs into a file; whether it counts is decided where it is handed in."""
    signer = read_signer(key, "approval")
    person = (read_people(people) if people is not None else People()).of_key(signer.public.id)
    if person is None:
        file = people or "the file of people, which --people or CDS_PEOPLE_FILE names"
        raise ApprovalRefused(f"the key {signer.public.id} belongs to nobody in {file}")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    signed = [
        sign_act(
            Statement(kind=kind, subject=dict(subject), by=person.name, role=person.role, at=at, note=note), signer
        )
        for kind, subject, note in wanted
    ]
    write_signed(out, signed)
    subject_words = words_of(*wanted[0][:2]) if len(wanted) == 1 else f"{len(wanted)} {wanted[0][0]}s"
    typer.echo(f"{out}: {subject_words}, signed by {person.name} ({person.role}). Hand it in at the page /rules.")


def _next(kind: Kind, subject: Subject) -> str:
    if kind == "rule":
        return "a server has it within two seconds."
    if kind == "model":
        version = f"{subject['model']}@{subject['version']}"
        return (
            f"cds-hooks model state {version} --to approved writes it into the release (--folder names where it lies)."
        )
    return f"until {subject['expires']}."


@app.command("list")
def list_(
    people: PeopleOption = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List what was signed by whom, and what is still missing; each signature is verified.

    Exit code 1 where an entry does not count, because it was changed or its key belongs to nobody in the file.

    Example: cds-hooks approve list --people people.toml
    """
    with _said_in_a_sentence():
        book = site_approvals(database, people)
    rows = [_row(book, signed) for signed in book.everything()]
    if as_json:
        print_json({"approvals": rows, "refused": book.refused})
    else:
        for row in rows:
            by = "; ".join(
                f"{signature['by']} ({signature['role']}), {signature['at']}, entry {signature['entry']}"
                for signature in row["signed"]
            )
            state = "approved" if row["missing"] is None else f"not approved: {row['missing']}"
            typer.echo(f"{_capital(row['what'])}: {state}.\n  Signed by {by}.")
        for sentence in book.refused:
            typer.echo(f"{_capital(sentence)}.", err=True)
        if not rows and not book.refused:
            typer.echo("Nothing was signed yet.")
    raise typer.Exit(1 if book.refused else 0)


def _row(book: ApprovalBook, signed: list[Signed]) -> dict[str, Any]:
    kind, subject = signed[0].statement.kind, signed[0].statement.subject
    return {
        "kind": kind,
        "what": words_of(kind, subject),
        "subject": subject,
        "missing": book.why_not_approved(kind, subject, datetime.now(UTC).date()),
        "signed": [
            {
                "by": signature.person.name,
                "role": signature.person.role,
                "key": signature.person.key.id,
                "at": signature.statement.at,
                "note": signature.statement.note,
                "entry": signature.entry,
            }
            for signature in signed
        ],
    }


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


_said_in_a_sentence = partial(
    said_in_a_sentence, ApprovalRefused, PeopleFileError, RulesFileError, RecordUnavailable, ModelError, OSError
)
