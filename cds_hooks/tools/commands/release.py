"""`cds-hooks release`: switches what shows cards off and on at the server itself, where nobody can log in."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from getpass import getuser
from importlib import import_module
from typing import Annotated, Any, get_args

import typer
from msgspec import to_builtins

from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE, TERMINOLOGY, Key
from cds_hooks.call.trusted_models import AbsentModel, why_withheld
from cds_hooks.evidence.storage.database import parse_url, reading_engine
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.people.governance.acts import COMMAND, RELEASE_EVENT, Act, ActKind, ActState, ApprovalRefused
from cds_hooks.people.governance.approvals import NOBODY_APPROVES
from cds_hooks.people.governance.releases import QUIET, Releases, why_not_allowed
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, Database, as_sentence, failure, print_json, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url
from models_onnx.serving.runtime import Model

Kind = Annotated[
    str | None,
    typer.Argument(metavar="KIND", help="service, client, unit, user, rule, model, equation, prompt or terminology."),
]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Its id; of a client the name in the trust file.")]


def release(
    state: Annotated[
        ActState | None, typer.Argument(metavar="STATE", help="off, on, shadow, canary, active or retired.")
    ] = None,
    kind: Kind = None,
    name: Name = None,
    why: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    share: Annotated[
        int, typer.Option(min=1, max=99, help="Of a canary: to so many in 100 patients, always the same ones.")
    ] = 5,
    compare: Annotated[
        str | None, typer.Option(metavar="NAME@VERSION", help="Compare a version of a model with the one in use.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Bring something into another state, where nobody can log in; without STATE list states and acts.

    Every server has it within a second. off: calls are answered with no card and the reason. on: as before. shadow: it
    is computed and recorded, and not shown, also from canary or active; of a client, unit or user this is silent mode.
    canary: it is shown to a share of the patients, after shadow. active: it is shown to everybody, after canary.
    retired: it is out of use, and can come back by way of shadow. A terminology becomes active, and off takes the one
    before. People who have logged in act at /rules and at the page of the rule or model. Behind a trust file this
    command can silence only: on, canary and active take two people in two roles (docs/operations/approvals.md).

    With --compare what happened decides: of the decisions in which both versions computed, those that are mature and
    whose outcome is known; the same people, with 95 % intervals of the differences of AUROC and net benefit. Nothing is
    said with fewer than 100 events.

    Exit codes of the list: 0 all acts count, 1 one is refused.

    Example: cds-hooks release off service order-safety --why "wrong doses reported"
    """
    if compare is not None:
        _compare(compare, database, as_json=as_json)
    elif state is None:
        _list(database, as_json=as_json)
    elif kind is None or name is None or why is None:
        given = {"KIND": kind, "NAME": name, "--why REASON": why}
        lacking = ", ".join(member for member, value in given.items() if value is None)
        raise failure(f"Give STATE, KIND, NAME and --why REASON; missing: {lacking}. Nothing was changed.", 2)
    else:
        _set(state, kind, name, why, share, database)


def _set(state: ActState, kind: str, name: str, why: str, share: int, database: str | None) -> None:
    with _said_in_a_sentence():
        url, by = record_url(database), getuser()
        _check_record(url)
        upgrade_schema(parse_url(url))
        before = acts_until(url)
        version, gates = _version(kind, name)
        if (fault := why_not_allowed(before.current.states, kind, name, state)) is not None:
            raise ApprovalRefused(fault)
        if settings().trust_file is not None and state not in QUIET:
            raise ApprovalRefused(
                f"behind a trust file {state} takes two people in two roles, who log in and do it at the page of the "
                f"{kind} or at /rules"
            )
        if kind == "model" and state in (CANARY, "active"):
            _refuse_ungated(name)
        act = Act(
            kind=kind,  # type: ignore[arg-type] # _version has refused every other kind
            name=name,
            state=state,
            by=by,
            role="operator",
            person=by,
            issuer=COMMAND,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            why=why,
            version=version,
            gates=gates,
            share=share if state == CANARY else 100,
        )
        add_event(url, RELEASE_EVENT, by, to_builtins(act))
        released = acts_until(url).current
        words = f"The {kind} {name} is now {released.words.get(f'{kind} {name}', 'on')}"
        if kind == TERMINOLOGY:
            index = next(reversed(released.terminologies), None)
            words = f"The terminology {index} is now in force" if index else "No index is in force now"
    typer.echo(f"{words}. Every server has it within a second.")


