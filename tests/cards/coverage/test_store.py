"""Whose policies are in force, with and without a payer's own folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cards.coverage import store
from cards.coverage.policy import load_policies


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """The policies are read once for a process: those of a test are no others' policies."""
    for kept in (store.policies, store.proposals):
        kept.cache_clear()
    yield
    for kept in (store.policies, store.proposals):
        kept.cache_clear()


def test_without_a_folder_the_policies_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "payer_folder", lambda: None)
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
    monkeypatch.setattr(store, "payer_folder", lambda: folder)
    assert store.policies().own_payers == {"own"}
    governed: list[str] = []
    monkeypatch.setattr(
        store, "govern", lambda _name, tables: governed.extend(rule.id for table in tables for rule in table.rules)
    )
    store.govern_own_policies()
    assert governed == ["payer-own-a"]
