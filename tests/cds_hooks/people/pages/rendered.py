"""Pages as their templates render them, without a server."""

from typing import Any

from cds_hooks.people.governance.standing import Standing
from cds_hooks.people.pages.explain.explanation import Explanation
from cds_hooks.people.pages.models.views import model_values
from cds_hooks.people.pages.rules.standing import ActForm, ModelStanding
from cds_hooks.people.web.site import Site, render
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import Release


def model_page(site: Site, manifest: Manifest, *files: Any) -> str:
    """The page of a model; `files` are the card and what was evaluated after it."""
    values = model_values(manifest, *files)
    values |= {"standing_here": None}
    return render("models/model.html", site=site, root="../", **values)


def models_page(site: Site, model: str, title: str, version: str) -> str:
    """The list of models with this one, which is on."""
    now = Standing("on", "released as validated, no gate is red")
    release = Release(
        format="", id=model, version=version, state="validated", digest="", files={}, gates=None, history=(), key=""
    )
    form = ActForm("model", model, "", False, False)
    standing = ModelStanding(title=title, release=release, now=now, approvals=(), missing=None, steps=(), form=form)
    return render(
        "models/models.html",
        site=site,
        root="",
        models=[standing],
        drafts=[],
        needs_approval=False,
        equations=[],
    )


def explanation_page(site: Site, explanation: Explanation) -> str:
    """The page of a decision whose cards have no answers."""
    answers = {"answers": {}, "may_answer": False, "problem": "", "problem_of": ""}
    return render("explain/explanation.html", site=site, root="../", it=explanation, **answers)