def _compare(name: str, database: str | None, *, as_json: bool) -> None:
    from cds_hooks.evidence.outcomes.followed import compare_with_outcomes, followed
    from cds_hooks.evidence.outcomes.labels import site_labels
    from models_onnx.model_card.calibration import BAR

    with _said_in_a_sentence():
        version, _ = _version("model", name)
        manifest = _served_model(name).manifest
        odds = 1 / ((manifest.thresholds.alerts_per_event or BAR) - 1)
        rows = followed(
            record_url(database), site_labels(settings())[manifest.id], int(datetime.now(UTC).timestamp() * 1e6)
        )
        compared = compare_with_outcomes(rows, version, odds)
    if as_json:
        print_json(compared)
        return
    for words, figures in ((name, compared.version), ("the other version", compared.other)):
        if figures is not None:
            typer.echo(
                f"{words}: AUROC {figures.auroc:.3f}, observed/expected {figures.observed_expected:.2f}, cards due "
                f"{figures.cards}, net benefit {figures.net_benefit:.1f} per 1,000"
            )
    for words, gap in (("AUROC", compared.auroc), ("net benefit", compared.net_benefit)):
        if gap is not None:
            typer.echo(f"Difference in {words}: {gap[0]:+.3f} ({gap[1]:+.3f} to {gap[2]:+.3f})")
    typer.echo(f"{compared.people} people, {compared.events} events. {compared.verdict}")


def _list(database: str | None, *, as_json: bool) -> None:
    with _said_in_a_sentence():
        releases = acts_until(record_url(database))
    states = releases.current.words
    acts = [_row(act) for act in releases.acts]
    waiting = [_row(act) for act in releases.waiting_for_second()]
    if as_json:
        document = {"states": states, "waiting": waiting, "acts": acts, "refused": releases.refused}
        print_json(document)
    else:
        for name, words in states.items():
            typer.echo(f"{name}: {words}")
        typer.echo(
            "Everything else shows cards by its approvals." if states else "Everything shows cards by its approvals."
        )
        for title, rows in (("Waits for a second person", waiting), ("Act", acts)):
            for row in rows:
                typer.echo(f"{title}: {row['at']} {row['what']} by {row['by']}: {row['why']}")
        for sentence in releases.refused:
            typer.echo(as_sentence(sentence), err=True)
    raise typer.Exit(1 if releases.refused else 0)


def _row(act: Act) -> dict[str, Any]:
    act_words = act.words.replace(" to ", " ")
    return {
        "at": act.at,
        "what": act_words,
        "by": act.signer,
        "why": act.why,
        "version": act.version,
        "gates": act.gates,
    }


def _refuse_ungated(name: str) -> None:
    """Refuses a model that would show nobody a card, whatever the act says: a draft, a red gate, nobody to approve."""
    if settings().model_state == "approved":  # behind a trust file no command gets here
        raise ApprovalRefused(f"the model {name} cannot be released: {NOBODY_APPROVES[:-1]}")
    model = _served_model(name)
    if (why := why_withheld(model)) is not None:
        raise ApprovalRefused(f"the model {name} cannot be released: {why}. Run cds-hooks model gates {name} --record")


def _served_model(name: str) -> Model:
    """Return the model of this name that is served here, in use or beside the one in use."""
    from cds_hooks.call.services import services_for, versions_for

    services = services_for(settings())
    there = (model for service in services.values() for model in service.models if not isinstance(model, AbsentModel))
    loaded = {model.manifest.id: model for model in there}
    return {**loaded, **{version.name: version.model for version in versions_for(settings(), services).all}}[name]


