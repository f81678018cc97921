"""The manifests of docs/operations/files: what they name is there, and what they start is what is tested elsewhere."""

from functools import cache
from typing import Any

import pytest

from cds_hooks.settings import SETTINGS
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the tools of the slow tests")
pytestmark = pytest.mark.slow  # PyYAML is not among the tools of `make test`: there these tests would only be skipped
FILES = ROOT / "docs/operations/files"
_KUBERNETES = "1.31"
"""The oldest version whose schemas the manifest is compared with; 1.37 takes it as well."""
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_kubernetes_takes_its_objects_and_no_member_that_it_does_not_know() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="comes with the tools of the slow tests")
    for kind, manifest in _objects().items():
        validate.validate(manifest, _KUBERNETES, strict=True)
        with pytest.raises(validate.ValidationError):
            validate.validate({**manifest, "spec": {**manifest["spec"], f"{kind}s": 1}}, _KUBERNETES, strict=True)


@cache
def _compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text())
    return document


@cache
def _objects() -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())}


def _container() -> dict[str, Any]:
    (container,) = _objects()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_every_setting_of_the_manifests_is_one_of_the_server() -> None:
    names = [*_compose()["services"]["server"]["environment"], *(variable["name"] for variable in _container()["env"])]
    ours = {name for name in names if name.startswith("CDS_")}
    assert len(ours) >= 6
    assert {name.removeprefix("CDS_").lower() for name in ours} <= set(SETTINGS)


def test_the_image_runs_as_its_own_user_and_writes_to_its_volume_only() -> None:
    user = _objects()["StatefulSet"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in DOCKERFILE
    assert _container()["securityContext"]["readOnlyRootFilesystem"]
    assert _compose()["services"]["server"]["read_only"]
    mounts = {mount["mountPath"] for mount in _container()["volumeMounts"]}
    servers = _objects()["StatefulSet"]["spec"]
    (stays,) = [claim["metadata"]["name"] for claim in servers["volumeClaimTemplates"]]
    volumes = {stays, *(volume["name"] for volume in servers["template"]["spec"]["volumes"])}
    assert {"/var/lib/cds-hooks", "/tmp"} <= mounts  # noqa: S108 - a folder of the container
    assert {mount["name"] for mount in _container()["volumeMounts"]} == volumes
    assert {"name": stays, "mountPath": "/var/lib/cds-hooks"} in _container()["volumeMounts"]


def test_probes_selectors_and_times_fit_together() -> None:
    servers = _objects()["StatefulSet"]["spec"]
    container = _container()
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/livez"}
    labels = servers["template"]["metadata"]["labels"]
    assert servers["selector"]["matchLabels"] == _objects()["Service"]["spec"]["selector"] == labels
    assert _objects()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert _objects()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    (drain,) = [each["value"] for each in container["env"] if each["name"] == "CDS_DRAIN_SECONDS"]
    assert float(drain) + 10 < servers["template"]["spec"]["terminationGracePeriodSeconds"]
    (apart,) = servers["template"]["spec"]["affinity"]["podAntiAffinity"].popitem()[1]
    assert apart["labelSelector"]["matchLabels"] == labels
    (port,) = container["ports"]
    assert str(port["containerPort"]) == container["args"][-1]
