"""The steps of a Bulk Data export by themselves: tokens, waiting, names of files, and each refusal in its sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest

from cds_hooks.batch import bulk_export
from cds_hooks.batch.bulk_export import STATE, BulkExport, Exported
from cds_hooks.batch.bulk_manifest import BulkRefused
from tests.cds_hooks.batch.test_bulk_export import BACKEND, KEY

BASE = "https://ehr.example/fhir"
LINE = b'{"resourceType":"Patient","id":"p"}\n'
Answer = httpx.Response
Story = dict[str, Any]
"""Of each path below /fhir its answers, the last of which is given again; a function of the request makes one."""


class Server:
    """An EHR and its token server that answer as they are told, and keep what they were asked."""

    def __init__(self, **answers: Any) -> None:
        usual: Story = {
            "/Patient/$export": [Answer(202, headers={"content-location": f"{BASE}/status/1"})],
            "/status/1": [manifest(output=[entry("Patient", "a")])],
            "/a": [Answer(200, content=LINE)],
            "/.well-known/smart-configuration": [Answer(200, json={"token_endpoint": f"{BASE}/token"})],
            "/token": [Answer(200, json={"access_token": "t", "expires_in": 300})],
        }
        self.answers = usual | {
            f"/{name.replace('__', '/').replace('_', '-')}": given for name, given in answers.items()
        }
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> Answer:
        self.asked.append(request)
        path = request.url.path.removeprefix("/fhir")
        if request.method == "DELETE":
            return Answer(202)
        answers = self.answers[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer.status_code, headers=answer.headers, content=answer.content)

    def paths(self) -> list[str]:
        """What was asked, in order."""
        return [f"{each.method} {each.url.path.removeprefix('/fhir')}" for each in self.asked]


def entry(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A file in the list of files."""
    return {"type": kind, "url": f"{BASE}/{name}", **more}


def manifest(**members: Any) -> Answer:
    """The list of files."""
    return Answer(200, json={"transactionTime": "2026-11-20T00:00:00Z", "output": [], **members})


def export(server: Server, folder: Path, **members: Any) -> BulkExport:
    """An export of this server that does not wait."""
    client = httpx.Client(transport=httpx.MockTransport(server))
    return BulkExport(BASE, folder, **({"wait": lambda _: None} | members), _http=client)


def refusal(server: Server, folder: Path, **members: Any) -> str:
    """The sentence with which the export is refused."""
    with pytest.raises(BulkRefused) as refused:
        export(server, folder, **members).run()
    return str(refused.value)


def test_files_are_numbered_by_type_and_only_what_is_not_here_is_fetched(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(
        json.dumps({"asked": {"base": BASE, "group": None, "types": [], "since": None}, "status": f"{BASE}/status/1"})
    )
    (tmp_path / "Patient.1.ndjson").write_bytes(b"here")
    error = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}\n'
    listed = manifest(
        output=[entry("Patient", "a"), entry("Condition", "b", count=1), entry("Patient", "c")],
        error=[entry("OperationOutcome", "d")],
        deleted=[entry("Bundle", "e")],
    )
    plain = [Answer(200, content=LINE)]
    server = Server(status__1=[listed], b=plain, c=plain, d=[Answer(200, content=error * 2)], e=plain)
    said: list[str] = []
    exported = export(server, tmp_path).run(said.append)
    names = ["Patient.1.ndjson", "Condition.1.ndjson", "Patient.2.ndjson"]
    assert exported == Exported(
        tuple(tmp_path / name for name in names),
        (tmp_path / "errors.OperationOutcome.1.ndjson.txt",),
        2,
        "2026-11-20T00:00:00Z",
        (tmp_path / "deleted.Bundle.1.ndjson.txt",),
    )
    assert server.paths() == ["GET /status/1", "GET /b", "GET /c", "GET /d", "GET /e", "DELETE /status/1"]
    assert said[0] == "The server prepares the export."
    assert said[1:4] == [f"{name} is here." for name in names]
    assert not (tmp_path / STATE).exists()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("kind", "is_taken"), [("Patient", True), ("patient", True), ("Pat1ent", False), ("../a", False), ("a b", False)]
)
def test_a_type_that_could_be_another_path_is_refused(tmp_path: Path, kind: str, *, is_taken: bool) -> None:
    server = Server(status__1=[manifest(output=[entry(kind, "a")])])
    if is_taken:
        assert [path.name for path in export(server, tmp_path).run().files] == [f"{kind}.1.ndjson"]
    else:
        assert refusal(server, tmp_path) == "The server names a file of a type that is no FHIR type."


