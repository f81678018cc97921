"""What `cds-hooks approve` prints where two people sign rules and a model, whole."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.commands import approve
from cds_hooks.commands.approve import app
from cds_hooks.hold_back.people import read_people
from cds_hooks.storage.database import engine_for, parse_url
from models_onnx.artifact.release_file import parse_release
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.storage.samples import a_decision, store

Output = tuple[int, str, str]
RULE, OTHER = "renal-metformin", "ddi-warfarin-nsaid"
FIRST, SECOND = (f"rule {name} in version {all_rule_versions()[name].digest}" for name in (RULE, OTHER))
ALONE = "is signed by {} alone; two people sign it (docs/operations/approvals.md)"
TWICE = "already; the second key is another person's.\n"


class Office:
    """A folder with the keys of Ann and Bob, who are in the file of people, and of Cid, who is not."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.people = folder, folder / "people.toml"
        self.url = f"sqlite:///{folder / 'record.sqlite3'}"
        store(self.url, a_decision())
        named = ("--people", str(self.people))
        self.made = [
            self.run("key", "--out", self.key("ann"), "--name", "Ann Lee", "--role", "pharmacist", *named),
            self.run("key", "--out", self.key("bob"), "--name", "Bob Roe", "--role", "physician", *named),
            self.run("key", "--out", self.key("cid"), "--name", "Cid", "--role", "nurse"),
        ]

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def run(self, *words: str) -> Output:
        """The exit code, what was printed and the errors; instants are written as AT."""
        done = CliRunner().invoke(app, list(words))
        shown = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "AT", done.stdout)
        return done.exit_code, shown, done.stderr

    def sign(self, who: str, *words: str, database: bool = True) -> Output:
        there = ("--people", str(self.people), *(("--database", self.url) if database else ()))
        return self.run(*words, "--key", self.key(who), *there)

    def sign_rule(self, who: str, name: str = RULE, *words: str) -> Output:
        return self.sign(who, "rule", name, "--version", all_rule_versions()[name].digest, "--note", "read", *words)

    def listed(self, *words: str) -> Output:
        return self.run("list", "--people", str(self.people), "--database", self.url, *words)

    def key_id(self, name: str) -> str:
        return next(key for key, person in read_people(self.people).by_key.items() if person.name == name)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_key_is_made_and_its_person_is_written_or_printed(office: Office) -> None:
    ann, bob = office.key_id("Ann Lee"), office.key_id("Bob Roe")
    assert office.made[0] == (
        0,
        f"Private key: {office.key('ann')}, key id {ann}. Ann Lee keeps it and gives it to nobody.\n"
        f"{office.people} names Ann Lee (pharmacist).\n",
        "",
    )
    assert office.made[1][1].splitlines()[1] == f"{office.people} names Bob Roe (physician)."
    assert f"key id {bob}." in office.made[1][1]
    code, shown, errors = office.made[2]
    entry = r"\n\[\[person\]\]\nname = \"Cid\"\nrole = \"nurse\"\npublic_key = \"[A-Za-z0-9+/]{43}=\"\n"
    assert (code, errors) == (0, "")
    assert re.search(rf"^Private key: .*cid\.pem, key id [0-9a-f]{{16}}\. Cid keeps it.*\.{entry}$", shown)
    again = office.run(
        "key", "--out", office.key("ann"), "--name", "Ann", "--role", "x", "--people", str(office.people)
    )
    assert again == (1, "", f"{office.key('ann')} is there already; nothing was changed.\n")
    assert [person.name for person in read_people(office.people).by_key.values()] == ["Ann Lee", "Bob Roe"]


def test_a_rule_is_approved_by_the_second_person(office: Office) -> None:
    capital = f"R{FIRST[1:]}"
    assert office.listed() == (0, "Nothing was signed yet.\n", "")
    ann = f"{capital}: signed by Ann Lee (pharmacist).\n{capital} {ALONE.format('Ann Lee')}.\n"
    assert office.sign_rule("ann") == (0, ann, "")
    waiting = f"{capital}: not approved: {FIRST} {ALONE.format('Ann Lee')}.\n"
    assert office.listed() == (0, f"{waiting}  Signed by Ann Lee (pharmacist), AT, entry 1.\n", "")
    assert office.sign_rule("ann") == (1, "", f"Ann Lee has signed {FIRST} {TWICE}")
    both = f"{capital}: signed by Ann Lee (pharmacist) and Bob Roe (physician).\n"
    assert office.sign_rule("bob") == (0, f"{both}It is approved: a server has it within two seconds.\n", "")
    by = "Ann Lee (pharmacist), AT, entry 1; Bob Roe (physician), AT, entry 2"
    assert office.listed() == (0, f"{capital}: approved.\n  Signed by {by}.\n", "")


