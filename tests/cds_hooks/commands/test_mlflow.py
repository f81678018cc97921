"""Models to and from the registry of an MLflow server: a server that answers as MLflow 3.17 does, and MLflow itself."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model import mlflow as registry_of
from cds_hooks.commands.model.main import app
from cds_hooks.commands.model.mlflow import MLflowServer
from models_onnx.artifact.folder import LARGEST_BYTES, read_manifest
from models_onnx.errors import ImportRefused
from models_onnx.serving.registry import ARTIFACTS

HOME = ARTIFACTS / "readmission_30d"


class Registry:
    """The few endpoints that are called, with files and versions in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.versions: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/2.0/")
        area, _, rest = path.partition("/")
        if area == "mlflow-artifacts":
            return self._artifact(request, rest.removeprefix("artifacts").lstrip("/"))
        body = json.loads(request.content or b"{}") | dict(request.url.params)
        answer = getattr(self, rest.replace("/", "_").replace("-", "_"))(body)
        return httpx.Response(
            200 if answer is not None else 404, json=answer or {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        )

    def _artifact(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "PUT":
            self.files[path] = request.content
            return httpx.Response(200, json={})
        if path:
            return httpx.Response(200, content=self.files[path])
        folder = f"{request.url.params['path']}/"
        names = {name.removeprefix(folder).partition("/")[0] for name in self.files if name.startswith(folder)}
        files = [
            {"path": name, "is_dir": f"{folder}{name}" not in self.files, "file_size": 1} for name in sorted(names)
        ]
        return httpx.Response(200, json={"files": files})

    def experiments_get_by_name(self, _: Any) -> None:
        return None

    def experiments_create(self, _: Any) -> dict[str, str]:
        return {"experiment_id": "1"}

    def runs_create(self, _: Any) -> dict[str, Any]:
        return {"run": {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}}

    def runs_get(self, _: Any) -> dict[str, Any]:
        return {"run": {"info": {"artifact_uri": "s3://bucket/r"}}}

    def runs_log_batch(self, body: Any) -> dict[str, Any]:
        self.metrics += body["metrics"]
        return {"ok": True}

    def runs_update(self, _: Any) -> dict[str, bool]:
        return {"ok": True}

    def registered_models_create(self, _: Any) -> None:
        return None  # it is there already

    def model_versions_create(self, body: Any) -> dict[str, Any]:
        self.versions.append(body)
        return {"model_version": {"version": len(self.versions)}}

    def model_versions_get_download_uri(self, body: Any) -> dict[str, str] | None:
        number = int(body["version"])
        return {"artifact_uri": self.versions[number - 1]["source"]} if number <= len(self.versions) else None


def feature_map(folder: Path) -> list[str]:
    """The options of an import with the card and the map of the model."""
    manifest = json.loads((HOME / "manifest.json").read_text())
    outcome = {name: manifest["outcome"][name] for name in ("column", "words", "horizon_years")}
    ends = {"trained_low": "low", "trained_high": "high", "reference_value": "reference"}
    wanted = ("name", "words", "unit", "fhir", *ends)
    features = [{ends.get(name, name): item[name] for name in wanted} for item in manifest["features"]]
    document = {name: manifest[name] for name in ("id", "version", "title", "population")}
    document |= {"outcome": outcome, "features": features, "tensors": {"input": "features"}}
    (folder / "map.json").write_text(json.dumps(document))
    return ["--card", str(HOME / "card.json"), "--features", str(folder / "map.json"), "--out", str(folder / "out")]


def test_a_version_is_logged_with_its_files_and_figures_and_comes_back(tmp_path: Path) -> None:
    registry = Registry()
    server = MLflowServer("http://mlflow.test", httpx.MockTransport(registry))
    assert server.log(HOME, read_manifest(HOME), {"state": "validated"}) == "1"
    logged = {Path(name).name for name in registry.files}
    assert logged >= {"model.onnx", "card.json", "gates.json", "release.json", "MLmodel"}
    assert {"auroc", "auroc_low", "auroc_high"} <= {metric["key"] for metric in registry.metrics}
    assert registry.versions[0]["tags"] == [{"key": "state", "value": "validated"}]
    folder = server.download("models:/readmission_30d/1", tmp_path / "down")
    assert (folder / "model.onnx").read_bytes() == (HOME / "model.onnx").read_bytes()


def test_what_the_server_cannot_give_is_refused_in_a_sentence(tmp_path: Path) -> None:
    server = MLflowServer("http://mlflow.test", httpx.MockTransport(Registry()))
    for uri, sentence in (
        ("models:/readmission_30d/7", "answered 404"),
        ("models:/readmission_30d", "is no models:/NAME/VERSION"),
        ("runs:/abc/model", r"s3://bucket/r/model, which the server does not pass on: start it with --serve-artifacts"),
    ):
        with pytest.raises(ImportRefused, match=sentence):
            server.download(uri, tmp_path)
    told = CliRunner().invoke(app, ["import", "models:/x/1", *feature_map(tmp_path)])
    assert told.exit_code == 2
    assert "say by --mlflow where it is" in told.output


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[str]:
    """The address of MLflow's own server; the test is skipped where MLflow is not installed."""
    program = shutil.which("mlflow")
    if program is None:
        pytest.skip("MLflow is not installed: install requirements/mlops.txt into an environment on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = f"sqlite:///{tmp_path}/mlflow.db"
    options = ["--port", str(port), "--backend-store-uri", store, "--artifacts-destination", str(tmp_path / "files")]
    process = subprocess.Popen([program, "server", "--workers", "1", *options], cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{address}/health", timeout=1).is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_mlflow_itself_takes_a_version_and_gives_it_back(mlflow: str, tmp_path: Path) -> None:
    run = CliRunner()
    for number in (1, 2):
        told = run.invoke(app, ["log", "readmission_30d", "--mlflow", mlflow])
        assert told.exit_code == 0, told.output
        assert f"models:/readmission_30d/{number}, digest" in told.output
    told = run.invoke(app, ["adopt", "models:/readmission_30d/2", "--mlflow", mlflow, *feature_map(tmp_path)])
    assert told.exit_code == 0, told.output
    manifest = json.loads((tmp_path / "out" / "readmission_30d" / "manifest.json").read_text())
    assert manifest["came_from"].startswith("MLflow ? model of run")


class Odd(Registry):
    """A registry whose runs lie where it serves files, and with an alias."""

    def runs_get(self, _: Any) -> dict[str, Any]:
        return {"run": {"info": {"artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}}

    def registered_models_alias(self, body: Any) -> dict[str, Any] | None:
        return {"model_version": {"version": "1"}} if body == {"name": "m", "alias": "prod"} else None


def test_a_model_is_had_by_its_alias_or_its_run_with_the_folders_in_it(tmp_path: Path) -> None:
    registry = Odd()
    registry.versions.append({"source": "mlflow-artifacts:/1/r/artifacts/model"})
    registry.files = {f"1/r/artifacts/model/{name}": name.encode() for name in ("a.txt", "b/c/d.txt")}
    server = MLflowServer("http://mlflow.test/", httpx.MockTransport(registry))
    for uri in ("models:/m@prod", "models:/m/1", "runs:/r/model"):
        folder = server.download(uri, tmp_path / uri.replace("/", "_"))
        found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
        assert found == {"a.txt": "a.txt", "b/c/d.txt": "b/c/d.txt"}
    registry.files = {f"1/r/artifacts/model/{'b/' * 4}d.txt": b"d"}
    assert (server.download("models:/m/1", tmp_path / "deep") / "b/b/b/b/d.txt").read_bytes() == b"d"
    registry.files = {f"1/r/artifacts/model/{'b/' * 5}d.txt": b"d"}
    with pytest.raises(ImportRefused, match="the model's folders are nested too deep"):
        server.download("models:/m/1", tmp_path / "deeper")


@pytest.mark.parametrize("uri", ["models:/m", "models:/m/", "models:/m/one", "runs:/r", "runs:/r/", "m/1"])
def test_an_address_of_another_form_is_refused(uri: str, tmp_path: Path) -> None:
    words = f"{uri} is no models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH"
    with pytest.raises(ImportRefused) as refused:
        MLflowServer("http://mlflow.test").download(uri, tmp_path)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ({"path": "model/..", "file_size": 1}, "model/.. is no file of a model, or larger than "),
        (
            {"path": "model/big", "file_size": LARGEST_BYTES + 1},
            "model/big is no file of a model, or larger ",
        ),
        ({"path": "model/fit", "file_size": str(LARGEST_BYTES)}, None),
        ({"path": "model/odd", "file_size": None}, None),
    ],
)
def test_a_file_that_is_too_large_or_has_no_name_is_refused(
    listed: dict[str, Any], words: str | None, tmp_path: Path
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("get-download-uri"):
            return httpx.Response(200, json={"artifact_uri": "mlflow-artifacts:/1/model"})
        is_list = request.url.path.endswith("/artifacts")
        return httpx.Response(200, json={"files": [listed]}) if is_list else httpx.Response(200, content=b"x")

    server = MLflowServer("http://mlflow.test", httpx.MockTransport(answer))
    if words is None:
        assert [path.read_bytes() for path in server.download("models:/m/1", tmp_path).iterdir()] == [b"x"]
        return
    with pytest.raises(ImportRefused, match=f"^{words}"):
        server.download("models:/m/1", tmp_path)


def test_what_the_server_says_is_passed_on_and_so_is_its_silence(tmp_path: Path) -> None:
    def fails(request: httpx.Request) -> httpx.Response:
        if request.url.host == "silent.test":
            raise httpx.ConnectError("nobody is there")
        return httpx.Response(500, text="no " * 100)

    for host, words in (
        ("mlflow.test", f"the MLflow server answered 500 to /api/2.0/mlflow/runs/get: {('no ' * 100)[:200]}"),
        ("silent.test", "the MLflow server http://silent.test cannot be reached: nobody is there"),
    ):
        with pytest.raises(ImportRefused) as refused:
            MLflowServer(f"http://{host}", httpx.MockTransport(fails)).download("runs:/r/model", tmp_path)
        assert str(refused.value) == words


def test_the_figures_of_a_version_are_logged_with_both_ends_and_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    monkeypatch.setattr(time, "time", lambda: 12.3456)
    manifest = read_manifest(HOME)
    MLflowServer("http://mlflow.test", httpx.MockTransport(registry)).log(HOME, manifest, {})
    auroc = manifest.evaluation["all"]["auroc"]
    assert [metric for metric in registry.metrics if metric["key"].startswith("auroc")] == [
        {"key": name, "value": auroc[end], "timestamp": 12345}
        for name, end in (("auroc", "value"), ("auroc_low", "low"), ("auroc_high", "high"))
    ]
    assert registry.files["1/r/artifacts/model/MLmodel"].decode() == (
        "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\n    onnx_version: '1'\n    providers:\n"
        "    - CPUExecutionProvider\nrun_id: r\n"
    )


def test_the_command_says_what_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    made = registry_of.MLflowServer
    monkeypatch.setattr(registry_of, "MLflowServer", lambda address: made(address, httpx.MockTransport(registry)))
    done = CliRunner().invoke(app, ["log", "readmission_30d", "--mlflow", "http://mlflow.test"])
    release = json.loads((HOME / "release.json").read_text())
    assert done.exit_code == 0, done.output
    tags = {tag["key"]: tag["value"] for tag in registry.versions[0]["tags"]}
    assert list(tags) == ["version", "state", "digest", "gates"]
    assert done.stdout == (f"Logged: models:/readmission_30d/1, digest {tags['digest'][:16]}, state {tags['state']}.\n")
    assert str(release).count(tags["version"])


def test_the_gates_of_a_version_are_a_word() -> None:
    from types import SimpleNamespace

    red: Any = SimpleNamespace(red=("G1", "G9"))
    green: Any = SimpleNamespace(red=())
    assert [registry_of._gates(summary) for summary in (None, red, green)] == ["not run", "not green: G1, G9", "green"]