def _check_record(url: str) -> None:
    """Refuses to make a record: an act in a record that no server reads would be believed to be in effect."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        reading_engine(parsed)


def acts_until(url: str, at: float = float("inf")) -> Releases:
    """Return the acts of the record, up to a time (epoch seconds); RecordUnavailable where it cannot be read."""
    releases = Releases(by_two_people=settings().trust_file is not None)
    releases.read(url, at)
    return releases


def _version(kind: str, name: str) -> tuple[str, str]:
    """Return the digest of the version served here, and that of its gate report; ApprovalRefused for no such thing."""
    from cds_hooks.call.configuration import served_versions  # rules and models take a second to load
    from cds_hooks.call.services import every_service, services_for, versions_for

    if kind not in get_args(ActKind):
        raise ApprovalRefused(
            f"{kind[:64]!r} cannot be released or switched off; give one of {', '.join(get_args(ActKind))}."
        )
    if kind == "client":
        _refuse_unknown_client(name)
    if kind in ("client", "unit", "user"):
        return "", ""
    if kind == TERMINOLOGY:
        return _version_of_terminology(name), ""
    if kind == "prompt":
        return _version_of_prompt(name)
    services = services_for(settings())
    if kind == "service":
        if name not in (known := every_service(services)):
            raise ApprovalRefused(f"there is no service {name}; there are {', '.join(known)}")
        return "", ""
    beside = versions_for(settings(), services)
    served: dict[Key, str] = served_versions(services, beside)
    if (kind, name) not in served:
        if kind == KNOWLEDGE and settings().knowledge is None:
            raise ApprovalRefused(f"CDS_KNOWLEDGE must name the folder with {name}; it is not set here")
        there = (
            ", ".join(sorted(served_name for served_kind, served_name in served if served_kind == kind))
            if kind == "model"
            else ""
        )
        listed = (
            f"; there are {there}" if there else "; the page /rules lists those there are" if kind == "rule" else ""
        )
        raise ApprovalRefused(f"there is no {kind} {name!r} here{listed}")
    if kind != "model":
        return served[kind, name], ""
    model = _served_model(name)
    report = model.artifact.release.files.get("gates.json") if model.artifact.release is not None else None
    return served[kind, name], report.sha256 if report is not None else ""


def _refuse_unknown_client(name: str) -> None:
    """Refuse a name that no call has: whoever mistypes it would believe that the client is off.

    Behind a trust file that cannot be read every name is taken, because a client may have to go all the same.
    """
    from cds_hooks.call.security.trust_file import TrustFileError, read_usable_clients

    file = settings().trust_file
    if file is None:
        return
    with suppress(TrustFileError):
        trusted = read_usable_clients(file)
        names = sorted({client.name for client in trusted.clients} | set(trusted.faulty))
        if name not in names:
            raise ApprovalRefused(f"there is no client {name!r} in the trust file; there are {', '.join(names)}")


def _version_of_terminology(name: str) -> str:
    """Return the digest of an index of the folder; ApprovalRefused where it is not there or was changed."""
    from cds_hooks.people.governance.terminology import whole_indexes

    indexes = whole_indexes(settings())
    if name not in indexes:
        there = f"; there are {', '.join(indexes)}" if indexes else ""
        raise ApprovalRefused(f"there is no whole index {name} in the folder that CDS_TERMINOLOGY names{there}")
    return indexes[name]


def _version_of_prompt(name: str) -> tuple[str, str]:
    """Return the digest of a prompt with its model, and that of its report; the text part is imported for it alone."""
    versions: dict[Key, tuple[str, str]] = import_module("cds_hooks.add_ons.text.released").prompt_versions(settings())
    if ("prompt", name) not in versions:
        raise ApprovalRefused(
            f"there is no prompt {name} with green gates here; python -m tests.text evaluate FOLDER "
            "--endpoint NAME tries one"
        )
    return versions["prompt", name]


_said_in_a_sentence = partial(said_in_a_sentence, ApprovalRefused, RecordUnavailable, OSError)
