"""`cds-hooks model log`, and models by URI from the registry of an MLflow server, over its REST interface.

MLflow itself is not needed: https://mlflow.org/docs/latest/rest-api.html. Files go through the server
(`mlflow server --serve-artifacts`, its default); a store that only MLflow's client reaches is refused.
"""

import re
import time
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import httpx
import typer

from cds_hooks.commands.model.console import problems
from cds_hooks.commands.model.release import Folder, Name
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.artifact.files import write_whole
from models_onnx.artifact.folder import LARGEST_BYTES, MODEL, read_manifest
from models_onnx.artifact.release_file import GateSummary, read_release
from models_onnx.errors import ImportRefused
from models_onnx.serving.registry import ARTIFACTS, find_version

Server = Annotated[str, typer.Option("--mlflow", help="Address of the MLflow server.")]
_URI = re.compile(
    r"(?:models:/(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/]+))|runs:/(?P<run>\w+)/(?P<path>.+))"
)
_FILES = "mlflow-artifacts"
_DEEPEST = 4
_FIGURES = ("auroc", "auprc", "brier", "calibration_slope", "observed_expected")


def is_mlflow(text: str) -> bool:
    """Returns whether this names a model of a registry or a run: models:/NAME/3, models:/NAME@ALIAS, runs:/ID/model."""
    return text.startswith(("models:/", "runs:/"))


def log(name: Name, server: Server, folder: Folder = ARTIFACTS) -> None:
    """Log a version to an MLflow server: the file with MLmodel, card, manifest, gates and signed release, and figures.

    A run of the experiment "cds-hooks" has the figures with their intervals; the registered model of the same id gets a
    new version, whose tags say state, gates and digest. Exit codes: 0 logged, 2 the model or the server cannot be used.

    Example: cds-hooks model log falls_1y --mlflow http://127.0.0.1:5000 --folder own
    """
    with problems():
        home = find_version(name, folder).folder
        release, manifest = read_release(home, own_keys(settings())), read_manifest(home)
        tags = {
            "version": release.version,
            "state": release.state,
            "digest": release.digest,
            "gates": _gates(release.gates),
        }
        version = MLflowServer(server).log(home, manifest, {key: str(value) for key, value in tags.items()})
    typer.echo(f"Logged: models:/{manifest.id}/{version}, digest {release.digest[:16]}, state {release.state}.")


def _gates(summary: GateSummary | None) -> str:
    if summary is None:
        return "not run"
    return f"not green: {', '.join(summary.red)}" if summary.red else "green"


