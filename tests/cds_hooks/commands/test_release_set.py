"""`cds-hooks release set` and `list`: who may, what an act needs before it counts, and what is said of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cds_hooks.commands import release
from cds_hooks.storage.database import engine_for, parse_url
from tests.cds_hooks.hold_back.clicking import ANN, RULE, Desk, put_command
from tests.cds_hooks.storage.samples import a_decision, store

WHY = ("--why", "a trial")
NOTHING_ELSE = "Everything shows cards by its approvals.\n"
EVERYTHING_ELSE = "Everything else shows cards by its approvals.\n"


class Site:
    """A record and the settings of a site."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'record.sqlite3'}"
        store(self.url, a_decision())
        self.settings = SimpleNamespace(trust_file=None, model_state="validated")
        self.withheld: str | None = None
        self.asked: list[Any] = []
        monkeypatch.setattr(release, "settings", lambda: self.settings)
        monkeypatch.setattr(release, "record_url", lambda database: database or self.url)
        monkeypatch.setattr(release, "getuser", lambda: "ops")
        monkeypatch.setattr(release, "_version", lambda kind, _: ("cafe", "beef") if kind == "model" else ("", ""))
        monkeypatch.setattr(release, "_served_model", lambda name: f"the model {name}")
        monkeypatch.setattr(release, "why_withheld", self._why)

    def _why(self, *given: Any) -> str | None:
        self.asked.append(given)
        return self.withheld

    @staticmethod
    def run(*words: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(release.app, list(map(str, words)))
        return done.exit_code, done.stdout, done.stderr

    def set(self, *words: object) -> tuple[int, str, str]:
        return self.run("set", *words, *WHY)

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
    code, _, errors = site.run("set", "off", "rule", "r", *WHY, "--database", f"sqlite:///{site.folder}/none.sqlite3")
    assert (code, errors.startswith("There is no record at ")) == (1, True)
    assert not (site.folder / "none.sqlite3").exists()
    assert site.acts() == []


def test_behind_a_trust_file_a_command_silences_and_lets_nothing_speak(site: Site) -> None:
    site.settings.trust_file = Path("trust.toml")
    assert site.set("shadow", "rule", "r") == _now("rule r", "shadow")
    refused = (
        "Behind a trust file canary takes two people in two roles, who log in and do it at the page of the rule or at "
        "/rules.\n"
    )
    assert site.set("canary", "rule", "r") == (1, "", refused)
    assert site.set("off", "client", "A hospital") == _now("client A hospital", "off")
    assert [row["what"] for row in site.acts()] == ["rule r shadow", "client A hospital off"]
    put_command(site.url, "on", "client", "A hospital")
    code, _, errors = site.run("list")
    assert (code, "it was typed as a command; a person who has logged in does it" in errors) == (1, True)


def test_behind_a_trust_file_the_list_has_what_waits_for_a_second_person(site: Site) -> None:
    site.settings.trust_file = Path("trust.toml")
    site.set("off", "rule", RULE)
    Desk(site.url).click(ANN, "on")
    (waits,) = [line for line in site.run("list")[1].splitlines() if line.startswith("Waits for a second person: ")]
    assert waits.endswith(f" rule {RULE} on by Ann Lee (pharmacist): a reason")
    assert [row["what"] for row in json.loads(site.run("list", "--json")[1])["waiting"]] == [f"rule {RULE} on"]


def test_a_model_is_released_with_green_gates(site: Site) -> None:
    assert site.set("shadow", "model", "m") == _now("model m", "shadow cafe")
    assert site.asked == []
    site.withheld = "it is a draft"
    ungated = "The model m cannot be released: it is a draft. Run cds-hooks model gates m --record.\n"
    assert site.set("canary", "model", "m") == (1, "", ungated)
    assert site.asked == [("the model m",)]
    site.withheld = None
    assert site.set("canary", "model", "m") == _now("model m", "canary 5 % cafe")
    assert site.set("active", "model", "m") == _now("model m", "active cafe")
    assert {(row["version"], row["gates"]) for row in site.acts()} == {("cafe", "beef")}


def test_a_model_that_nobody_can_approve_here_is_not_released(site: Site) -> None:
    assert site.set("shadow", "model", "m") == _now("model m", "shadow cafe")
    site.settings.model_state = "approved"
    refused = (
        "The model m cannot be released: CDS_MODEL_STATE asks for two approvals, and without a trust file nobody can "
        "approve.\n"
    )
    assert site.set("canary", "model", "m") == (1, "", refused)
    assert [row["what"] for row in site.acts()] == ["model m shadow"]


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
