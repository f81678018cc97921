"""The pages of the models: the list, a model with its card, and what changed between two of its versions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.committee.standing import ModelStanding
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.models.description import estimate_of, model_values
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import HEADERS, Failure, PageRefusal, render, static_file
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.effect_plots import effect_plots
from models_onnx.model_card.evaluation_file import METRICS, group_rates
from models_onnx.model_card.plots import BAR, Bin, curves, net_benefit_of_everybody, net_benefits
from models_onnx.serving.effects import Effect

_NO_MODEL = Failure("No such model", "No model of this name is served here.", "The start page lists those there are.")
_MODEL_OUT = Failure(
    "This model cannot be served",
    "The files of the model were changed or are missing, so it gives no advice and its service answers with an error.",
    "Tell the operator of this server; /readyz says what is wrong.",
)
_NO_FILE = Failure(
    "No such file", "There is no such file.",
    "The start page lists the models and equations, and each page has its files.",
)  # fmt: skip


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""
    files = server.files
    absent = {model.name for service in server.services.values() for model in service.absent_models}

    def models() -> Response:
        standings = [standing_of(server, name, manifest) for name, manifest in files.manifests().items()]
        present = [standing for standing in standings if standing is not None]
        return server.page("models/models.html", models=present, needs_approval=server.approvals is not None)

    def model(model_id: str) -> Response:
        if model_id in absent:
            raise PageRefusal(_MODEL_OUT, 503)
        manifest = files.manifest(model_id)
        if manifest is None:
            raise PageRefusal(_NO_MODEL)
        values = model_values(manifest, files.card(model_id), files.evaluation(model_id))
        return server.page("models/model.html", standing_here=standing_of(server, model_id, manifest), **values)

    def card(model_id: str, form: str) -> Response:
        card_as = files.card_as(model_id, form, server.settings)
        if card_as is None:
            raise PageRefusal(_NO_FILE)
        return Response(card_as[0], media_type=card_as[1], headers=HEADERS)

    def changes(model_id: str, before: str = "", after: str = "") -> Response:
        manifest = files.manifest(model_id) if VERSION_SIGN not in model_id else None
        if manifest is None:
            raise PageRefusal(_NO_MODEL)
        values = compared_versions(files, model_id, before, after)
        return server.page("models/changes.html", name=model_id, title=manifest.title, **values)

    return [
        server.route("/models", models),
        server.route("/models/{model_id}", model),
        server.route("/models/{model_id}/changes", changes),
        server.route("/models/{model_id}/card.{form}", card),
    ]


def standing_of(server: PageServer, model_id: str, manifest: Manifest) -> ModelStanding | None:
    """Return how a model in use stands here; None where it was never released."""
    release = server.files.release(model_id)
    if release is None:
        return None
    waivers = (server.files.card(model_id) or {}).get("product", {}).get("waivers", [])
    return server.committee.model(model_id, release, manifest.title, server.files.gates(model_id), waivers)


# What differs between two versions of a model: the place, what stood there before, what stands there after


_LONGEST: Final = 2_000
_NAMES: Final = ("id", "name", "gate", "capacity", "age_low")
"""The members by which the entries of a list are told apart, the first that is there."""

Json = Mapping[str, Any]


def compared_versions(files: ModelFiles, model_id: str, before: str, after: str) -> dict[str, Any]:
    """Return what is shown of the versions `before` and `after`, else of the newest other one and the one in use."""
    facts, choices = dict[str, Json](), []
    for name in (*files.versions(model_id), model_id):
        if (manifest := files.manifest(name)) is not None:
            facts[name] = _facts(files, name, msgspec.to_builtins(manifest))
            standing = "in use" if name == model_id else "beside it"
            signed = "" if files.is_as_released(name) else ", its files are not those that were released"
            choices.append((name, f"{manifest.version}, {standing}{signed}"))
    after = after if after in facts else model_id
    others = [name for name, _ in choices if name != after]
    before = before if before in facts else others[-1] if others else after
    return {"choices": choices, "chosen": (before, after), "rows": differences(facts[before], facts[after])}


def _facts(files: ModelFiles, name: str, manifest: Json) -> Json:
    """Return the manifest with the gate report and the state of the release."""
    release = files.release(name)
    gates = [msgspec.to_builtins(gate) for gate in files.gates(name)]
    state = {"state": release.state, "digest": release.digest} if release is not None else None
    return {**manifest, "gates": gates, "release": state}


def differences(before: Json, after: Json) -> list[tuple[str, str, str]]:
    """Return every place that differs with both texts, "" where there was or is nothing."""
    old, new = dict(_places(before)), dict(_places(after))
    texts = ((path, old.get(path, ""), new.get(path, "")) for path in dict.fromkeys((*old, *new)))
    return [row for row in texts if row[1] != row[2]]


def _places(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each place with its text; a list of objects is taken apart by what names its entries."""
    if isinstance(value, list | tuple) and value and all(isinstance(entry, dict) for entry in value):
        member = next((name for name in _NAMES if all(name in entry for entry in value)), None)
        entries = {str(entry[member]): entry for entry in value} if member is not None else {}
        value = entries if len(entries) == len(value) else value
    if isinstance(value, dict) and value:
        for name, below in value.items():
            words = str(name).replace("_", " ")
            yield from _places(below, f"{path}, {words}" if path else words)
    elif value is not None:
        text = f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else ""
        yield path, (text or orjson.dumps(value).decode())[:_LONGEST]


# The report of an evaluation as a page of its own: it opens without a server, and nothing in it is from elsewhere


def evaluation_page(
    manifest: Manifest,
    how: str,
    bins: Sequence[Bin],
    coarse: Sequence[Bin],
    whole: dict[str, Any],
    groups: list[dict[str, Any]],
    shapes: Sequence[Effect],
) -> str:
    """Figures of `whole` and `groups` (blocks of a manifest), curves of the bins, and what each input does."""
    figures = [
        {"words": words, "ends": [whole[name][end] for end in ("value", "low", "high")]}
        for name, words in METRICS.items()
        if name in whole
    ]
    rates = [
        {
            "name": group_rate.name,
            "sufficient": group_rate.sufficient,
            "rates": [estimate_of(rate) for rate in group_rate.rates],
        }
        for group_rate in group_rates(groups)
    ]
    return render(
        "models/evaluation.html",
        manifest=manifest,
        how=how,
        whole=whole,
        figures=figures,
        curves=curves(bins, coarse, manifest, whole["auroc"]),
        shapes=effect_plots(shapes, manifest.link),
        benefits=net_benefits(manifest),
        benefit_all=net_benefit_of_everybody(manifest),
        alerts=manifest.thresholds.alerts_per_event or BAR,
        equal_ages=rates,
        css=Markup(static_file("look.css").decode()),  # noqa: S704 - a file of this package
    )
