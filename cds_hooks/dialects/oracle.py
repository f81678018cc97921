"""Oracle Health (Cerner): patient-view in a beta of CDS Hooks 1.0, links to registered addresses only.

Source: fhir.cerner.com, "CDS Hooks (beta)" (cerner/fhir.cerner.com, pull request 707, since archived), read in a public
copy; and the project's note on EHR dialects, section 1. What is drawn of Markdown is not said there: bold and lists.
"""

from cds_hooks.dialects._dialect import Dialect, IntegrationSheet
from cds_hooks.protocol.hooks import PATIENT_VIEW

DIALECT = Dialect(
    "oracle",
    "Oracle Health",
    version="1.0",
    markdown="basic",
    sheet=IntegrationSheet(
        reads_discovery="Services are registered one by one with the facts below.",
        authentication=(
            ("iss", "https://cds-hooks.cerner.com"),
            ("jku", "one of the list at https://authorization.cerner.com/jwk: the one that is registered here"),
            ("aud", "the URL of the service"),
            ("exp", "at most an hour after iat"),
            ("jti", "used once"),
        ),
        notes=(
            "patient-view is the only hook that its documentation names; the other services are listed for the day "
            "when it names more.",
            "Links and SMART apps that are not registered are taken out of cards: register those below. With "
            "`link_hosts` in the client's profile they are not even sent.",
            "Cards are written as CDS Hooks 1.0 has them: no card uuid, no topic, no override reasons; at most one "
            "suggestion can be taken; a delete names its resource in `resource`.",
            "There is no feedback.",
        ),
        hook_notes={PATIENT_VIEW: "The chart is opened for a patient within the registered demographics."},
    ),
)