def test_what_was_signed_is_json_with_every_member(office: Office) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    office.sign_rule("ann")
    done = CliRunner().invoke(
        app, ["list", "--json", "--people", str(office.people), "--database", office.url], catch_exceptions=False
    )
    document = json.loads(done.stdout)
    signed: dict[str, Any] = document["approvals"][0]["signed"][0]
    assert began <= datetime.fromisoformat(signed.pop("at")) <= datetime.now(UTC)
    assert document == {
        "approvals": [
            {
                "kind": "rule",
                "what": FIRST,
                "subject": {"rule": RULE, "digest": all_rule_versions()[RULE].digest},
                "missing": f"{FIRST} {ALONE.format('Ann Lee')}",
                "signed": [
                    {
                        "by": "Ann Lee",
                        "role": "pharmacist",
                        "key": office.key_id("Ann Lee"),
                        "note": "read",
                        "entry": 1,
                    }
                ],
            }
        ],
        "refused": [],
    }


def test_a_list_of_rules_is_counted_and_signed_as_one(office: Office) -> None:
    lines = "".join(f"{name} {all_rule_versions()[name].digest} | read\n" for name in (RULE, OTHER))
    (office.folder / "list.txt").write_text(lines)
    reviewed = ("rule", "--reviewed", str(office.folder / "list.txt"))
    of_two = "Signed: 2 rules. Approved by 2 people now: {}; waiting for the signature of another person: {}.\n"
    assert office.sign("ann", *reviewed) == (0, of_two.format(0, 2), "")
    assert office.sign("bob", *reviewed) == (0, of_two.format(2, 0), "")
    assert office.sign("bob", *reviewed) == (1, "", f"Bob Roe has signed {FIRST} {TWICE}")


def test_where_one_of_a_list_waits_it_is_counted(office: Office) -> None:
    office.sign_rule("ann", OTHER)
    lines = "".join(f"{name} {all_rule_versions()[name].digest} | read\n" for name in (RULE, OTHER))
    (office.folder / "list.txt").write_text(lines)
    done = office.sign("bob", "rule", "--reviewed", str(office.folder / "list.txt"))
    words = "Signed: 2 rules. Approved by 2 people now: 1; waiting for the signature of another person: 1.\n"
    assert done == (0, words, "")


def test_a_key_of_nobody_in_the_file_signs_nothing(office: Office) -> None:
    for words in ((), ("--out", str(office.folder / "signed.json"))):
        code, shown, errors = office.sign_rule("cid", RULE, *words)
        assert (code, shown) == (1, "")
        assert re.fullmatch(rf"The key [0-9a-f]{{16}} belongs to nobody in {office.people}\.\n", errors)
    assert not (office.folder / "signed.json").exists()
    assert office.listed() == (0, "Nothing was signed yet.\n", "")


def test_what_is_signed_into_a_file_is_not_in_the_record(office: Office) -> None:
    file = office.folder / "signed.json"
    by = "signed by Bob Roe (physician). Hand it in at the page /approvals.\n"
    assert office.sign_rule("bob", RULE, "--out", str(file)) == (0, f"{file}: {FIRST}, {by}", "")
    lines = "".join(f"{name} {all_rule_versions()[name].digest} | read\n" for name in (RULE, OTHER))
    (office.folder / "list.txt").write_text(lines)
    both = office.folder / "both.json"
    done = office.sign("bob", "rule", "--reviewed", str(office.folder / "list.txt"), "--out", str(both), database=False)
    assert done == (0, f"{both}: 2 rules, {by}", "")
    assert office.listed() == (0, "Nothing was signed yet.\n", "")


def test_a_rule_is_named_by_itself_or_in_a_list_and_not_both(office: Office) -> None:
    for words in ((), (RULE, "--reviewed", str(office.folder / "list.txt"))):
        code, shown, errors = office.sign("bob", "rule", *words)
        assert (code, shown) == (2, "")
        assert "name a RULE with its --version, or a list with --reviewed" in errors


