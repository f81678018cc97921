"""Two people sign with their own keys; whatever else is tried does not count, and is refused in a sentence."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cards.rules.engine.governance import SiteRules, all_rule_versions
from cds_hooks.hold_back.acts import ApprovalRefused, model_subject, rule_subject, waiver_subject
from cds_hooks.hold_back.approvals import ApprovalBook, ModelApprovals, refuse_lost_people
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.people import People, PeopleFileError, Person, add_person, read_people
from cds_hooks.storage.database import engine_for, parse_url
from cds_hooks.storage.entries import EVENT_COLUMNS, event_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from cds_hooks.trusted_models import why_withheld
from models_onnx.artifact.keys import Signer, local_signer, maintainers
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.workbench.gates.gate import run_gates
from models_onnx.workbench.gates.subject import Evidence, read_subject
from tests.cds_hooks.storage.conftest import postgres_server, postgres_url, sqlite_url, url

__all__ = ["postgres_server", "postgres_url", "sqlite_url", "url"]

RULE = "renal-metformin"
SUBJECT = rule_subject(RULE, all_rule_versions()[RULE].digest)
TODAY = datetime.now(UTC).date()


def _waiver(by: str = "Ann Lee", ends_in_days: int = 30, **changes: Any) -> Mapping[str, Any]:
    ends = TODAY + timedelta(days=ends_in_days)
    written = {"gate": "G9", "covers": ["sex"], "reason": "Groups differ in age.", "by": by}
    dates = {"granted": (ends - timedelta(days=60)).isoformat(), "expires": ends.isoformat()}
    return waiver_subject("mortality_5y", "1.0.0", written | dates | changes)


class Site:
    """A record, a file of people, and the keys of some of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.file = url, folder, folder / "people.toml"
        self.ann = self.person("Ann Lee", "pharmacist")
        self.ben = self.person("Ben Ray", "physician")
        self.cara = self.person("Cara Dow", "physician")
        self.stranger = local_signer(folder / "stranger.pem", "x")[0]
        self.book = ApprovalBook(url, self.file)

    def person(self, name: str, role: str) -> Signer:
        signer, _ = local_signer(self.folder / f"{name}-{role}.pem", name)
        add_person(self.file, Person(name, role, signer.public))
        return signer

    def read_anew(self) -> ApprovalBook:
        book = ApprovalBook(self.url, self.file)
        book.read()
        return book


@pytest.fixture
def site(url: str, tmp_path: Path) -> Site:
    return Site(url, tmp_path)


@pytest.fixture
def here(sqlite_url: str, tmp_path: Path) -> Site:
    return Site(sqlite_url, tmp_path)


def test_two_people_approve_and_a_running_server_has_it(site: Site) -> None:
    governance = Governance(None, needs_approval=True, approvals=ApprovalBook(site.url, site.file))
    site.book.approve("rule", SUBJECT, site.ann, "label read")
    assert "signed by Ann Lee alone" in str(site.book.why_not_approved("rule", SUBJECT, TODAY))
    governance.read_approvals()
    assert not governance.site.is_approved(RULE, SUBJECT["digest"])
    site.book.approve("rule", SUBJECT, site.ben)
    governance.read_approvals()
    approval = governance.site.approvals[RULE]
    assert (approval.by, approval.role, approval.note) == (
        "Ann Lee and Ben Ray",
        "pharmacist and physician",
        "label read",
    )
    assert governance.approval_counts() == {"approved": 1, "not_approved": len(all_rule_versions()) - 1}
    other = dict(SUBJECT) | {"digest": "0" * 16}
    assert "by nobody" in str(site.read_anew().why_not_approved("rule", other, TODAY))


def test_the_same_person_a_stranger_the_author_and_an_ended_waiver_are_refused(here: Site) -> None:
    here.book.approve("rule", SUBJECT, here.ann)
    new_key = here.person("ann  LEE", "physician")
    own, theirs = _waiver(), _waiver(by="A committee")
    here.book.approve("waiver", own, here.ben)
    for kind, subject, signer, said in (
        ("rule", SUBJECT, here.ann, "Ann Lee has signed rule renal-metformin .* already"),
        ("rule", SUBJECT, new_key, "has signed rule renal-metformin .* already; the second key is another person's"),
        ("rule", SUBJECT, here.stranger, "belongs to nobody in .*people.toml"),
        ("waiver", own, here.ann, "Ann Lee is the author of the waiver of G9"),
        ("waiver", _waiver(ends_in_days=0), here.ben, "is not in force on .*; write a new one"),
        ("waiver", _waiver(ends_in_days=90), here.ben, "is not in force on"),
        ("waiver", _waiver(expires="soon"), here.ben, "is not in force on"),
    ):
        with pytest.raises(ApprovalRefused, match=said):
            here.book.approve(kind, subject, signer)  # type: ignore[arg-type] # the kinds are literals above
    here.book.approve("waiver", own, here.cara)
    assert here.book.why_not_approved("waiver", own, TODAY) is None
    assert "not in force" in str(here.book.why_not_approved("waiver", own, TODAY + timedelta(days=31)))
    here.book.approve("waiver", theirs, here.ann)
    assert "signed by Ann Lee alone" in str(here.book.why_not_approved("waiver", theirs, TODAY))


