"""`cds-hooks release set` and `list`: who signs an act, what it needs before it counts, and what is said of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cds_hooks.commands import release
from cds_hooks.hold_back.acts import ApprovalRefused
from cds_hooks.hold_back.people import Person, add_person
from cds_hooks.storage.database import engine_for, parse_url
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.storage.samples import a_decision, store

WHY = ("--why", "a trial")
NOTHING_ELSE = "Everything shows cards by its approvals.\n"
EVERYTHING_ELSE = "Everything else shows cards by its approvals.\n"
SECOND = "It takes effect when another person in another role signs the same.\n"


class Site:
    """A record, the settings of a site, and the people who sign there once it has a trust file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'record.sqlite3'}"
        store(self.url, a_decision())
        self.settings = SimpleNamespace(trust_file=None, people_file=None, model_state="validated")
        self.withheld: str | None = None
        self.too_early: str | None = None
        self.asked: list[Any] = []
        monkeypatch.setattr(release, "settings", lambda: self.settings)
        monkeypatch.setattr(release, "record_url", lambda database: database or self.url)
        monkeypatch.setattr(release, "getuser", lambda: "ops")
        monkeypatch.setattr(release, "_version", lambda kind, _: ("cafe", "beef") if kind == "model" else ("", ""))
        monkeypatch.setattr(release, "_served_model", lambda name: f"the model {name}")
        monkeypatch.setattr(release, "why_withheld", lambda model, state: self._why("withheld", model, state))
        monkeypatch.setattr(release, "why_too_early", lambda *given: self._why("too_early", *given[:2]))

    def _why(self, name: str, *given: Any) -> Any:
        self.asked.append((name, *given))
        return getattr(self, name)

    def sign_here(self) -> None:
        """From now on the site has a trust file, and Ann and Bob sign."""
        self.settings.trust_file, self.settings.people_file = Path("trust.toml"), self.folder / "people.toml"
        for name, role in (("Ann", "pharmacist"), ("Bob", "physician")):
            add_person(self.settings.people_file, Person(name, role, local_signer(self.key(name), name)[0].public))

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    @staticmethod
    def run(*words: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(release.app, list(map(str, words)))
        return done.exit_code, done.stdout, done.stderr

    def by(self, name: str, *words: object) -> tuple[int, str, str]:
        return self.run("set", *words, *WHY, "--key", self.key(name))

    def acts(self) -> list[dict[str, Any]]:
        """The acts of the record, each without its instant, which is now."""
        rows: list[dict[str, Any]] = json.loads(self.run("list", "--json")[1])["acts"]
        for row in rows:
            assert abs((datetime.now(UTC) - datetime.fromisoformat(row.pop("at"))).total_seconds()) < 600
        return rows


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def _now(what: str, state: str) -> tuple[int, str, str]:
    return 0, f"The {what} is now {state}. Every server has it within a second.\n", ""


def test_in_the_development_profile_the_user_of_the_shell_acts(site: Site) -> None:
    assert site.run("list") == (0, NOTHING_ELSE, "")
    assert site.run("set", "off", "service", "planning", *WHY) == _now("service planning", "off")
    assert site.run("set", "shadow", "rule", "r", *WHY) == _now("rule r", "shadow")
    assert site.run("set", "canary", "rule", "r", *WHY) == _now("rule r", "canary 5 %")
    assert site.run("set", "canary", "rule", "r", "--share", 20, *WHY) == _now("rule r", "canary 20 %")
    assert site.run("set", "on", "service", "planning", *WHY) == _now("service planning", "on")
    code, shown, errors = site.run("list")
    lines = shown.splitlines()
    assert (code, errors, lines[:2]) == (0, "", ["rule r: canary 20 %", EVERYTHING_ELSE.strip()])
    act = {"by": "ops (operator)", "why": "a trial", "version": "", "gates": ""}
    whats = ["service planning off", "rule r shadow", "rule r canary 5 %", "rule r canary 20 %", "service planning on"]
    assert site.acts() == [act | {"what": what} for what in whats]
    assert [line[:5] for line in lines[2:]] == ["Act: "] * 5
    assert lines[2].endswith(" service planning off by ops (operator): a trial")
    assert json.loads(site.run("list", "--json")[1])["states"] == {"rule r": "canary 20 %"}


def test_what_cannot_become_so_is_refused_and_leaves_no_act(site: Site) -> None:
    refused = "The rule r is active and cannot become canary: canary comes after shadow or canary.\n"
    assert site.run("set", "canary", "rule", "r", *WHY) == (1, "", refused)
    keyless = "Without a trust file (CDS_TRUST_FILE) no signature counts: leave out --key.\n"
    assert site.by("Ann", "off", "rule", "r") == (1, "", keyless)
    code, _, errors = site.run("set", "off", "rule", "r", *WHY, "--database", f"sqlite:///{site.folder}/none.sqlite3")
    assert (code, errors.startswith("There is no record at ")) == (1, True)
    assert not (site.folder / "none.sqlite3").exists()
    assert site.acts() == []


def test_behind_a_trust_file_two_people_release_and_one_silences(site: Site) -> None:
    site.sign_here()
    unsigned = "Behind a trust file an act is signed: give the private key of the person with --key.\n"
    assert site.run("set", "off", "rule", "r", *WHY) == (1, "", unsigned)
    assert site.by("Ann", "shadow", "rule", "r") == _now("rule r", "shadow")
    assert site.by("Ann", "canary", "rule", "r") == (0, f"Signed by Ann (pharmacist). {SECOND}", "")
    waits = site.run("list")[1].splitlines()[2]
    assert waits.startswith("Waits for a second signature: ")
    assert waits.endswith(" rule r canary 5 % by Ann (pharmacist): a trial")
    assert [row["what"] for row in json.loads(site.run("list", "--json")[1])["waiting"]] == ["rule r canary 5 %"]
    assert site.by("Bob", "canary", "rule", "r") == _now("rule r", "canary 5 %")
    assert json.loads(site.run("list", "--json")[1])["waiting"] == []
    local_signer(site.key("Cid"), "Cid")
    code, shown, errors = site.by("Cid", "off", "rule", "r")
    assert (code, shown, errors.endswith(f" is of nobody in {site.settings.people_file}.\n")) == (1, "", True)
    site.settings.people_file = None
    code, shown, errors = site.by("Ann", "off", "rule", "r")
    nobody = " is of nobody in the file of people, which CDS_PEOPLE_FILE names.\n"
    assert (code, shown, errors.endswith(nobody)) == (1, "", True)


def test_a_model_is_released_with_green_gates_and_after_its_time_in_shadow(site: Site) -> None:
    site.sign_here()
    assert site.by("Ann", "shadow", "model", "m") == _now("model m", "shadow cafe")
    assert site.asked == []
    site.withheld = "it is a draft"
    ungated = "The model m cannot be released: it is a draft. Run cds-hooks model gates m --record.\n"
    assert site.by("Ann", "canary", "model", "m") == (1, "", ungated)
    site.withheld, site.too_early = None, "it was in shadow for 2 days"
    early = "The model m cannot become canary yet: it was in shadow for 2 days; --early tries it nevertheless.\n"
    assert site.by("Ann", "canary", "model", "m") == (1, "", early)
    assert site.asked[1:] == [("withheld", "the model m", "validated"), ("too_early", site.url, "cafe")]
    site.asked.clear()
    assert site.by("Ann", "canary", "model", "m", "--early") == (0, f"Signed by Ann (pharmacist). {SECOND}", "")
    assert site.by("Bob", "canary", "model", "m", "--early") == _now("model m", "canary 5 % cafe")
    assert [name for name, *_ in site.asked] == ["withheld", "withheld"]
    site.withheld = "it is a draft"
    assert site.by("Ann", "active", "model", "m") == (1, "", ungated)
    site.withheld = None
    site.by("Ann", "active", "model", "m")
    assert site.by("Bob", "active", "model", "m") == _now("model m", "active cafe")
    assert {(row["version"], row["gates"]) for row in site.acts()} == {("cafe", "beef")}


def test_a_model_in_canary_was_in_shadow_and_in_development_nobody_waits(site: Site) -> None:
    site.too_early = "it was in shadow for 2 days"
    site.run("set", "shadow", "model", "m", *WHY)
    assert site.run("set", "canary", "model", "m", *WHY) == _now("model m", "canary 5 % cafe")
    assert [name for name, *_ in site.asked] == ["withheld"]
    site.sign_here()
    site.asked.clear()
    released: Any = SimpleNamespace(in_shadow_since=lambda _: None)
    release._refuse_early(released, "m", "cafe", site.url)
    assert site.asked == []
    released.in_shadow_since = {("model", "m"): "2026-11-01T00:00:00+00:00"}.get
    with pytest.raises(ApprovalRefused, match="cannot become canary yet"):
        release._refuse_early(released, "m", "cafe", site.url)


def test_an_act_can_be_signed_into_a_file(site: Site) -> None:
    file = site.folder / "act.json"
    needed = "A file for /approvals is signed: name the people in CDS_PEOPLE_FILE and give --key.\n"
    assert site.by("Ann", "off", "rule", "r", "--out", file) == (1, "", needed)
    site.sign_here()
    assert site.run("set", "off", "rule", "r", *WHY, "--out", file) == (1, "", needed)
    said = f"{file}: rule r to canary 30 %, signed by Ann (pharmacist). Hand it in at the page /approvals.\n"
    assert site.by("Ann", "canary", "rule", "r", "--share", 30, "--out", file) == (0, said, "")
    again = f"{file} is there already; nothing was changed.\n"
    assert site.by("Ann", "off", "rule", "r", "--out", file) == (1, "", again)
    assert (len(json.loads(file.read_text())["acts"]), site.acts()) == (1, [])


def test_an_act_that_was_changed_is_refused_and_the_list_ends_with_1(site: Site) -> None:
    site.run("set", "off", "service", "planning", *WHY)
    with engine_for(parse_url(site.url)).begin() as connection:
        connection.execute(text("DROP TRIGGER events_refuse_update"))
        connection.execute(text("UPDATE events SET detail = replace(detail, 'trial', 'fault')"))
    code, shown, errors = site.run("list")
    assert (code, shown, errors.count("\n"), errors[:1].isupper(), errors[-2:]) == (1, NOTHING_ELSE, 1, True, ".\n")
    code, shown, _ = site.run("list", "--json")
    assert (code, json.loads(shown)["acts"], len(json.loads(shown)["refused"])) == (1, [], 1)
    assert release.acts_until(site.url, 0.0).refused == []
