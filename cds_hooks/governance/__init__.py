"""What a site decides about the medication rules, the overrides of its clinicians, and what was said before."""

from cds_hooks.governance.governance import Governance
from cds_hooks.governance.patient_finding import Caller
from cds_hooks.governance.restraint import NOBODY, Audience
from cds_hooks.governance.rules_file import RulesFileError, read_rules_file
from cds_hooks.governance.said_once import Chosen

__all__ = ["NOBODY", "Audience", "Caller", "Chosen", "Governance", "RulesFileError", "read_rules_file"]
