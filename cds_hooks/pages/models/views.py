"""The pages of the models: the list, and a model with its card."""

from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.pages.committee.standing import ModelStanding
from cds_hooks.pages.models.description import model_values
from cds_hooks.pages.server import PageServer
from cds_hooks.web.site import HEADERS, Failure, PageRefusal
from models_onnx.artifact.manifest import Manifest

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
        values = model_values(manifest, files.card(model_id))
        return server.page("models/model.html", standing_here=standing_of(server, model_id, manifest), **values)

    def card(model_id: str, form: str) -> Response:
        card_as = files.card_as(model_id, form, server.settings)
        if card_as is None:
            raise PageRefusal(_NO_FILE)
        return Response(card_as[0], media_type=card_as[1], headers=HEADERS)

    return [
        server.route("/models", models),
        server.route("/models/{model_id}", model),
        server.route("/models/{model_id}/card.{form}", card),
    ]


def standing_of(server: PageServer, model_id: str, manifest: Manifest) -> ModelStanding | None:
    """Return how a model in use stands here; None where it was never released."""
    release = server.files.release(model_id)
    if release is None:
        return None
    waivers = (server.files.card(model_id) or {}).get("product", {}).get("waivers", [])
    return server.committee.model(model_id, release, manifest.title, server.files.gates(model_id), waivers)