def _change(url: str, entry: int, values: Mapping[str, Any], rehash: bool) -> None:
    """As whoever owns the database can: the trigger goes, the row is changed, and its hash too if wanted."""
    row = {**read_rows(url, events.select().where(events.c.position == entry))[0]._mapping, **values}
    digest = event_hash(bytes(row["previous"]), entry, row) if rehash else bytes(row["hash"])
    parsed = parse_url(url)
    with engine_for(parsed).begin() as connection:
        for each in ("update", "delete") if parsed.get_backend_name() == "sqlite" else ("",):
            name = f"events_refuse_{each}" if each else "events_refuse ON events"
            connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        changed = {name: row[name] for name in EVENT_COLUMNS} | {"hash": digest}
        connection.execute(events.update().where(events.c.position == entry).values(**changed))


def _other_rule(row: str) -> str:
    return row.replace(RULE, "renal-metformim")


def _other_signer(row: str) -> str:
    return row.replace("Ben Ray", "Ann Lee")


def _one_byte_of_signature(row: str) -> str:
    body = json.loads(row)
    body["signature"] = ("A" if body["signature"][0] != "A" else "B") + body["signature"][1:]
    return json.dumps(body)


@pytest.mark.parametrize("change", [_other_rule, _other_signer, _one_byte_of_signature, lambda _row: "{}"])
@pytest.mark.parametrize(("rehash", "said"), [(False, "it was changed after it was written"), (True, "")])
def test_a_changed_byte_in_the_record_does_not_count(
    site: Site, change: Callable[[str], str], rehash: bool, said: str
) -> None:
    site.book.approve("rule", SUBJECT, site.ann)
    site.book.approve("rule", SUBJECT, site.ben)
    detail = read_rows(site.url, events.select().where(events.c.position == 2))[0].detail
    _change(site.url, 2, {"detail": change(detail)}, rehash)
    book = site.read_anew()
    assert "signed by Ann Lee alone" in str(book.why_not_approved("rule", SUBJECT, TODAY))
    assert book.refused[0].startswith("entry 2 of the record does not count: ")
    assert said in book.refused[0]
    assert book.in_force(SiteRules()).approvals == {}


def test_an_entry_that_disappears_and_a_broken_file_change_nothing_and_a_forgotten_key_counts_no_more(
    here: Site,
) -> None:
    here.book.approve("rule", SUBJECT, here.ann)
    here.book.approve("rule", SUBJECT, here.ben)
    whole = here.file.read_text()
    here.file.write_text("version = 1\n[[person]]\nname = 3\n")
    with pytest.raises(PeopleFileError, match="person 1 has the members name, role and public_key"):
        here.book.read()
    assert here.book.why_not_approved("rule", SUBJECT, TODAY) is None
    entries = whole.split("\n[[person]]")
    without_ann = "\n[[person]]".join([entries[0], *entries[2:]])
    here.file.write_text(without_ann)
    with pytest.raises(PeopleFileError, match=r"the entry of Ann Lee .* is gone"):
        here.book.read()
    assert here.book.why_not_approved("rule", SUBJECT, TODAY) is None
    with pytest.raises(PeopleFileError, match="the entry of Ann Lee"):  # at a start nothing is remembered
        refuse_lost_people(here.url, read_people(here.file))
    here.file.write_text(without_ann.replace("version = 1", f'version = 1\nforgotten = ["{here.ann.public.id}"]'))
    here.book.read()
    refuse_lost_people(here.url, read_people(here.file))
    assert "signed by Ben Ray alone" in str(here.book.why_not_approved("rule", SUBJECT, TODAY))
    assert "belongs to nobody in" in here.book.refused[0]


def test_what_somebody_signed_stays_valid_after_they_left_and_they_sign_nothing_more(here: Site) -> None:
    here.book.approve("rule", SUBJECT, here.ann)
    here.book.approve("rule", SUBJECT, here.ben)
    today, entries = datetime.now(UTC).date(), here.file.read_text().split("\n[[person]]")
    for left_on, is_valid in ((today, True), (today - timedelta(days=1), False)):
        entries_now = list(entries)
        entries_now[1] = f"{entries[1].rstrip()}\nleft_on = {left_on}\n"
        here.file.write_text("\n[[person]]".join(entries_now))
        here.book.read()
        assert (here.book.why_not_approved("rule", SUBJECT, TODAY) is None) is is_valid
        refuse_lost_people(here.url, read_people(here.file))
    with pytest.raises(ApprovalRefused, match="Ann Lee left on"):
        here.book.approve("rule", {**SUBJECT, "digest": "0" * 16}, here.ann)