def test_a_model_is_signed_as_it_was_released_and_only_with_green_gates(office: Office) -> None:
    release = parse_release(ARTIFACTS / "mortality_5y")
    subject = f"odel mortality_5y {release.version}, digest {release.digest[:16]}"
    shown = f"M{subject}: signed by Bob Roe (physician).\nM{subject} {ALONE.format('Bob Roe')}.\n"
    assert office.sign("bob", "model", "mortality_5y") == (0, shown, "")
    done = office.sign("ann", "model", "mortality_5y")
    assert done[1] == (
        f"M{subject}: signed by Bob Roe (physician) and Ann Lee (pharmacist).\n"
        f"It is approved: cds-hooks model state mortality_5y@{release.version} --to approved writes it into the "
        "release (--folder names where it lies).\n"
    )
    red = parse_release(ARTIFACTS / "mortality_180d")
    refused = f"mortality_180d {red.version} cannot be approved: G12, G13 not green.\n"
    assert office.sign("bob", "model", "mortality_180d") == (
        1,
        "",
        refused,
    )


def test_an_entry_that_was_changed_does_not_count_and_ends_with_1(office: Office) -> None:
    office.sign_rule("ann")
    with engine_for(parse_url(office.url)).begin() as connection:
        connection.execute(text("DROP TRIGGER events_refuse_update"))
        connection.execute(text("UPDATE events SET detail = replace(detail, 'read', 'seen')"))
    refused = "ntry 1 of the record does not count: it was changed after it was written"
    assert office.listed() == (1, "", f"E{refused}.\n")
    code, shown, errors = office.listed("--json")
    assert (code, json.loads(shown), errors) == (1, {"approvals": [], "refused": [f"e{refused}"]}, "")


def test_what_follows_from_an_approval_depends_on_what_was_signed() -> None:
    assert approve._next("rule", {"rule": "r"}) == "a server has it within two seconds."
    subject = {"model": "m", "version": "2.0.0", "expires": "2027-01-31"}
    assert approve._next("model", subject) == (
        "cds-hooks model state m@2.0.0 --to approved writes it into the release (--folder names where it lies)."
    )
    assert approve._next("waiver", subject) == "until 2027-01-31."
    assert [approve._capital(text) for text in ("a rule", "", "A", "ü b")] == ["A rule", "", "A", "Ü b"]


def test_the_waivers_of_a_gate_are_signed_together(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[Any] = []
    of_card = [
        {"gate": gate, "reason": reason} for gate, reason in (("G9", "groups"), ("G12", "drift"), ("G9", "ages"))
    ]
    subject = SimpleNamespace(id="m", about=SimpleNamespace(version="2.0.0"), product={"waivers": of_card})
    version = SimpleNamespace(id="m", version="2.0.0", folder=Path("own/m"))
    monkeypatch.setattr(approve, "find_version", lambda *_: version)
    monkeypatch.setattr(
        "models_onnx.workbench.gates.subject.read_subject", lambda folder, _: subject if folder else None
    )
    monkeypatch.setattr(approve, "_sign", lambda *given: signed.append(given))
    assert office.sign("ann", "waiver", "m", "--note", "read") == (0, "", "")
    assert office.sign("ann", "waiver", "m", "--gate", "G12") == (0, "", "")
    none = "The card of m 2.0.0 has no waiver of G1.\n"
    assert office.sign("ann", "waiver", "m", "--gate", "G1") == (1, "", none)
    subject.product = {}
    assert office.sign("ann", "waiver", "m")[0] == 1
    more = (Path(office.key("ann")), office.people, office.url, None)
    named = {"model": "m", "version": "2.0.0"}
    assert signed == [
        ([("waiver", named | of_card[0], "read"), ("waiver", named | of_card[2], "read")], *more),
        ([("waiver", named | of_card[1], "")], *more),
    ]


@pytest.mark.parametrize(
    ("gates", "red"),
    [
        (None, "no gate report"),
        (SimpleNamespace(red=("G1", "G2")), "G1, G2"),
        (SimpleNamespace(red=()), None),
    ],
)
def test_a_model_is_signed_where_every_gate_is_green(
    gates: Any, red: str | None, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[Any] = []
    release = SimpleNamespace(id="m_5y", version="2.0.0", gates=gates, digest="cafe")
    monkeypatch.setattr(approve, "find_version", lambda *_: SimpleNamespace(folder=Path("own/m")))
    monkeypatch.setattr(approve, "read_release", lambda *_: release)
    monkeypatch.setattr(approve, "model_subject", lambda given: given.digest)
    monkeypatch.setattr(approve, "_sign", lambda *given: signed.append(given))
    refused = f"m_5y 2.0.0 cannot be approved: {red} not green.\n"
    assert office.sign("ann", "model", "m", "--note", "read") == ((1, "", refused) if red is not None else (0, "", ""))
    more = (Path(office.key("ann")), office.people, office.url, None)
    assert signed == ([] if red is not None else [([("model", "cafe", "read")], *more)])
