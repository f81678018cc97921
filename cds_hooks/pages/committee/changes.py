"""The pages that say what changed between two versions of a rule or of a model."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cards.rules.engine.governance import RuleVersion
from cds_hooks.hold_back.rule_texts import rule_texts
from cds_hooks.pages.committee.differences import (
    MODEL_PARTS,
    RULE_PARTS,
    VersionChoice,
    changed_parts,
    rule_parts,
)
from cds_hooks.pages.server import PageServer
from models_onnx.artifact.manifest import Manifest

_RULE_NOTE = (
    "With each version stands the day since which the record has its text: servers keep every text that they use."
)
_MODEL_NOTE = "Compared are the manifests, gate reports and releases of the versions in the folders of models."


class Changes:
    """The two pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._url = server.settings.database_url
        self._files = server.files

    def rule(self, request: Request, version: RuleVersion) -> Response:
        """A rule's versions, as the record has them."""
        texts = rule_texts(self._url, version)
        choices = [VersionChoice(text.version, _words(text.version, text.since, version.digest)) for text in texts]
        parts = {text.version: rule_parts(text.declared) for text in texts}
        subject = "rule", version.rule.id, version.rule.title
        return self._compared(request, subject, choices, parts, RULE_PARTS, _RULE_NOTE, version.digest)

    def model(self, request: Request, model_id: str, manifest: Manifest) -> Response:
        """A model's versions, as the folders of models have them."""
        parts: dict[str, Any] = {}
        choices = []
        for name in (*self._files.versions(model_id), model_id):
            if (manifest_of_version := self._files.manifest(name)) is not None:
                parts[name] = self._facts(name, msgspec.to_builtins(manifest_of_version))
                standing = "in use" if name == model_id else "beside it"
                signed = "" if self._files.is_as_released(name) else ", its files are not those that were released"
                choices.append(VersionChoice(name, f"{manifest_of_version.version}, {standing}{signed}"))
        return self._compared(
            request, ("model", model_id, manifest.title), choices, parts, MODEL_PARTS, _MODEL_NOTE, model_id
        )

    def _facts(self, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """The manifest with the gate report and the state of the release."""
        release = self._files.release(name)
        gates = [msgspec.to_builtins(gate) for gate in self._files.gates(name)]
        state = {"state": release.state, "digest": release.digest} if release is not None else None
        return {**manifest, "gates": gates, "release": state}

    def _compared(
        self,
        request: Request,
        subject: tuple[str, str, str],
        choices: list[VersionChoice],
        parts: Mapping[str, Any],
        titles: Mapping[str, str],
        note: str,
        in_use: str,
    ) -> Response:
        """The page for the two versions that the address names, else for the newest other one and the one in use."""
        wanted = request.query_params.get("before", ""), request.query_params.get("after", "")
        after = wanted[1] if wanted[1] in parts else in_use
        other_keys = [choice.key for choice in choices if choice.key != after]
        before = wanted[0] if wanted[0] in parts else other_keys[-1] if other_keys else after
        changed = changed_parts(parts[before], parts[after], titles)
        kind, name, title = subject
        return self._server.page(
            "committee/changes.html",
            kind=kind,
            name=name,
            title=title,
            choices=choices,
            chosen=(before, after),
            parts=changed,
            note=note,
        )


def _words(version: str, since: str, in_use: str) -> str:
    return f"{since or 'not recorded yet'}: {version}{' (in use)' if version == in_use else ''}"
