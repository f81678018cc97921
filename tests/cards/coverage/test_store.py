"""Which folder is that of a payer's own policies, and whose rules are in force without one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cards.coverage import store
from cards.coverage.policy import load_policies
from cards.rules.language.site import SITE


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """The policies are read once for a process: those of a test are no others' policies."""
    for kept in (store.policies, store.proposals):
        kept.cache_clear()
    yield
    for kept in (store.policies, store.proposals):
        kept.cache_clear()


def _site(monkeypatch: pytest.MonkeyPatch, **folders: Path) -> None:
    monkeypatch.setattr(store, "site_folders", lambda: folders)


def test_the_folder_is_that_of_the_site_where_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _site(monkeypatch)
    assert store.own_folder() is None
    _site(monkeypatch, other=tmp_path, **{SITE: tmp_path})
    assert store.own_folder() is None
    (tmp_path / "coverage").write_text("a file")
    assert store.own_folder() is None
    (tmp_path / "coverage").unlink()
    (tmp_path / "coverage").mkdir()
    assert store.own_folder() == tmp_path / "coverage"
    _site(monkeypatch, other=tmp_path)
    assert store.own_folder() is None


def test_without_a_folder_the_policies_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    _site(monkeypatch)
    assert store.policies().version == load_policies(None).version
    assert store.policies().own_payers == frozenset()
    assert (store.proposals().by_code, store.proposals().members) == ({}, {})
    assert store.policies() is store.policies()


def test_the_policies_of_the_own_folder_are_rules_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "coverage"
    folder.mkdir()
    (folder / "payers.csv").write_text("payer,name,names,plans,identifiers\nown,Own Health Plan,,,\n")
    (folder / "policies.csv").write_text(
        "id,payer,system,code,category,covered,pa_needed,places,criteria,effective_from,effective_to,source\n"
        "own-a,own,HCPCS,B4150,Enteral formula,listed,auth-needed,,,2026-01-01,,Policy 1\n"
    )
    _site(monkeypatch, **{SITE: tmp_path})
    assert store.policies().own_payers == {"own"}
    governed: list[str] = []
    monkeypatch.setattr(
        store, "govern", lambda _name, tables: governed.extend(rule.id for table in tables for rule in table.rules)
    )
    store.govern_own_policies()
    assert governed == ["payer-own-a"]
