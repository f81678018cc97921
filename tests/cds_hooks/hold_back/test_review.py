"""From development to trust without a surprise: what is not approved is listed, and a reviewed list is one act."""

from pathlib import Path

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.rules_file import read_rules_file
from tests.program import run_program

RULE = "renal-metformin"


def test_a_reviewed_list_is_approved_in_one_act_and_a_wrong_line_changes_nothing(tmp_path: Path) -> None:
    rules, reviewed = tmp_path / "rules.toml", tmp_path / "reviewed.txt"
    printed = run_program("rules", "list", "--to-review").stdout
    act = ("rules", "approve", "--all-reviewed", str(reviewed), "--name", "A. Person", "--role", "pharmacist")
    reviewed.write_text(printed.replace(" |", " | label read") + "renal-metformin 0000000000000000\n")
    refused = run_program(*act, "--file", str(rules))
    assert (refused.returncode, rules.exists()) == (1, False)
    assert "read it again" in refused.stderr
    reviewed.write_text(printed.replace(" |", " | label read"))
    assert run_program(*act, "--file", str(rules)).returncode == 0
    assert rules.stat().st_mode & 0o777 == 0o600
    assert len(read_rules_file(rules).approvals) == len(all_rule_versions())
    assert run_program("rules", "list", "--to-review", "--file", str(rules)).stdout == ""


def test_behind_a_trust_file_a_typed_name_approves_nothing_and_can_no_longer_be_typed(tmp_path: Path) -> None:
    rules, here = tmp_path / "rules.toml", {"CDS_TRUST_FILE": str(tmp_path / "trust.toml")}
    version = all_rule_versions()[RULE].digest
    act = ("rules", "approve", RULE, "--version", version, "--name", "A", "--role", "pharmacist", "--file", str(rules))
    typed = run_program(*act)
    assert typed.returncode == 0
    assert "behind a trust file it does not count" in typed.stderr
    assert Governance(rules, needs_approval=True).approval_counts() == {
        "approved": 0,
        "not_approved": len(all_rule_versions()),
    }
    refused = run_program(*act, environment=here)
    assert refused.returncode == 1
    assert "cds-hooks approve rule" in refused.stderr
    assert RULE in run_program("rules", "list", "--to-review", "--file", str(rules), environment=here).stdout


def test_where_no_approval_is_needed_nothing_is_counted() -> None:
    assert Governance(None, needs_approval=False).approval_counts() is None
