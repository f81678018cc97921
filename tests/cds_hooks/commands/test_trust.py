"""`cds-hooks trust`: what is said of each client, of addresses that were tried, and of rules that show nothing."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.commands import trust
from cds_hooks.dialects import profile_for
from cds_hooks.hold_back.governance import RulesFileError
from cds_hooks.security.trust import NO_SERVICE, TrustedClient
from cds_hooks.security.trust_file import TrustFileError

NOBODY = "CDS_LOGIN is not set, so nobody can approve (docs/operations/approvals.md).\n"


class KeySet:
    """A key set at an address."""

    url = "https://ehr.example/jwks"


@pytest.fixture(autouse=True)
def _key_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "KeySetUrl", KeySet)


def _client(name: str, **changes: Any) -> TrustedClient:
    members: dict[str, Any] = {
        "issuers": frozenset({"https://b", "https://a"}), "algorithms": frozenset({"RS384", "ES384"}),
        "key_source": SimpleNamespace(keys=SimpleNamespace(by_kid={"k2": 1, "k1": 1})),
        "profile": profile_for("x", "epic"),
    }  # fmt: skip
    return TrustedClient(name=name, **(members | changes))


WHOLE = _client(
    "Whole", subjects=frozenset({"s2", "s1"}), tenant="t", key_source=KeySet(), jku="https://ehr.example/j",
    audiences=frozenset({"a2", "a1"}), fhir=(SimpleNamespace(url="https://fhir.example/r4"),),
    hooks=frozenset({"order-sign", "order-select"}), services=frozenset({"planning", "order-safety"}),
    cors_origins=frozenset({"https://o2", "https://o1"}),
)  # fmt: skip
BARE, MUTE = _client("Bare"), _client("Mute", services=NO_SERVICE)
FACTS = {
    "name": "Bare", "issuers": ["https://a", "https://b"], "subjects": [], "tenant": None, "keys": "k1, k2",
    "jku": None, "algorithms": ["ES384", "RS384"], "audiences": [], "fhir": [], "hooks": [], "services": [],
    "may_call": True, "dialect": "epic", "protocol_version": profile_for("x", "epic").version, "cors_origins": [],
    "link_hosts": [],
}  # fmt: skip


def test_every_fact_of_a_client_is_told_in_order() -> None:
    assert trust._facts(BARE) == FACTS
    assert trust._facts(MUTE) == FACTS | {"name": "Mute", "may_call": False}
    assert trust._facts(WHOLE) == FACTS | {
        "name": "Whole", "subjects": ["s1", "s2"], "tenant": "t", "keys": KeySet.url, "jku": "https://ehr.example/j",
        "audiences": ["a1", "a2"], "fhir": ["https://fhir.example/r4"], "hooks": ["order-select", "order-sign"],
        "services": ["order-safety", "planning"], "cors_origins": ["https://o1", "https://o2"],
    }  # fmt: skip


def test_clients_are_drawn_with_what_they_may_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    trust._draw_clients(SimpleNamespace(clients=(WHOLE, BARE, MUTE)))  # type: ignore[arg-type]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines] == [
        ["Whole", "https://a", "https://fhir.example/r4", "order-safety, planning"],
        ["epic", "https://b", "", "order-select, order-sign"],
        ["", f"keys: {KeySet.url}", "", ""],
        ["", "ES384, RS384", "", ""],
        ["Bare", "https://a", "", "all services"],
        ["epic", "https://b", "", "all hooks"],
        ["", "keys: k1, k2", "", ""],
        ["", "ES384, RS384", "", ""],
        ["Mute", "https://a", "", "no service"],
        ["epic", "https://b", "", "all hooks"],
        ["", "keys: k1, k2", "", ""],
        ["", "ES384, RS384", "", ""],
    ]
    trust._draw_clients(SimpleNamespace(clients=()))  # type: ignore[arg-type]
    assert capsys.readouterr().out == "Without a client nobody may call.\n"


@pytest.mark.parametrize(("number", "words"), [(0, "0 clients"), (1, "1 client"), (2, "2 clients")])
def test_clients_are_counted(number: int, words: str) -> None:
    assert trust._counted(SimpleNamespace(clients=(BARE,) * number)) == words  # type: ignore[arg-type]


def test_a_path_is_written_from_the_folder_of_the_trust_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert trust._from_folder_of(Path("etc/trust.toml"), Path("keys/jwks.json")) == "../keys/jwks.json"
    assert trust._from_folder_of(Path("trust.toml"), Path("jwks.json")) == "jwks.json"
    assert trust._from_folder_of(Path("etc/trust.toml"), Path("/run/jwks.json")) == "/run/jwks.json"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A trust file with one client, whose rules are all approved by two people."""
    there = SimpleNamespace(waiting=[], reached=[], asked=[], rules_file=None, login="accounts")

    def in_force(rules_file: Any) -> Any:
        there.asked.append(rules_file)
        return SimpleNamespace(not_approved=lambda _: there.waiting)

    monkeypatch.setattr(trust, "settings", lambda: there)
    monkeypatch.setattr(trust, "site_approvals", lambda: SimpleNamespace(in_force=in_force))
    monkeypatch.setattr(trust, "read_rules_file", lambda path: f"rules of {path}")
    monkeypatch.setattr(trust, "_registrable_names", lambda: "names")
    monkeypatch.setattr(trust, "read_trust_file", lambda *_: SimpleNamespace(clients=(BARE,)))
    monkeypatch.setattr(trust, "try_addresses", lambda _: there.reached)
    return there


