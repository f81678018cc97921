"""A server with a trust file, over real HTTP: who is registered is answered, everyone else hears the same refusal."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cds_hooks.call.services import find_services
from cds_hooks.call.trusted_models import own_keys, trust_site_keys, why_withheld
from cds_hooks.people.governance.acts import service_subject
from cds_hooks.samples import load_patient
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import Chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token, write_key
from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.keys import default_keys, key_file
from models_onnx.artifact.release_file import GateSummary
from models_onnx.errors import SignatureRefused
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model
from tests.cds_hooks.call.services.test_declared import OF_EQUATION, folder_with
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.people.governance.clicking import ANN, BEN, Desk
from tests.conftest import ROOT
from tests.live import free_port, record_in, serving
from tests.models_onnx.workshop import SIGNER, STRANGER
from tests.waiting import until

ISSUER = "https://ehr.example"
KEY = new_key(ISSUER)
CLIENT = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["{ISSUER}"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
cors_origins = ["https://app.ehr.example"]
"""


OPERATOR = f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(CLIENT)
    write_key(KEY, folder / "key.json")
    with serving(folder, CDS_TRUST_FILE=str(folder / "trust.toml"), CDS_OPERATOR_LISTEN=OPERATOR) as address:
        yield address, folder


def _post(address: str, service: str, headers: dict[str, str], planned: str = "planning-talk") -> httpx.Response:
    hook = "patient-view" if service == PLANNING else "order-select"
    draft = None if service == PLANNING else "metformin-ckd4-coded"
    sample = planned if service == PLANNING else "ckd4-metformin"
    request: dict[str, Any] = request_for(service, hook, sample, datetime.now(UTC), draft)
    return httpx.post(f"{address}/cds-services/{service}", json=request, headers=headers, timeout=180)


def _signed(address: str, path: str) -> dict[str, str]:
    return {"authorization": f"Bearer {sign_token(KEY, address + path)}"}


@pytest.mark.slow
def test_a_signed_call_is_answered_once(trusted: tuple[str, Path]) -> None:
    address, _ = trusted
    headers = _signed(address, f"/cds-services/{PLANNING}")
    assert len(_post(address, PLANNING, headers).json()["cards"]) == 1
    assert _post(address, PLANNING, headers).status_code == 401


@pytest.mark.slow
def test_a_service_of_the_site_shows_cards_in_the_words_that_two_people_approved_alone(tmp_path: Path) -> None:
    models, desk = folder_with(tmp_path, OF_EQUATION), Desk(record_in(tmp_path))
    (tmp_path / "keys.json").write_text(json.dumps(KEY.key_set()))
    (tmp_path / "trust.toml").write_text(CLIENT.replace(PLANNING, "heart-talk"))

    def cards(address: str) -> list[Any]:
        sample, path = load_patient("diabetes-no-statin", datetime.now(UTC)), "/cds-services/heart-talk"
        (entry,) = find_services(site_folder=models)["heart-talk"].discovery()
        request = build_request(entry, Chart(resources_of(sample)), [])
        answer = httpx.post(f"{address}{path}", json=request, headers=_signed(address, path), timeout=30)
        shown: list[Any] = answer.json()["cards"]
        assert bool(shown) != ("two people have not approved its words" in answer.text)
        return shown

    places: dict[str, Any] = {"CDS_TRUST_FILE": str(tmp_path / "trust.toml"), "CDS_MODELS_FOLDER": str(models)}
    with serving(tmp_path, **places) as address:
        assert cards(address) == []
        assert httpx.get(f"{address}/readyz").json()["declared_services"] == {"approved": 0, "not_approved": 1}
        subject = service_subject(
            "heart-talk", find_services(site_folder=models)["heart-talk"].advisors[0].words_digest
        )
        for person in (ANN, BEN):
            desk.put_approval(person, subject, kind="service")
        until(lambda: cards(address))
    folder_with(tmp_path, OF_EQUATION.replace("Consider a talk", "Stop all medication. Consider a talk"))
    with serving(tmp_path, **places) as address:
        assert cards(address) == []
        assert "show no cards until their words are approved" in (tmp_path / "server.log").read_text()


@pytest.mark.slow
def test_the_command_line_signs_its_calls_and_sends_feedback(trusted: tuple[str, Path]) -> None:
    address, folder = trusted
    command = [str(ROOT / ".venv/bin/cds-hooks"), "call", "sample:planning-talk"]
    command += ["--service", "planning-conversation", "--key", str(folder / "key.json")]
    done = subprocess.run(
        [*command, "--feedback", "accepted"],
        env=os.environ | {"CDS_PUBLIC_URL": address},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "feedback (accepted) on 1 cards: HTTP 200" in done.stdout


@pytest.mark.slow
def test_why_a_call_was_refused_is_for_the_operator(trusted: tuple[str, Path]) -> None:
    address, folder = trusted
    _post(address, PLANNING, {})
    assert 'cds_untrusted_total{reason="no-token"}' in httpx.get(f"http://{OPERATOR}/metrics").text
    assert '"no-token"' in (folder / "server.log").read_text(), "the line follows the answer, before the next one"


GREEN = GateSummary(green=tuple(f"G{number}" for number in range(1, 19)), red=())


def released(state: str, gates: GateSummary | None = GREEN) -> Model:
    """The committed model as if it stood in that state."""
    artifact = load_model("mortality_5y").artifact
    assert artifact.release is not None
    release = msgspec.structs.replace(artifact.release, state=state, gates=gates)
    return Model(Artifact(artifact.manifest, artifact.content, release))


def test_the_committed_models_of_the_services_show_cards() -> None:
    for name in ("mortality_5y", "mortality_5y_small", "readmission_30d", "readmission_30d_early"):
        assert why_withheld(load_model(name)) is None, name


def test_a_model_nobody_signed_shows_nothing() -> None:
    model = released("validated")
    draft = Model(Artifact(model.manifest, model.artifact.content))
    assert "a draft that nobody signed" in str(why_withheld(draft))


def test_a_site_trusts_the_keys_of_its_settings_and_who_trains_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.json").write_text(key_file(SIGNER.public))
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "model-signing-key.pub.json").write_text(key_file(STRANGER.public))
    configured = Settings(model_keys=tmp_path / "keys.json")
    assert {SIGNER.public.id, STRANGER.public.id} <= set(own_keys(configured))
    trust_site_keys(configured.model_keys)
    assert SIGNER.public.id in default_keys()
    with pytest.raises(SignatureRefused, match="is not there"):
        trust_site_keys(tmp_path / "absent.json")