class MLflowServer:
    """One server. Every method raises ImportRefused with what the server said."""

    def __init__(self, address: str, transport: httpx.BaseTransport | None = None) -> None:
        self._address, self._transport = address.rstrip("/"), transport

    def download(self, uri: str, folder: Path) -> Path:
        """Returns the folder into which the files of this model were written."""
        parts = _URI.fullmatch(uri)
        if parts is None:
            raise ImportRefused(f"{uri} is no models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH")
        self._copy(self._files_of(parts), folder, 0)
        return folder

    def log(self, home: Path, manifest: Any, tags: dict[str, str]) -> str:
        """Returns the number of the new version of the registered model."""
        answer = self._call("GET", "experiments/get-by-name", {"experiment_name": "cds-hooks"}, absent=True)
        experiment = answer.get("experiment") or self._call("POST", "experiments/create", {"name": "cds-hooks"})
        begun = self._call("POST", "runs/create", {"experiment_id": experiment["experiment_id"], "start_time": _now()})
        run, where = begun["run"]["info"]["run_id"], begun["run"]["info"]["artifact_uri"]
        figures = manifest.evaluation["all"]
        metrics = [
            {"key": name if end == "value" else f"{name}_{end}", "value": value, "timestamp": _now()}
            for name in _FIGURES
            for end, value in figures.get(name, {}).items()
            if value is not None
        ]
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        self._call("POST", "runs/log-batch", {"run_id": run, "metrics": metrics, "tags": listed})
        for path in sorted(home.iterdir()):
            self._put(f"{where}/model/{path.name}", path.read_bytes())
        self._put(f"{where}/model/MLmodel", _mlmodel(run).encode())
        self._call(
            "POST", "registered-models/create", {"name": manifest.id, "description": manifest.title}, absent=True
        )
        source = {"name": manifest.id, "source": f"{where}/model", "run_id": run, "tags": listed}
        version = self._call("POST", "model-versions/create", source)["model_version"]["version"]
        self._call("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": _now()})
        return str(version)

    def _files_of(self, parts: re.Match[str]) -> str:
        if parts["run"]:
            run = self._call("GET", "runs/get", {"run_id": parts["run"]})["run"]["info"]
            return f"{run['artifact_uri']}/{parts['path']}"
        version = {"name": parts["name"], "version": parts["version"]}
        if parts["alias"]:
            query = {"name": parts["name"], "alias": parts["alias"]}
            version["version"] = self._call("GET", "registered-models/alias", query)["model_version"]["version"]
        return str(self._call("GET", "model-versions/get-download-uri", version)["artifact_uri"])

    def _copy(self, uri: str, folder: Path, depth: int) -> None:
        if depth > _DEEPEST:
            raise ImportRefused("the model's folders are nested too deep")
        listed = self._answer("GET", f"/api/2.0/{_FILES}/artifacts", params={"path": _path(uri)}).json()
        for item in listed.get("files", []):
            name = PurePosixPath(item["path"]).name
            if name in ("", ".", "..") or int(item.get("file_size") or 0) > LARGEST_BYTES:
                raise ImportRefused(f"{item['path']} is no file of a model, or larger than {LARGEST_BYTES // 2**20} MB")
            if item.get("is_dir"):
                self._copy(f"{uri}/{name}", folder / name, depth + 1)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path = quote(f"{_path(uri)}/{name}")
            write_whole(folder / name, self._answer("GET", f"/api/2.0/{_FILES}/artifacts/{path}").content)

    def _put(self, uri: str, content: bytes) -> None:
        self._answer("PUT", f"/api/2.0/{_FILES}/artifacts/{quote(_path(uri))}", content=content)

    def _call(self, method: str, path: str, body: dict[str, Any], absent: bool = False) -> dict[str, Any]:
        """Returns the answer; with `absent` nothing where it is not there, or there already."""
        given = {"params": body} if method == "GET" else {"json": body}
        answer = self._answer(method, f"/api/2.0/mlflow/{path}", absent=absent, **given)
        document: dict[str, Any] = answer.json() if answer.is_success else {}
        return document

    def _answer(self, method: str, path: str, absent: bool = False, **given: Any) -> httpx.Response:
        try:
            with httpx.Client(base_url=self._address, timeout=60, transport=self._transport) as client:
                answer = client.request(method, path, **given)
        except httpx.HTTPError as problem:
            raise ImportRefused(f"the MLflow server {self._address} cannot be reached: {problem}") from problem
        if not answer.is_success and not (absent and answer.status_code in (400, 404)):
            raise ImportRefused(f"the MLflow server answered {answer.status_code} to {path}: {answer.text[:200]}")
        return answer


def _path(uri: str) -> str:
    if not uri.startswith(f"{_FILES}:"):
        raise ImportRefused(
            f"the files lie at {uri}, which the server does not pass on: start it with --serve-artifacts"
        )
    return urlsplit(uri).path.strip("/")


def _now() -> int:
    return int(time.time() * 1000)


def _mlmodel(run: str) -> str:
    return (
        f"artifact_path: model\nflavors:\n  onnx:\n    data: {MODEL}\n    onnx_version: '1'\n    providers:\n"
        f"    - CPUExecutionProvider\nrun_id: {run}\n"
    )
