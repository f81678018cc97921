"""The pages that say what changed between two versions of a rule or of a model."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.hold_back.rule_texts import rule_texts
from cds_hooks.logs import log
from cds_hooks.pages.answers import failed, page_answer
from cds_hooks.pages.committee.differences import (
    MODEL_PARTS,
    RULE_PARTS,
    VersionChoice,
    changed_parts,
    changes_page,
    rule_parts,
)
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.site import Failure, Site
from models_onnx.artifact.folder import VERSION_SIGN

_NO_SUCH = Failure(
    "No such rule or model", "Not found", "Nothing of this name is here.", "The start page lists what there is."
)
_AWAY = Failure(
    "The record cannot be read",
    "Failed",
    "The texts of earlier versions are in the record of decisions, which does not answer at the moment.",
    "Try again in a minute. If it stays so, tell the operator of this server.",
)
_RULE_NOTE = (
    "With each version stands the day since which the record has its text: servers keep every text that they use."
)
_MODEL_NOTE = "Compared are the manifests, gate reports and releases of the versions in the folders of models."


class Changes:
    """The two pages of one server."""

    def __init__(self, site: Site, url: str, files: ModelFiles) -> None:
        self._site = site
        self._url = url
        self._files = files

    def rule(self, request: Request) -> Response:
        """A rule's versions, as the record has them."""
        version = all_rule_versions().get(request.path_params["rule_id"])
        if version is None:
            return failed(self._site, _NO_SUCH, root="../../")
        try:
            return self._rule(request, version)
        except RecordUnavailable:
            log().error("record away", status=503)
            return failed(self._site, _AWAY, 503, "../../")

    def _rule(self, request: Request, version: RuleVersion) -> Response:
        texts = rule_texts(self._url, version)
        choices = [VersionChoice(each.version, _words(each.version, each.since, version.digest)) for each in texts]
        parts = {each.version: rule_parts(each.declared) for each in texts}
        what = "rule", version.rule.id, version.rule.title
        return self._compared(request, what, choices, parts, RULE_PARTS, _RULE_NOTE, version.digest)

    def model(self, request: Request) -> Response:
        """A model's versions, as the folders of models have them."""
        model_id = request.path_params["model_id"]
        manifest = self._files.manifest(model_id) if VERSION_SIGN not in model_id else None
        if manifest is None:
            return failed(self._site, _NO_SUCH, root="../../")
        parts: dict[str, Any] = {}
        choices = []
        for name in (*self._files.versions(model_id), model_id):
            if (each := self._files.manifest(name)) is not None:
                parts[name] = self._facts(name, msgspec.to_builtins(each))
                place = "in use" if name == model_id else "beside it"
                signed = "" if self._files.is_as_released(name) else ", its files are not those that were released"
                choices.append(VersionChoice(name, f"{each.version}, {place}{signed}"))
        return self._compared(
            request, ("model", model_id, manifest.title), choices, parts, MODEL_PARTS, _MODEL_NOTE, model_id
        )

    def _facts(self, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """The manifest with the gate report and the state of the release."""
        release = self._files.release(name)
        gates = [msgspec.to_builtins(each) for each in self._files.gates(name)]
        state = {"state": release.state, "digest": release.digest} if release is not None else None
        return {**manifest, "gates": gates, "release": state}

    def _compared(
        self,
        request: Request,
        what: tuple[str, str, str],
        choices: list[VersionChoice],
        parts: Mapping[str, Any],
        titles: Mapping[str, str],
        note: str,
        in_use: str,
    ) -> Response:
        """The page for the two versions that the address names, else for the newest other one and the one in use."""
        asked = request.query_params.get("before", ""), request.query_params.get("after", "")
        after = asked[1] if asked[1] in parts else in_use
        others = [each.key for each in choices if each.key != after]
        before = asked[0] if asked[0] in parts else others[-1] if others else after
        changed = changed_parts(parts[before], parts[after], titles)
        return page_answer(changes_page(self._site, what, choices, (before, after), changed, note))


def _words(version: str, since: str, in_use: str) -> str:
    return f"{since or 'not recorded yet'}: {version}{' (in use)' if version == in_use else ''}"
