"""`cds-hooks release`: switches what shows cards off and on at the server itself, where nobody can log in."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from getpass import getuser
from typing import Annotated, Any

import typer

from cds_hooks.call.hold_back.released import CANARY, KNOWLEDGE, TERMINOLOGY, Key
from cds_hooks.call.trusted_models import AbsentModel, why_withheld
from cds_hooks.evidence.storage.database import parse_url, reading_engine
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.people.access.roles import Role
from cds_hooks.people.governance.act_desk import ActDesk, LoggedIn, ServedHere, WantedAct
from cds_hooks.people.governance.acts import COMMAND, Act, ActState, ApprovalRefused
from cds_hooks.people.governance.approvals import NOBODY_APPROVES
from cds_hooks.people.governance.releases import QUIET, Releases
from cds_hooks.people.governance.terminology import whole_indexes
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

    Exit codes of the list: 0 all acts count, 1 one is refused.

    Example: cds-hooks release off service order-safety --why "wrong doses reported"
    """
    if state is None:
        _list(database, as_json=as_json)
    elif kind is None or name is None or why is None:
        given = {"KIND": kind, "NAME": name, "--why REASON": why}
        lacking = ", ".join(member for member, value in given.items() if value is None)
        raise failure(f"Give STATE, KIND, NAME and --why REASON; missing: {lacking}. Nothing was changed.", 2)
    else:
        _set(state, kind, name, why, share, database)


def _set(state: ActState, kind: str, name: str, why: str, share: int, database: str | None) -> None:
    with _said_in_a_sentence():
        url, by, is_trusting = record_url(database), getuser(), settings().trust_file is not None
        _check_record(url)
        upgrade_schema(parse_url(url))
        if kind == "client":
            _refuse_unknown_client(name)
        if kind == KNOWLEDGE and settings().knowledge is None:
            raise ApprovalRefused(f"CDS_KNOWLEDGE must name the folder with {name}; it is not set here")
        if is_trusting and state not in QUIET:
            raise ApprovalRefused(
                f"behind a trust file {state} takes two people in two roles, who log in and do it at the page of the "
                f"{kind} or at /rules"
            )
        if kind == "model" and state in (CANARY, "active"):
            _refuse_ungated(name)
        served = _served_here(kind, by_two_people=is_trusting)
        wanted = WantedAct(kind, name, state, served.version(kind, name), why, share, early=True)
        person = LoggedIn(by, by, COMMAND, frozenset({Role.OPERATOR}))
        ActDesk(url, served).take([wanted], person, datetime.now(UTC))
        released = recorded_acts(url).current
        words = f"The {kind} {name} is now {released.words.get(f'{kind} {name}', 'on')}"
        if kind == TERMINOLOGY:
            index = next(reversed(released.terminologies), None)
            words = f"The terminology {index} is now in force" if index else "No index is in force now"
    typer.echo(f"{words}. Every server has it within a second.")


def _served_here(kind: str, *, by_two_people: bool) -> ServedHere:
    """Return what acts of release can be about: what a server with these settings would have."""
    from cds_hooks.call.configuration import prompt_versions, served_versions  # rules and models take a second to load
    from cds_hooks.call.services import Service, every_service, services_for, versions_for

    services: dict[str, Service] = {}
    versions: dict[Key, str] = {}
    if kind not in ("client", "unit", "user"):  # a client goes also where a rule or a service cannot be loaded
        services = services_for(settings())
        versions = served_versions(services, versions_for(settings(), services)) | prompt_versions(settings())
        services = every_service(services)
    return ServedHere(
        versions,
        services,
        lambda model: _served_model(model).artifact.release,
        lambda _model: (),
        lambda *_: None,
        partial(whole_indexes, settings()),
        by_two_people,
    )


def _list(database: str | None, *, as_json: bool) -> None:
    with _said_in_a_sentence():
        releases = recorded_acts(record_url(database))
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
    loaded |= {version.name: version.model for version in versions_for(settings(), services).all}
    if name not in loaded:
        raise ApprovalRefused(f"there is no model {name} here; there are {', '.join(sorted(loaded))}")
    return loaded[name]


def _check_record(url: str) -> None:
    """Refuses to make a record: an act in a record that no server reads would be believed to be in effect."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        reading_engine(parsed)


def recorded_acts(url: str) -> Releases:
    """Return the acts of the record; RecordUnavailable where it cannot be read."""
    releases = Releases(by_two_people=settings().trust_file is not None)
    releases.read(url)
    return releases


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


_said_in_a_sentence = partial(said_in_a_sentence, ApprovalRefused, RecordUnavailable, OSError)
