"""The Bulk Data client against a real HTTP server on this machine that checks tokens, makes it wait, and fails."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.batch.bulk_export import STATE, BackendKey, BulkExport
from cds_hooks.batch.bulk_manifest import BulkRefused
from cds_hooks.batch.charts import FolderTally, Wanted, charts_of
from cds_hooks.batch.selection import questions_about
from cds_hooks.settings import Settings

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
BACKEND = BackendKey("panel-client", PEM, "key-1")
FILES = {
    "Patient": '{"resourceType":"Patient","id":"p1"}\n{"resourceType":"Patient","id":"p2"}\n',
    "Condition": '{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p1"}}\n',
}


class Story:
    """What the server does and what it saw."""

    def __init__(self) -> None:
        self.polls_before_ready = 2
        self.fail_first: dict[str, int] = {}
        self.requests: list[tuple[str, str]] = []
        self.tokens = 0
        self.refuse_token = False
        self.end_token_after: int | None = None
        self.end_token_after_failure = False
        self.lasts: object = 300
        self.foreign_file = False
        self.host = "http://elsewhere.example"
        self.errors: list[str] = []
        self.busy: list[str] = []
        self.exports = 0
        self.assertions: list[dict[str, Any]] = []
        self.manifest: dict[str, Any] = {}
        self.contents: dict[str, list[tuple[int, bytes]]] = {}
        self.kick_off: tuple[int, str] | None = None


@contextmanager
def bulk_server(story: Story) -> Iterator[str]:
    """The base address of a server that exports FILES."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def may(self) -> bool:
            if self.headers.get("Authorization") == f"Bearer token-{story.tokens}" and story.tokens:
                return True
            self.answer(401)
            return False

        def fails(self, path: str) -> bool:
            if not story.fail_first.get(path, 0):
                return False
            story.fail_first[path] -= 1
            if story.end_token_after_failure:
                story.tokens += 100
            self.answer(503, Retry_After="0")
            return True

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.fails("/fhir/token"):
                return
            form = parse_qs(content.decode())
            claims = jwt.decode(
                form["client_assertion"][0],
                KEY.public_key(),
                ["RS384"],
                audience=f"{base}/token",
                issuer="panel-client",
            )
            story.assertions.append(claims)
            if story.refuse_token:
                self.answer(400, b'{"error":"invalid_client"}')
                return
            story.tokens += 1
            self.answer(200, json.dumps({"access_token": f"token-{story.tokens}", "expires_in": story.lasts}).encode())

        def do_DELETE(self) -> None:
            story.requests.append(("DELETE", self.path))
            self.answer(202)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            story.requests.append(("GET", self.path))
            if path.endswith("/.well-known/smart-configuration"):
                if self.fails(path):
                    return
                self.answer(200, json.dumps({"token_endpoint": f"{base}/token"}).encode())
                return
            if not self.may():
                return
            if path.endswith("$export") and story.busy:
                self.answer(429, Retry_After=story.busy.pop(0))
            elif path.endswith("/files/OperationOutcome"):
                self.answer(200, "\n".join(story.errors).encode())
            elif self.fails(path):
                return
            elif story.contents.get(kind := path.rpartition("/")[2]):
                answers = story.contents[kind]
                self.answer(*(answers.pop(0) if len(answers) > 1 else answers[0]))
            elif path.endswith("$export") and story.kick_off:
                self.answer(story.kick_off[0], Content_Location=story.kick_off[1])
            elif path.endswith("$export"):
                story.exports += 1
                self.answer(202, Content_Location=f"{base}/status/{story.exports}")
            elif path.startswith("/fhir/status"):
                self.status()
            else:
                self.answer(200, FILES[path.rpartition("/")[2]].encode())

        def status(self) -> None:
            if story.end_token_after is not None and story.tokens == story.end_token_after:
                story.tokens += 100  # every token so far is worth nothing any more
            if story.polls_before_ready:
                story.polls_before_ready -= 1
                self.answer(202, Retry_After="7", X_Progress="half")
                return
            host = story.host if story.foreign_file else base
            output = [{"type": kind, "url": f"{host}/files/{kind}"} for kind in FILES]
            failed = [{"type": "OperationOutcome", "url": f"{base}/files/OperationOutcome"}] if story.errors else []
            manifest = {"transactionTime": "2026-11-20T00:00:00Z", "requiresAccessToken": True, "output": output}
            self.answer(200, json.dumps(manifest | {"error": failed} | story.manifest).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield base
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_export_is_prepared_waited_for_downloaded_and_removed(tmp_path: Path) -> None:
    story, waited = Story(), list[float]()
    with bulk_server(story) as base:
        export = BulkExport(base, tmp_path, BACKEND, "g1", ("Patient", "Condition"), "2026-01-01", waited.append)
        files = export.run().files
    assert [path.name for path in files] == ["Patient.1.ndjson", "Condition.1.ndjson"]
    assert [path.read_text() for path in files] == list(FILES.values())
    assert waited == [7.0, 7.0]
    kick_off = next(path for _, path in story.requests if "$export" in path)
    asked = parse_qs(urlsplit(kick_off).query)
    assert urlsplit(kick_off).path == "/fhir/Group/g1/$export"
    assert (asked["_type"], asked["_since"]) == (["Patient,Condition"], ["2026-01-01"])
    assert ("DELETE", "/fhir/status/1") in story.requests
    (claims,) = story.assertions
    assert (claims["iss"], claims["sub"]) == ("panel-client", "panel-client")
    assert not (tmp_path / STATE).exists()
    with charts_of(tmp_path, Wanted.of(questions_about((), Settings()).needs), FolderTally()) as charts:
        assert [(chart.patient_id, len(chart.resources)) for chart in charts] == [("p1", 2), ("p2", 1)]


def test_what_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    story = Story()
    story.fail_first = {"/fhir/Patient/$export": 1, "/fhir/status/1": 2, "/fhir/files/Condition": 2}
    with bulk_server(story) as base:
        files = BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run().files
    assert [path.read_text() for path in files] == list(FILES.values())


def test_what_fails_for_good_ends_and_goes_on_the_next_time(tmp_path: Path) -> None:
    story = Story()
    story.fail_first = {"/fhir/files/Condition": 6}
    with bulk_server(story) as base:
        with pytest.raises(BulkRefused, match="could not be downloaded"):
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
        assert (tmp_path / STATE).is_file()
        assert not (tmp_path / "Condition.1.ndjson").exists()
        with pytest.raises(BulkRefused, match="another export"):
            BulkExport(base, tmp_path, BACKEND, group="other", wait=lambda _: None).run()
        BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
    assert story.exports == 1
    assert sum("files/Patient" in path for _, path in story.requests) == 1


def test_a_busy_server_is_waited_for_as_long_as_it_says(tmp_path: Path) -> None:
    story, waited = Story(), list[float]()
    story.polls_before_ready, story.busy = 0, ["11", "3"]
    with bulk_server(story) as base:
        BulkExport(base, tmp_path, BACKEND, wait=waited.append).run()
        assert waited == [11.0, 3.0]
        story.busy = ["1"] * 6
        with pytest.raises(BulkRefused, match="answered with 429"):
            BulkExport(base, tmp_path / "other", BACKEND, wait=waited.append).run()


def test_what_the_server_could_not_export_is_counted_kept_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.polls_before_ready = 0
    story.errors = [
        json.dumps({"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "exception"}]})
        for severity in ("error", "information", "fatal")
    ]
    monkeypatch.setattr("cds_hooks.batch.bulk_export.sleep", lambda _: None)
    with bulk_server(story) as base:
        found = BulkExport(base, tmp_path / "a", BACKEND).run()
        assert (found.errors, found.taken_at) == (2, "2026-11-20T00:00:00Z")
        assert [path.name for path in found.error_files] == ["errors.OperationOutcome.1.ndjson.txt"]
        key = tmp_path / "key.pem"
        key.write_text(PEM)
        words = ["bulk-export", base, "--out", str(tmp_path / "b"), "--client-id", "panel-client", "--key", str(key)]
        answer = CliRunner().invoke(cli.app, [*words, "--key-id", "key-1"])
    assert answer.exit_code == 1, answer.output
    assert "the charts are not complete" in " ".join(answer.output.split())
    tally = FolderTally()
    with charts_of(tmp_path / "b", Wanted.of(questions_about((), Settings()).needs), tally) as charts:
        assert (len(list(charts)), tally.unreadable) == (2, 0)


def test_a_token_that_ends_early_is_renewed_once(tmp_path: Path) -> None:
    story = Story()
    story.end_token_after = 1
    with bulk_server(story) as base:
        files = BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run().files
    assert [path.read_text() for path in files] == list(FILES.values())
    assert len(story.assertions) == 2


def test_a_token_that_ends_while_the_server_is_busy_is_renewed(tmp_path: Path) -> None:
    """The token ends with a failure: it is renewed at the second attempt as at the first."""
    story = Story()
    story.polls_before_ready, story.end_token_after_failure = 0, True
    story.fail_first = {"/fhir/files/Condition": 1}
    with bulk_server(story) as base:
        files = BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run().files
    assert [path.read_text() for path in files] == list(FILES.values())
    assert len(story.assertions) == 2


def test_a_token_server_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    story, waited = Story(), list[float]()
    story.polls_before_ready = 0
    story.fail_first = {"/fhir/token": 2, "/fhir/.well-known/smart-configuration": 1}
    story.lasts = "soon"
    with bulk_server(story) as base:
        files = BulkExport(base, tmp_path / "a", BACKEND, wait=waited.append).run().files
        assert [path.read_text() for path in files] == list(FILES.values())
        story.fail_first = {"/fhir/token": 6}
        with pytest.raises(BulkRefused, match=r"The token server answered with 503 in 6 attempts"):
            BulkExport(base, tmp_path / "b", BACKEND, wait=waited.append).run()
    assert len(waited) == 9


def test_files_of_an_earlier_export_are_never_taken_for_those_of_a_new_one(tmp_path: Path) -> None:
    story = Story()
    with bulk_server(story) as base:
        BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
        with pytest.raises(BulkRefused, match=r"has files of an earlier export \(Condition.1.ndjson\)"):
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
    assert story.exports == 1


@pytest.mark.parametrize("content", ['{"asked":{"ba', "[]", '{"status":"x"}'])
def test_a_state_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / STATE).write_text(content)
    with pytest.raises(BulkRefused, match=r"export.json cannot be read: take another folder, or remove that file"):
        BulkExport("https://ehr.example/fhir", tmp_path).run()


def test_refusals_are_sentences_without_the_token(tmp_path: Path) -> None:
    story = Story()
    story.refuse_token = True
    with bulk_server(story) as base:
        with pytest.raises(BulkRefused, match=r"refuses this client \(400, invalid_client\)"):
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
        story.refuse_token, story.foreign_file = False, True
        with pytest.raises(BulkRefused, match=r"http://elsewhere.example is not called") as refused:
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
        assert "token-" not in str(refused.value)
        story.host = "https://["
        with pytest.raises(BulkRefused, match="An address that this server names is none"):
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
        with pytest.raises(BulkRefused, match="401"):
            BulkExport(base, tmp_path / "open", wait=lambda _: None).run()
    with pytest.raises(BulkRefused, match="needs https"):
        BulkExport("http://ehr.example/fhir", tmp_path).run()
    with pytest.raises(BulkRefused, match="cannot be reached"):
        BulkExport(base, tmp_path / "gone", BACKEND, wait=lambda _: None).run()


def test_addresses_that_ended_are_asked_for_once_more(tmp_path: Path) -> None:
    """The list of files comes again with fresh addresses, and what is here already is not downloaded twice."""
    story = Story()
    story.polls_before_ready = 0
    story.contents["Condition"] = [(403, b"<Error/>"), (200, FILES["Condition"].encode())]
    with bulk_server(story) as base:
        files = BulkExport(base, tmp_path / "a", BACKEND, wait=lambda _: None).run().files
        assert [path.read_text() for path in files] == list(FILES.values())
        assert sum("files/Patient" in path for _, path in story.requests) == 1
        story.contents["Condition"] = [(410, b"")]
        with pytest.raises(BulkRefused, match=r"with 410: .* A fresh list of files did not help"):
            BulkExport(base, tmp_path / "b", BACKEND, wait=lambda _: None).run()
    assert (tmp_path / "b" / STATE).is_file()


@pytest.mark.parametrize(
    ("content", "count", "said"),
    [
        (b"<!DOCTYPE html><title>Log in</title>", None, "is no NDJSON, perhaps the page of a login"),
        (FILES["Condition"].encode() * 2, 3, "could not be downloaded in 6 attempts"),
        (FILES["Condition"].encode()[:-9], None, "could not be downloaded in 6 attempts"),
    ],
)
def test_what_is_no_whole_file_is_none(tmp_path: Path, content: bytes, count: int | None, said: str) -> None:
    story = Story()
    story.polls_before_ready, story.contents["Condition"] = 0, [(200, content)]
    with bulk_server(story) as base:
        story.manifest = {"output": [{"type": "Condition", "url": f"{base}/files/Condition", "count": count}]}
        with pytest.raises(BulkRefused, match=said):
            BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()
    assert not list(tmp_path.glob("*.ndjson"))


def test_what_was_deleted_and_what_an_export_of_changes_lacks_is_said(tmp_path: Path) -> None:
    story = Story()
    story.polls_before_ready = 0
    story.contents["deleted"] = [(200, b'{"resourceType":"Bundle","type":"transaction"}\n')]
    story.manifest = {"deleted": [{"type": "Bundle", "url": "/fhir/files/deleted"}]}
    (tmp_path / "key.pem").write_text(PEM)
    with bulk_server(story) as base:
        words = ["bulk-export", base, "--out", str(tmp_path / "a"), "--since", "2026-11-01", "--key-id", "key-1"]
        answer = CliRunner().invoke(
            cli.app, [*words, "--client-id", "panel-client", "--key", str(tmp_path / "key.pem")]
        )
    assert answer.exit_code == 0, answer.output
    told = " ".join(answer.output.split())
    assert "is named in deleted.Bundle.1.ndjson.txt" in told
    assert "scored alone, charts would lack all that is older" in told


@pytest.mark.parametrize(
    ("kick_off", "said"),
    [
        ((202, ""), "did not say where its status is"),
        ((404, ""), "look at the address and at --group"),
        ((400, ""), "look at --type, --group and --since"),
        ((403, ""), "its registration needs a scope"),
    ],
)
def test_an_export_that_is_not_begun_says_where_to_look(tmp_path: Path, kick_off: tuple[int, str], said: str) -> None:
    story = Story()
    story.kick_off = kick_off
    with bulk_server(story) as base, pytest.raises(BulkRefused, match=said):
        BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run()


def test_addresses_may_be_written_from_that_of_the_server_on(tmp_path: Path) -> None:
    story = Story()
    story.polls_before_ready, story.kick_off = 0, (202, "/fhir/status/7")
    story.manifest = {"output": [{"type": "Patient", "url": "../files/Patient"}]}
    with bulk_server(story) as base:
        (file,) = BulkExport(base, tmp_path, BACKEND, wait=lambda _: None).run().files
    assert file.read_text() == FILES["Patient"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"group": "../../x"}, "--group"), ({"types": ("../x",)}, "--type"), ({"since": "yesterday"}, "--since")],
)
def test_a_question_that_is_none_is_not_asked(tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BulkRefused, match=said):
        BulkExport("https://ehr.example/fhir", tmp_path, **asked).run()
