"""From development to trust without a surprise: what is not approved is listed, and typed names approve nothing."""

from pathlib import Path

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.hold_back.governance import Governance
from tests.program import run_program

RULE = "renal-metformin"


def test_behind_a_trust_file_a_typed_name_approves_nothing(tmp_path: Path) -> None:
    rules, here = tmp_path / "rules.toml", {"CDS_TRUST_FILE": str(tmp_path / "trust.toml")}
    digest = all_rule_versions()[RULE].digest
    typed = f'rule = "{RULE}"\ndigest = "{digest}"\nby = "A"\nrole = "pharmacist"\non = "2026-11-20"'
    rules.write_text(f"version = 1\n[[approval]]\n{typed}\n")
    assert Governance(rules, needs_approval=True).approval_counts() == {
        "approved": 0,
        "not_approved": len(all_rule_versions()),
    }
    assert RULE not in run_program("rules", "show", "--to-review", "--file", str(rules)).stdout
    assert RULE in run_program("rules", "show", "--to-review", "--file", str(rules), environment=here).stdout


def test_where_no_approval_is_needed_nothing_is_counted() -> None:
    assert Governance(None, needs_approval=False).approval_counts() is None
