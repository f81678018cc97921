"""What a site says of the medication rules, and what its clinicians answered to them."""

from cds_hooks.governance.governance import Governance
from cds_hooks.governance.rules_file import RulesFileError, read_rules_file

__all__ = ["Governance", "RulesFileError", "read_rules_file"]
