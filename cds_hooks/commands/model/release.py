"""`cds-hooks model sign|waive|state`: signs a model and changes its release state."""

from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import typer

from cds_hooks.commands.model.console import Specs, own_specs, problems
from cds_hooks.commands.record import site_approvals
from cds_hooks.hold_back.acts import model_subject
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys, signing_key
from models_onnx.artifact.keys import Signer, local_signer, maintainers, public_file, read_signer
from models_onnx.artifact.release_file import Release, reason_cards_withheld
from models_onnx.errors import CardIncomplete, NotReleased
from models_onnx.serving.registry import ARTIFACTS, find_version

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, or id@version, or id@ and its digest.")]
Folder = Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own in it.")]
Out = Annotated[Path, typer.Option("--out", "--folder", help="Folder of artifacts; the model gets its own in it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def written_or_exit(trained: Any, where: str = "") -> Path:
    """Returns the folder of what was trained; where a floor failed, names each that did, and ends with exit code 1."""
    if trained.folder is None:
        failed = [floor for floor in trained.manifest.evaluation["floors"] if not floor["passed"]]
        # a model that separates everybody has no slope: its value is None
        values = ["not computable" if item["value"] is None else f"{item['value']:.3g}" for item in failed]
        pairs = zip(failed, values, strict=True)
        floors = "; ".join(f"{item['name']} is {value}, the floor is {item['limit']}" for item, value in pairs)
        typer.echo(f"Nothing was written, because a floor of the declaration does not hold: {floors}.", err=True)
        for sentence in trained.leaks:
            typer.echo(f"This is a leak: {sentence}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Written: {trained.folder}{where}", err=True)
    return Path(trained.folder)


def publish_trained(folder: Path, specs: Path | None = None, data: Path | None = None) -> None:
    """Puts the card into a model trained here and signs it; says by which key and what follows from it.

    `specs` is the folder of declarations outside the package, in which the words of its card stand; `data` the folder
    of the table where the command named one.
    """
    from models_onnx.workbench.release.card import card_words
    from models_onnx.workbench.release.in_use import record_in_use
    from models_onnx.workbench.release.publishing import publish

    signing_key_of_site = signer()
    release = publish(folder, signing_key_of_site, card_words(folder.name, specs))
    if folder.name == release.id and folder.parent != ARTIFACTS:
        record_in_use(folder.parent, release.id, getuser(), "published")
    if folder.name != release.id:
        typer.echo(
            f"The version in use stays as it is. This one can be tried and released as {folder.name} "
            "(cds-hooks release set shadow|canary|active model); a server loads it when it starts again.",
            err=True,
        )
    typer.echo(f"Published: {release.id} {release.version}, digest {release.digest[:16]}, state draft.", err=True)
    if signing_key_of_site.public.id not in maintainers():
        typer.echo(
            f"Signed by your own key {signing_key_of_site.public.id}. A server takes it where CDS_MODEL_KEYS names "
            f"{public_file(signing_key(settings()))}.",
            err=True,
        )
    where = "" if folder.parent == ARTIFACTS else f" --folder {folder.parent}"
    where += "" if specs is None else f" --specs {specs}"
    where += "" if data is None else f" --data {data}"
    typer.echo(f"Next: cds-hooks model gates {folder.name}{where} --record", err=True)


def sign(name: Name, folder: Folder = ARTIFACTS, specs: Specs = None) -> None:
    """Publish an artifact again: card from its manifest and words, hashes, signature by the local key. A new draft.

    Example: cds-hooks model sign mortality_5y --folder models
    """
    with problems():
        publish_trained(find_version(name, folder).folder, own_specs(specs, folder, name))


def waive(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's id.")],
    key: Annotated[Path, typer.Option(help="The private key of the person who accepts the fault.")],
    folder: Annotated[Path, typer.Option("--folder", help="Folder with the model's declaration.")] = ARTIFACTS,
    specs: Specs = None,
) -> None:
    """Sign the waivers that NAME.card.json declares, for the declared version of the model, and write them there.

    The key is another one than that which publishes the model (cds-hooks approve key makes one), and its public half
    has to be trusted (CDS_MODEL_KEYS). Publish the model afterwards: cds-hooks model sign NAME.

    Exit codes: 0 signed, 2 there is no such model or key, or the model declares no waiver.

    Example: cds-hooks model waive mortality_5y --key my-waivers.pem
    """
    with problems():
        from models_onnx.spec import get_spec
        from models_onnx.workbench.gates.waivers import sign_waiver, waiver_problem
        from models_onnx.workbench.release.card import declared_words, write_words

        specs = own_specs(specs, folder, name)
        version = get_spec(name, specs).version
        person = read_signer(key, "waivers")
        path, words = declared_words(name, specs)
        product = words.get("product", {})
        if not (waivers := product.get("waivers", [])):
            raise CardIncomplete(f"{path.name} declares no waiver (product.waivers)")
        key_file = signing_key(settings())
        author = read_signer(key_file, "trained here").public.id if key_file.is_file() else ""
        keys = {person.public.id: person.public}
        product["waivers"] = [sign_waiver(waiver, name, version, person) for waiver in waivers]
        for waiver in product["waivers"]:
            if (problem := waiver_problem(waiver, name, version, keys, author)) is not None:
                raise CardIncomplete(
                    f"{path.name}: a waiver of {waiver.get('gate', 'no gate')} would not count: {problem}"
                )
        write_words(path, words)
    typer.echo(f"Signed {len(waivers)} waiver(s) of {name} {version} by {person.public.id}: {path}")


def state(
    name: Name,
    to: Annotated[str | None, typer.Option(help="draft, validated, approved, shadow, active or retired.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Who decides; twice for approved.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="In which role; as often as --by.")] = None,
    why: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    folder: Folder = ARTIFACTS,
) -> None:
    """Show the state and history of a release, or move it on: draft, validated, approved, shadow, active, retired.

    Exit codes: 0 shown or moved, 2 the model is not there or the move is not allowed.

    Example: cds-hooks model state mortality_5y
    """
    with problems():
        from models_onnx.artifact.release_file import read_release
        from models_onnx.workbench.release.publishing import move_release

        version = find_version(name, folder)
        release = read_release(version.folder, own_keys(settings()))
        if to is not None:
            at = (settings().as_of or datetime.now(UTC)).isoformat(timespec="seconds")
            typed = list(zip(by or [], role or [], strict=False))
            people = _who_approves(release, typed) if to == "approved" else typed
            release = move_release(version.folder, release, to, at, people, why, signer())
    reason = reason_cards_withheld(release, settings().model_state)
    typer.echo(f"{release.id} {release.version} is {release.state}; cards: {reason or 'shown'}")
    for step in release.history:
        typer.echo(f"  {step.at} {step.state} by {step.by} ({step.role}){': ' + step.why if step.why else ''}")


def _who_approves(release: Release, typed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and roles for a step to approved: behind a trust file of those who have signed the model."""
    if settings().trust_file is None:
        typer.echo(
            "These names were typed; behind a trust file they do not count, and two people sign with their keys: "
            f"cds-hooks approve model {release.id} (docs/operations/approvals.md).",
            err=True,
        )
        return typed
    approvals, subject = site_approvals(), model_subject(release)
    if (missing := approvals.why_not_approved("model", subject, datetime.now(UTC).date())) is not None:
        raise NotReleased(f"{missing}: cds-hooks approve model {release.id} --key FILE")
    return [(signer.person.name, signer.person.role) for signer in approvals.signers("model", subject)]


def signer() -> Signer:
    """The key that signs releases made here. It is created at the first use, and a line says so."""
    path = signing_key(settings())
    site_key, is_new = local_signer(path, "trained here")
    if is_new:
        typer.echo(f"Made a signing key: {path}. Keep it; it belongs into no repository.", err=True)
    return site_key
