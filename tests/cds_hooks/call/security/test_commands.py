"""`cds-hooks trust`: a file made, filled, shown and checked; keys that only their owner reads; tokens that work."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks import cli
from cds_hooks.call.security.register import FileTrust
from cds_hooks.call.security.replay import SqliteReplayStore
from cds_hooks.call.security.trust_file import read_trust_file
from cds_hooks.tools.kit.main import app as kit_app
from tests.cds_hooks.call.security.servers import answering, fhir


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own, without a trust file set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CDS_TRUST_FILE", raising=False)
    return tmp_path


def _do(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ("trust", *words))


def _token(*words: str) -> Result:
    return CliRunner().invoke(kit_app, ("token", *words))


def _set_up(*more: str) -> None:
    made = _token("--algorithm", "ES256")
    Path("dev-jwks.json").write_text(made.stdout)
    added = _do(
        "dev",
        "--issuer",
        "https://dev.invalid/cds-client",
        "--jwks-file",
        "dev-jwks.json",
        "--algorithm",
        "ES256",
        *more,
    )
    assert added.exit_code == 0, added.stderr


async def test_three_commands_from_nothing_to_a_call_that_is_trusted(folder: Path) -> None:
    _set_up()
    url = "http://127.0.0.1:8085/cds-services/order-safety"
    token = _token(url, "--lifetime", "60").stdout.strip()
    replays = SqliteReplayStore(folder / "used.sqlite3")
    trust = FileTrust(folder / "trust.toml", "http://127.0.0.1:8085", replays)
    headers = [(b"authorization", b"Bearer " + token.encode())]
    client = await trust.client_of(headers, "/cds-services/order-safety")
    await trust.aclose()
    answered = client.name
    assert answered == "dev"


def test_a_new_file_is_for_its_owner_and_is_not_made_for_a_wrong_client() -> None:
    assert _do("a", "--issuer", "https://a").exit_code == 1
    assert not Path("trust.toml").exists()
    done = _do("a", "--issuer", "https://a", "--jwks-url", "https://a/jwks")
    assert done.stdout.endswith("The file is new. Serve with it: CDS_TRUST_FILE=trust.toml\n")
    assert Path("trust.toml").stat().st_mode & 0o777 == 0o600
    assert len(read_trust_file(Path("trust.toml")).clients) == 1
    nowhere = _do("a", "--issuer", "https://a", "--jwks-url", "https://a/jwks", "--file", "nowhere/t.toml")
    assert (nowhere.exit_code, nowhere.stderr) == (1, "nowhere/t.toml: the folder nowhere is not there\n")


def test_the_private_key_is_for_its_owner_and_is_printed_nowhere() -> None:
    made = _token("--key", "key.json")
    file = Path("key.json")
    private = json.loads(file.read_text())["key"]["d"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert private not in made.output
    assert json.loads(made.stdout)["keys"][0].keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert _token("--key", "key.json").stdout == made.stdout
    assert json.loads(file.read_text())["key"]["d"] == private
    assert private not in _token("https://x", "--key", "key.json").output


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"issuer": "x", "key": {"alg": "ES384"}}'])
def test_what_is_no_key_signs_nothing(content: str) -> None:
    Path("dev-key.json").write_text(content)
    done = _token("https://x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "dev-key.json" in done.stderr


def test_a_client_that_would_make_the_file_wrong_is_not_added() -> None:
    _set_up()
    before = Path("trust.toml").read_text()
    for words, says in (
        (
            ("dev", "--issuer", "https://other", "--jwks-file", "dev-jwks.json", "--algorithm", "ES256"),
            "a name is given once only",
        ),
        (
            ("b", "--issuer", "https://other", "--jwks-file", "dev-jwks.json", "--algorithm", "HS256"),
            "none and the HS algorithms",
        ),
        (("b", "--issuer", "https://other", "--jwks-url", "http://ehr.example.org"), "must start with https://"),
        (("b", "--issuer", "https://other"), "needs its keys in one place"),
        (("b", "--issuer", 'a"]\n[[client]]', "--jwks-file", "nowhere.json"), "is not there"),
        (
            ("b", "--issuer", "https://other", "--jwks-file", "dev-jwks.json", "--service", "nope"),
            "there is no service",
        ),
    ):
        done = _do(*words)
        assert (done.exit_code, says in done.stderr) == (1, True), done.stderr
        assert Path("trust.toml").read_text() == before
    assert sorted(path.name for path in Path().iterdir()) == ["dev-jwks.json", "dev-key.json", "trust.toml"]


def test_what_is_typed_stands_in_the_file_and_in_the_list() -> None:
    words = [
        "--fhir", "https://fhir.example.org/r4", "--hook", "order-sign", "--dialect", "epic", "--subject", 'a "b" \\ ü',
    ]  # fmt: skip
    _set_up(*words)
    listed: list[dict[str, Any]] = json.loads(_do("--json").stdout)["clients"]
    (client,) = listed
    assert client["fhir"] == ["https://fhir.example.org/r4"]
    assert (client["hooks"], client["dialect"], client["subjects"]) == (["order-sign"], "epic", ['a "b" \\ ü'])
    assert "https://fhir.example.org" in _do().stdout


def test_check_online_tries_key_sets_and_fhir_servers_under_the_rules_of_the_file() -> None:
    key_set = _token().stdout.encode()
    with answering(lambda path: (200, {}, key_set) if path == "/jwks" else fhir(path)) as seen:
        words = ("a", "--issuer", "https://a", "--jwks-url", f"{seen.base}/jwks", "--fhir", f"{seen.base}/r4")
        assert _do(*words).exit_code == 0
        done = _do("--online")
        assert done.exit_code == 0, done.output
        assert "1 usable key" in done.stdout
        assert "GET metadata answers 200" in done.stdout
        assert seen.paths == ["/jwks", "/r4/metadata"]
    done = _do("--online", "--json")
    assert done.exit_code == 1
    assert [each["reached"] for each in json.loads(done.stdout)["reached"]] == [False, False]


def test_options_of_a_client_without_its_name_add_nothing() -> None:
    done = _do("--issuer", "https://a", "--jwks-url", "https://a/jwks")
    assert (done.exit_code, "without its NAME; nothing was added" in done.stderr) == (2, True)
    assert not Path("trust.toml").exists()