def test_an_export_that_the_server_forgot_is_begun_anew_the_next_time(tmp_path: Path) -> None:
    server = Server(status__1=[Answer(404)])
    assert refusal(server, tmp_path) == (
        f"The server no longer knows this export. Remove the files in {tmp_path}, or take another folder, and type the "
        "command again to begin a new one."
    )
    assert not (tmp_path / STATE).exists()


def test_addresses_that_ended_twice_or_that_are_of_other_files_end_the_export(tmp_path: Path) -> None:
    ended = [Answer(403)]
    twice = Server(a=ended)
    assert refusal(twice, tmp_path / "twice") == (
        "GET /fhir/a was answered with 403: the export ends here. A fresh list of files did not help. What is here "
        "stays: type the command again later."
    )
    assert twice.paths().count("GET /status/1") == 2
    for other in (manifest(output=[entry("Condition", "a")]), manifest(output=[])):
        server = Server(status__1=[manifest(output=[entry("Patient", "a")]), other], a=ended)
        assert refusal(server, tmp_path / "other") == (
            "The server's list of files is another one than before: take another folder, and begin again."
        )
        (tmp_path / "other" / STATE).unlink()


def test_a_status_that_is_not_named_and_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    server = Server()
    server.answers["/Patient/$export"] = [Answer(202)]
    assert refusal(server, tmp_path) == (
        "The server took the export and did not say where its status is (Content-Location)."
    )
    server.answers["/Patient/$export"] = [httpx.ConnectError("refused")]
    assert refusal(server, tmp_path) == f"{BASE} cannot be reached (ConnectError); try again."


def test_waiting_doubles_and_lasts_an_hour_at_the_most(tmp_path: Path) -> None:
    waited: list[float] = []
    said: list[str] = []
    ready = manifest(output=[])
    busy = [
        Answer(202, headers={"x-progress": "x" * 101}),
        *[Answer(202)] * 11,
        Answer(202, headers={"retry-after": "9999"}),
    ]
    export(Server(status__1=[*busy, ready]), tmp_path, wait=waited.append).run(said.append)
    assert waited == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 51.2, 3600.0]
    assert said[:3] == [
        "The server prepares the export.",
        f"The server prepares the export: {'x' * 100}.",
        "The server prepares the export.",
    ]
    waited.clear()
    failing = Server(status__1=[*[Answer(503, headers={"retry-after": "7200"})] * 2, *[Answer(500)] * 3, ready])
    export(failing, tmp_path, wait=waited.append).run()
    assert waited == [3600.0, 3600.0, 0.2, 0.4, 0.8]


def test_a_file_is_asked_for_six_times(tmp_path: Path) -> None:
    waited: list[float] = []
    broken: list[Any] = [Answer(200, content=LINE[:-3]), httpx.ReadError("broken"), Answer(429), Answer(502)]
    export(Server(a=[*broken, Answer(504), Answer(200, content=LINE)]), tmp_path / "a", wait=waited.append).run()
    assert waited == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert (tmp_path / "a" / "Patient.1.ndjson").read_bytes() == LINE
    server = Server(a=[Answer(503)])
    assert refusal(server, tmp_path / "b") == (
        "Patient.1.ndjson could not be downloaded in 6 attempts; what is here stays: try again."
    )
    assert server.paths().count("GET /a") == 6


def with_key(server: Server, folder: Path, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> BulkExport:
    """An export with a key, by this clock."""
    monkeypatch.setattr(bulk_export, "time", clock)
    return export(server, folder, key=BACKEND)


@pytest.mark.parametrize(
    ("lasts", "later", "tokens"),
    [
        (300, 269.9, 1), (300, 270.0, 2), (60, 29.9, 1), (60, 30.0, 2), (None, 269.9, 1), (None, 270.0, 2),
        ("soon", 269.9, 1), ("soon", 270.0, 2), ("90", 59.9, 1), (10, 0.0, 2), (31, 0.9, 1),
    ],
)  # fmt: skip
def test_a_token_is_renewed_half_a_minute_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasts: Any, later: float, tokens: int
) -> None:
    server, now = Server(token=[Answer(200, json={"access_token": "t", "expires_in": lasts})]), [1e9]
    one = with_key(server, tmp_path, lambda: now[0], monkeypatch)
    with one._http:
        one._send("GET", f"{BASE}/a")
        now[0] += later
        one._send("GET", f"{BASE}/a")
    assert server.paths().count("POST /token") == tokens
    assert server.asked[-1].headers["authorization"] == "Bearer t"


