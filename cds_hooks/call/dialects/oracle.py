"""Oracle Health (Cerner): patient-view in a beta of CDS Hooks 1.0, links to registered addresses only.

Source: fhir.cerner.com, "CDS Hooks (beta)" (cerner/fhir.cerner.com, pull request 707, since archived), read in a public
copy; and the project's note on EHR dialects, section 1. What is drawn of Markdown is not said there: bold and lists.
"""

from cds_hooks.call.dialects._dialect import Dialect

DIALECT = Dialect(
    "oracle",
    "Oracle Health",
    version="1.0",
    markdown="basic",
)
