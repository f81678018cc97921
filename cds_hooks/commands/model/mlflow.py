"""One evaluation as a run of an MLflow server: figures, calibration plot, report, gates and card.

MLflow itself is not needed; its REST interface is (https://mlflow.org/docs/latest/rest-api.html). Files go through the
server (`mlflow server --serve-artifacts`, its default), so that nothing here writes into a store of its own.
"""

import re
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from cds_hooks.pages.models.views import evaluation_page
from cds_hooks.settings.checks import address_fault, plain_http_fault
from cds_hooks.web.site import static_file
from models_onnx.artifact.folder import CARD, MODEL
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ArtifactRefused, ModelError, UnknownModel
from models_onnx.model_card.embed import core_digest
from models_onnx.model_card.evaluation_file import METRICS
from models_onnx.serving.registry import find_version
from models_onnx.workbench.release.evaluating import ShownEvaluation
from models_onnx.workbench.release.publishing import GATES

EXPERIMENT: Final = "cds-hooks"
_FILES: Final = "mlflow-artifacts"
_SECONDS: Final = 60.0
_NOT_IN_A_NAME: Final = re.compile(r"[^\w\-. /]")


class NotLogged(ModelError):
    """The run could not be written; the message says what the server said."""


def log_run(address: str, name: str, folder: Path, result: ShownEvaluation) -> str:
    """Write the evaluation as a finished run of the experiment "cds-hooks", and return the id of the run.

    Gates and card are those of the version in `folder`, where its file is the one that was evaluated.

    Raises:
        NotLogged: The address is none to which something may be sent, or the server refuses.
    """
    if fault := address_fault(address) or plain_http_fault(address):
        raise NotLogged(f"--mlflow {address}: {fault}; it is the address of an MLflow server")
    if result.report is None:
        raise NotLogged("a comparison of families is not one model: --mlflow takes an evaluation without --families")
    manifest, how, bins, coarse, whole, groups, shapes = result.report()
    home = _folder_of(name, folder, result.core)
    gates = parse_release(home).gates if home is not None else None
    tags = {
        "model": manifest.id,
        "version": manifest.version,
        "how": how,
        "core_sha256": result.core,
        "gates": "not run" if gates is None else f"not green: {', '.join(gates.red)}" if gates.red else "green",
        "floors": "hold" if result.passed else "do not hold",
    }
    params = {
        "table": manifest.data.name,
        "table_sha256": manifest.data.sha256,
        "inputs": ", ".join(item.name for item in manifest.features),
        "seed": manifest.seed,
        "n": whole["n"],
        "events": whole["events"],
    }
    report = evaluation_page(manifest, how, bins, coarse, whole, groups, shapes)
    files = {
        "report.html": report.encode(),
        "calibration.svg": _calibration_of(report).encode(),
        "evaluation.json": msgspec.json.format(msgspec.json.encode(result.document), indent=1),
    }
    if home is not None:
        files |= {file: (home / file).read_bytes() for file in (CARD, GATES) if (home / file).is_file()}
    pairs = {"metrics": run_metrics(whole, groups), "params": params, "tags": tags}
    return _write_run(address.rstrip("/"), f"{manifest.id}@{manifest.version}", pairs, files)


def _folder_of(name: str, folder: Path, core: str) -> Path | None:
    """Return the folder of the version whose file was evaluated; None where another one lies there, or none."""
    try:
        home = find_version(name, folder).folder
        return home if core_digest((home / MODEL).read_bytes()) == core else None
    except (UnknownModel, ArtifactRefused, OSError):
        return None


def _calibration_of(report: str) -> str:
    """Return the calibration curve of a report as a drawing of its own."""
    drawing = report.partition('id="plot-calibration"')[2].partition("<svg ")[2].partition("</svg>")[0]
    head, _, body = drawing.partition(">")
    style = static_file("look.css").decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curve" {head}><style><![CDATA[{style}]]></style>{body}</svg>\n'
    )


def run_metrics(whole: dict[str, Any], groups: list[dict[str, Any]]) -> dict[str, float]:
    """Each figure with both ends of its interval, and the same of each group that has enough events."""
    blocks = {"": whole}
    blocks |= {f"{group['axis']}/{group['group']}/": group for group in groups if group["sufficient"]}
    return {
        _NOT_IN_A_NAME.sub("_", f"{block}{name}{'' if end == 'value' else f'_{end}'}"): value
        for block, figures in blocks.items()
        for name in METRICS
        if name in figures
        for end, value in figures[name].items()
        if value is not None
    }


def _write_run(address: str, name: str, pairs: dict[str, dict[str, Any]], files: dict[str, bytes]) -> str:
    with httpx.Client(base_url=f"{address}/api/2.0/", timeout=_SECONDS) as client:
        answer = _ask(client, "GET", "mlflow/experiments/get-by-name", 404, params={"experiment_name": EXPERIMENT})
        experiment = answer.get("experiment") or _ask(
            client, "POST", "mlflow/experiments/create", json={"name": EXPERIMENT}
        )
        begun = {"experiment_id": experiment["experiment_id"], "run_name": name, "start_time": _now()}
        run = _ask(client, "POST", "mlflow/runs/create", json=begun)["run"]["info"]
        batch = {
            "metrics": [{"key": key, "value": value, "timestamp": _now()} for key, value in pairs["metrics"].items()],
            "params": [{"key": key, "value": str(value)} for key, value in pairs["params"].items()],
            "tags": [{"key": key, "value": value} for key, value in pairs["tags"].items()],
        }
        _ask(client, "POST", "mlflow/runs/log-batch", json={"run_id": run["run_id"], **batch})
        for file, content in files.items():
            _ask(client, "PUT", f"{_FILES}/artifacts/{quote(_path(run['artifact_uri']))}/{file}", content=content)
        ended = {"run_id": run["run_id"], "status": "FINISHED", "end_time": _now()}
        _ask(client, "POST", "mlflow/runs/update", json=ended)
    return str(run["run_id"])


def _ask(client: httpx.Client, method: str, path: str, absent: int = 0, **given: Any) -> dict[str, Any]:
    """Return the answer as a document; an empty one where the server answers `absent`."""
    try:
        answer = client.request(method, path, **given)
    except httpx.HTTPError as error:
        host = client.base_url.host
        raise NotLogged(f"the MLflow server {host} cannot be reached ({type(error).__name__}): no run") from error
    if answer.status_code == absent:
        return {}
    if not answer.is_success:
        raise NotLogged(f"the MLflow server answered {answer.status_code} to {path}: {answer.text[:200]}")
    return answer.json() if answer.content.strip() else {}


def _path(uri: str) -> str:
    """Return where the server keeps the files of a run."""
    if not uri.startswith(f"{_FILES}:"):
        raise NotLogged(f"the files of the run lie at {uri}, which the server does not pass on: --serve-artifacts")
    return urlsplit(uri).path.strip("/")


def _now() -> int:
    return int(time.time() * 1000)