def test_a_client_says_who_it_is_for_four_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(status__1=[manifest(output=[entry("Patient", "a")], requiresAccessToken=False)])
    with_key(server, tmp_path, lambda: 1e9 + 0.5, monkeypatch).run()
    (form,) = [parse_qs(each.content.decode()) for each in server.asked if each.method == "POST"]
    (assertion,) = form.pop("client_assertion")
    assert form == {
        "grant_type": ["client_credentials"], "scope": ["system/*.rs"],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    }  # fmt: skip
    claims = jwt.decode(assertion, KEY.public_key(), ["RS384"], audience=f"{BASE}/token", options={"verify_exp": False})
    assert len(claims.pop("jti")) >= 16
    assert claims == {"iss": "panel-client", "sub": "panel-client", "aud": f"{BASE}/token", "exp": 1_000_000_240}
    assert jwt.get_unverified_header(assertion)["kid"] == "key-1"
    with_token = {each.url.path: "authorization" in each.headers for each in server.asked if each.method == "GET"}
    assert with_token == {
        "/fhir/Patient/$export": True, "/fhir/.well-known/smart-configuration": False, "/fhir/status/1": True,
        "/fhir/a": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (Server(token=[Answer(200, json={"expires_in": 3})]), "The token server's answer has no access_token."),
        (Server(token=[Answer(200, json=["t"])]), "The token server's answer has no access_token."),
        (Server(token=[Answer(200, text="t")]), "The token server's answer has no access_token."),
        (Server(token=[Answer(400, json={"error": "invalid_scope"})]),
         "The token server refuses this client (400, invalid_scope)."),
        (Server(token=[Answer(401, text="no")]), "The token server refuses this client (401)."),
        (Server(token=[Answer(503)]), "The token server answered with 503 in 6 attempts: try again later."),
        (Server(**{".well_known__smart_configuration": [Answer(404, json={"token_endpoint": f"{BASE}/token"})]}),
         f"{BASE}/.well-known/smart-configuration names no token_endpoint."),
        (Server(**{".well_known__smart_configuration": [Answer(200, json={})]}),
         f"{BASE}/.well-known/smart-configuration names no token_endpoint."),
        (Server(**{".well_known__smart_configuration": [Answer(200, json={"token_endpoint": "http://x.example/t"})]}),
         "http://x.example is not called: an export needs https (http only on this machine)."),
    ],
)  # fmt: skip
def test_each_refusal_of_a_token_in_a_sentence(tmp_path: Path, server: Server, sentence: str) -> None:
    server.asked.clear()
    assert refusal(server, tmp_path, key=BACKEND) == sentence


def test_a_token_that_is_refused_is_renewed_once_for_each_request(tmp_path: Path) -> None:
    server = Server(a=[Answer(401), Answer(200, content=LINE)])
    server.answers["/status/1"] = [Answer(401), manifest(output=[entry("Patient", "a")], requiresAccessToken=True)]
    assert len(export(server, tmp_path / "a", key=BACKEND).run().files) == 1
    assert server.paths().count("POST /token") == 3
    server = Server(a=[Answer(401)])
    server.answers["/status/1"] = [manifest(output=[entry("Patient", "a")], requiresAccessToken=True)]
    said = refusal(server, tmp_path / "b", key=BACKEND)
    # The address may have ended, too: the list of files is asked for again, and the file once more with a new token.
    assert (server.paths().count("GET /a"), server.paths().count("POST /token")) == (4, 3)
    assert said.startswith("GET /fhir/a was answered with 401: the export ends here.")


def test_a_key_that_cannot_sign_is_said(tmp_path: Path) -> None:
    for key in (
        bulk_export.BackendKey("c", "no key", "k"),
        bulk_export.BackendKey("c", BACKEND.private_key, "k", "ES384"),
    ):
        said = refusal(Server(), tmp_path, key=key)
        assert said == f"The private key cannot sign with {key.algorithm}: give its PEM and algorithm."
