"""Two people who have logged in approve; whatever else is tried does not count, and is refused in a sentence."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cds_hooks.people.governance.act_desk import LoggedIn, waiver_version
from cds_hooks.people.governance.acts import ApprovalRefused, waiver_subject
from models_onnx.serving.registry import load_model
from tests.cds_hooks.people.governance.clicking import ANN, BEN, CARA, ISSUER, SUBJECT, Desk
from tests.each import each_row

TODAY = datetime.now(UTC).date()


def _waiver(by: str = "Ann Lee", ends_in_days: int = 30, **changes: Any) -> Mapping[str, Any]:
    ends = TODAY + timedelta(days=ends_in_days)
    written = {"gate": "fairness", "covers": ["sex"], "reason": "Groups differ in age.", "by": by}
    dates = {"granted": (ends - timedelta(days=60)).isoformat(), "expires": ends.isoformat()}
    return waiver_subject("mortality_5y", "1.0.0", written | dates | changes)


@pytest.fixture
def here(sqlite_url: str) -> Desk:
    return Desk(sqlite_url)


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (ANN, r"Ann Lee \(pharmacist\) has approved rule .* another person in another role is needed"),
        (LoggedIn("ann  LEE", "oidc 9", ISSUER, frozenset({"approver"})), "another person in another role is needed"),
        (LoggedIn("Cid Orr", "oidc 5", ISSUER, frozenset({"pharmacist"})), "another person in another role is needed"),
        (LoggedIn("Vic", "oidc 6", ISSUER, frozenset({"viewer", "clinician"})), "none of your roles approves"),
        (LoggedIn("A card", "link a b", "", frozenset({"clinician-link"})), "none of your roles approves"),
    ],
)
def test_the_same_person_under_two_logins_one_role_and_a_viewer_are_refused(
    here: Desk, person: LoggedIn, said: str
) -> None:
    here.click(ANN)
    with pytest.raises(ApprovalRefused, match=said):
        here.click(person)
    assert len(here.book().approvals("rule", SUBJECT)) == 1


def test_who_has_several_roles_approves_in_one_that_the_first_has_not(here: Desk) -> None:
    both = LoggedIn("Dot", "oidc 4", ISSUER, frozenset({"approver", "operator"}))
    assert here.click(CARA).by == "Cara Dow (approver)"
    assert here.click(both).by == "Dot (operator)"
    with pytest.raises(ApprovalRefused, match=r"is approved already, by Cara Dow \(approver\) and Dot \(operator\)"):
        here.click(ANN)


def test_a_waiver_is_approved_in_its_words_while_it_is_in_force_and_second_not_by_its_author(here: Desk) -> None:
    own, ended, later = _waiver(), _waiver(ends_in_days=0), _waiver(ends_in_days=90)
    written_first = _waiver(ends_in_days=20)
    unreadable = _waiver(expires="soon")
    here.waivers = [own, ended, later, unreadable, written_first]
    release = load_model("mortality_5y").artifact.release
    assert release is not None
    here.releases_by_model["mortality_5y"] = release
    about = {"kind": "waiver", "name": "mortality_5y"}
    for subject in (ended, later, unreadable):
        with pytest.raises(ApprovalRefused, match=r"is not in force on .*; write a new one"):
            here.click(BEN, **about, version=waiver_version(subject))
    with pytest.raises(ApprovalRefused, match="has no such waiver, or its text was changed"):
        here.click(BEN, **about, version=waiver_version({**own, "reason": "Another one."}))
    here.click(BEN, **about, version=waiver_version(own))
    with pytest.raises(ApprovalRefused, match="Ann Lee is the author of the waiver of fairness"):
        here.click(ANN, **about, version=waiver_version(own))
    here.put_approval(ANN, own, kind="waiver")
    assert "Ben Ray (approver) alone" in str(here.book().why_not_approved("waiver", own, TODAY))
    operator = msgspec.structs.replace(CARA, roles=frozenset({"operator"}))
    here.click(operator, **about, version=waiver_version(own))
    assert here.book().why_not_approved("waiver", own, TODAY) is None
    assert "not in force" in str(here.book().why_not_approved("waiver", own, TODAY + timedelta(days=31)))
    for person in (ANN, BEN):  # the author may be the first of the two
        here.click(person, **about, version=waiver_version(written_first))
    assert here.book().why_not_approved("waiver", written_first, TODAY) is None


# What counts in the record


def test_what_somebody_approved_stays_after_they_left_and_later_acts_do_not_count(here: Desk) -> None:
    here.click(ANN)
    here.click(BEN)
    here.account("ann", "disable")
    other = {**SUBJECT, "digest": "0" * 16}
    here.put_approval(ANN, other)  # a click whose page was open when the account was disabled
    book = here.book()
    assert book.why_not_approved("rule", SUBJECT, TODAY) is None
    assert "by nobody" in str(book.why_not_approved("rule", other, TODAY))
    assert book.refused == [
        "entry 5 of the record does not count: no active account ann had the role pharmacist when it was recorded"
    ]
    here.account("ann", "enable")
    here.account("ann", "roles", roles=["viewer"])
    here.put_approval(ANN, other)
    assert len(here.book().refused) == 2, "with another role it counts as little"
    here.account("ann", "roles", roles=["pharmacist"])
    here.put_approval(ANN, other)
    assert "by Ann Lee (pharmacist) alone" in str(here.book().why_not_approved("rule", other, TODAY))


@each_row(("changes", "said"))
def test_an_entry_that_nobody_of_the_site_can_have_made_does_not_count(
    here: Desk, changes: dict[str, Any], said: str
) -> None:
    here.put_approval(ANN, **changes)
    book = here.book()
    assert "by nobody" in str(book.why_not_approved("rule", SUBJECT, TODAY))
    assert len(book.refused) == 1
    assert said in book.refused[0]


def test_two_workers_that_take_the_same_click_at_one_moment_count_it_once(here: Desk) -> None:
    here.put_approval(ANN)
    here.put_approval(ANN)
    here.put_approval(LoggedIn("Ann Lee", "oidc 3", ISSUER, frozenset({"approver"})))
    assert [given.person for given in here.book().approvals("rule", SUBJECT)] == ["account ann"]