def test_a_list_is_signed_as_a_whole_or_not_at_all(here: Site) -> None:
    other = {**SUBJECT, "digest": "0" * 16}
    here.book.approve("rule", SUBJECT, here.ann)
    with pytest.raises(ApprovalRefused, match="has signed"):
        here.book.approve_all([("rule", other, ""), ("rule", SUBJECT, "")], here.ann)
    assert here.book.signers("rule", other) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version = 2", "it has version = 1"),
        ("person = 3\nversion = 1", "it has version = 1"),
        ("version = ", "is not valid TOML"),
        ("x = " + "[" * 5_000, "is not valid TOML"),
        ("x = " + "9" * 5_000, "is not valid TOML"),
        ('version = 1\n[[person]]\nname = "A"\nrole = "b"\npublic_key = "AAAA"', "is not base64 of the 32 bytes"),
        ('version = 1\n[[person]]\nname = " "\nrole = "b"\npublic_key = "AAAA"', "texts that are not empty"),
        ('version = 1\n[[person]]\nname = "A"\nrole = "b"\nkey = "AAAA"', "and no others"),
    ],
)
def test_a_wrong_file_of_people_is_refused_in_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "people.toml").write_text(content)
    with pytest.raises(PeopleFileError, match=said):
        read_people(tmp_path / "people.toml")


def test_a_key_is_one_persons_only(here: Site) -> None:
    with pytest.raises(PeopleFileError, match="is that of Ann Lee already"):
        add_person(here.file, Person("Dan", "nurse", here.ann.public))
    assert len(read_people(here.file).by_key) == 3


def test_behind_a_trust_file_a_model_shows_cards_only_with_what_two_people_signed(here: Site) -> None:
    model = load_model("mortality_5y")
    release = model.artifact.release
    assert release is not None
    assert release.gates is not None
    assert release.gates.waived == ("G9",)
    card = read_subject(ARTIFACTS / "mortality_5y", {}).product
    waiver = waiver_subject(release.id, release.version, card["waivers"][0])
    granted, ends = (date.fromisoformat(waiver[name]) for name in ("granted", "expires"))

    def withheld(book: ApprovalBook | None, on: date = granted) -> str | None:
        return ModelApprovals("validated", book, lambda: on).why_withheld(model)

    nobody_named = ApprovalBook(here.url, None)
    assert withheld(None) is None
    assert withheld(None, ends) is None, "the development profile is as it was"
    assert withheld(nobody_named) is None, "the publisher's signature stands for the waiver"
    assert "is not in force on" in str(withheld(nobody_named, ends))
    assert "is signed by nobody; two people sign it" in str(withheld(here.book))
    here.book.approve("waiver", waiver, here.ann)
    here.book.approve("waiver", waiver, here.ben)
    assert withheld(here.book) is None
    assert "is not in force on" in str(withheld(here.book, ends))
    subject = model_subject(release)
    here.book.approve("model", subject, here.ben)
    here.book.approve("model", subject, here.cara)
    assert "have one role; two roles are needed" in str(here.book.why_not_approved("model", subject, TODAY))
    here.book.approve("model", subject, here.ann)
    assert here.book.why_not_approved("model", subject, TODAY) is None
    changed = dict(subject) | {"gates": "0" * 64}
    assert "by nobody" in str(here.book.why_not_approved("model", changed, TODAY))


def _no_fault(_waiver: Mapping[str, Any]) -> None:
    return None


def _is_fault(_waiver: Mapping[str, Any]) -> str:
    return "it is signed by nobody"


def test_a_gate_is_waived_only_where_the_waiver_counts() -> None:
    subject = read_subject(ARTIFACTS / "mortality_5y", maintainers())
    granted = date.fromisoformat(subject.product["waivers"][0]["granted"])
    for fault, status in ((_no_fault, "waived"), (_is_fault, "failed")):
        evidence = Evidence(as_of=granted, timer=lambda: 0.0, figures=subject.evaluation, waiver_fault=fault)
        report = run_gates(subject, evidence, only=frozenset({"G9"}))
        result = next(each for each in report.results if each.gate == "G9")
        assert result.status == status
        assert ("its waiver does not count: it is signed by nobody" in result.why) is (status == "failed")


def test_of_several_lost_people_one_has_a_name_and_the_others_a_number() -> None:
    people = People({}, "people.toml")
    for count, more in (
        (1, r"key 0\) is gone"),
        (2, r"key 0\) and 1 more is gone"),
        (3, r"key 0\) and 2 more is gone"),
    ):
        with pytest.raises(PeopleFileError, match=more):
            people.refuse_lost({str(key): f"Person {key}" for key in range(count)})


def test_a_model_whose_release_does_not_reach_the_state_of_the_site_is_withheld(here: Site) -> None:
    model = load_model("mortality_5y")
    for book in (None, here.book):
        reason = ModelApprovals("active", book, lambda: TODAY).why_withheld(model)
        assert reason == why_withheld(model, "active")
        assert reason is not None
