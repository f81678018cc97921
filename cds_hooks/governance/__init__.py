"""What a site decides about the medication rules, and the overrides of its clinicians."""

from cds_hooks.governance.governance import Governance
from cds_hooks.governance.rules_file import RulesFileError, read_rules_file

__all__ = ["Governance", "RulesFileError", "read_rules_file"]