def _check(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(trust.app, ["check", "--file", "t.toml", *words])
    return done.exit_code, done.stdout, done.stderr


class Address:
    """An address that was tried."""

    def __init__(self, name: str, reached: bool) -> None:
        self.name, self.reached = name, reached

    def __str__(self) -> str:
        return f"{self.name}: {'reached' if self.reached else 'not reached'}"

    def facts(self) -> dict[str, object]:
        return {"name": self.name, "reached": self.reached}


def test_addresses_are_tried_where_that_is_asked_for_and_one_that_fails_ends_with_1(site: Any) -> None:
    site.reached = [Address("a", True), Address("b", False)]
    code, shown, errors = _check()
    assert (code, shown.splitlines()[0], "reached" in shown, errors) == (0, "t.toml can be used: 1 client.", False, "")
    code, shown, _ = _check("--online")
    assert (code, shown.splitlines()[-2:]) == (1, ["a: reached", "b: not reached"])
    code, shown, _ = _check("--online", "--json")
    tried = [{"name": "a", "reached": True}, {"name": "b", "reached": False}]
    assert (code, json.loads(shown)) == (1, {"file": "t.toml", "problems": [], "clients": [FACTS], "reached": tried})
    del site.reached[1]
    assert (_check("--online")[0], _check("--online", "--json")[0]) == (0, 0)


def test_a_file_that_is_wrong_is_told_with_each_mistake(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(file: Path, _: Any) -> None:
        raise TrustFileError(file, "content", "client 1 has no issuer", "client 2 has no key")

    monkeypatch.setattr(trust, "read_trust_file", wrong)
    assert _check() == (1, "", "t.toml: client 1 has no issuer\nt.toml: client 2 has no key\n")
    document = {"problems": ["client 1 has no issuer", "client 2 has no key"], "clients": [], "reached": []}
    code, shown, errors = _check("--json")
    assert (code, json.loads(shown), errors) == (1, {"file": "t.toml", **document}, "")
    with pytest.raises(typer.Exit) as ended, trust._said_in_sentences():
        wrong(Path("t.toml"), None)
    assert ended.value.exit_code == 1


def test_rules_that_show_nothing_behind_a_trust_file_are_counted(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trust._say_rules_in_shadow()
    assert capsys.readouterr() == ("", "")
    site.waiting, site.rules_file, site.login = ["r1", "r2"], Path("rules.toml"), "none"
    trust._say_rules_in_shadow()
    assert capsys.readouterr() == (
        f"{NOBODY}2 of {len(all_rule_versions())} medication rules are not approved at this site: behind a trust file "
        "they are evaluated and counted, and show nothing. cds-hooks rules check --to-review lists them, and two "
        "people who have logged in approve them at /rules (docs/operations/approvals.md).\n",
        "",
    )
    assert (site.asked[0].__class__.__name__, site.asked[1]) == ("SiteRules", "rules of rules.toml")


def test_a_file_of_rules_that_cannot_be_used_is_said(
    site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Any) -> None:
        raise RulesFileError(Path("rules.toml"), "torn")

    monkeypatch.setattr(trust, "read_rules_file", fail)
    site.rules_file = Path("rules.toml")
    trust._say_rules_in_shadow()
    assert capsys.readouterr() == ("", "rules.toml: torn\n")


def test_a_client_is_added_with_what_was_typed(site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    added: list[Any] = []

    def add_client(*given: Any) -> Any:
        added.append(given)
        return SimpleNamespace(clients=(BARE, MUTE))

    monkeypatch.setattr(trust, "add_client", add_client)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(trust.app, ["add", "a", "--issuer", "i", "--file", "t.toml"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("t.toml has 2 clients; a is the last.\n")
    names = ("subjects", "tenant", "jwks_url", "jwks_file", "jku", "algorithms", "audiences", "fhir", "networks",
             "hooks", "dialect", "protocol_version", "cors_origins", "link_hosts")  # fmt: skip
    entry = dict.fromkeys(names) | {"name": "a", "issuers": ["i"], "services": ["*"]}
    assert added == [(Path("t.toml"), entry, "names")]
    more = ["--jwks-file", "k.json", "--service", "s", "--service", "t", "--algorithm", "ES384", "--file", "etc/t.toml"]
    assert CliRunner().invoke(trust.app, ["add", "a", "--issuer", "i", *more]).exit_code == 0
    typed = added[1][1]
    assert (typed["jwks_file"], typed["services"], typed["algorithms"]) == ("../k.json", ["s", "t"], ["ES384"])


def test_a_key_is_made_at_the_first_time_with_the_next_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(trust.app, ["token", "--issuer", "https://i", "--algorithm", "ES256"])
    assert (done.exit_code, [key["alg"] for key in json.loads(done.stdout)["keys"]]) == (0, ["ES256"])
    assert done.stderr == (
        "The private key is in dev-key.json; keep it to yourself. With the key set of cds-hooks trust token as "
        "dev-jwks.json:\ncds-hooks trust add dev --issuer https://i --jwks-file dev-jwks.json --algorithm ES256\n"
    )
    again = CliRunner().invoke(trust.app, ["token"])
    assert (again.exit_code, again.stdout, again.stderr) == (0, done.stdout, "")
    done = CliRunner().invoke(trust.app, ["token", "--key", "nowhere/key.json"])
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "nowhere/key.json: No such file or directory.\n")
