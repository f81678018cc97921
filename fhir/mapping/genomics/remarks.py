"""Takes advice out of a report's text: "Poor metabolizer. Consider an alternative." says "Poor metabolizer".

Only a whole part after the result is taken out, and only where it does nothing but say what to do with a drug, what to
expect of it, or how the test was made. A part that names a phenotype, an allele or another gene, or that leaves
something open ("confirm", "amended", "not excluded"), stays, and with it the text is not understood.
"""

import re
from typing import Final

from fhir.mapping.genomics.words import genes_named
from fhir.terminology.late_pattern import late_pattern

_BRACKETS: Final = late_pattern(r"\s*\((?P<inside>[^()]{5,})\)")
_BETWEEN: Final = late_pattern(
    r"\s*[\r\n]+\s*|\s*[;:]\s+|(?<=[A-Za-z0-9)*])[.,]\s+|\s[-–—]\s|\s+(?:and )?(?=should\b|due to (?:gene )?dup)"
)
_METHOD: Final = late_pattern(
    r"(?<=[A-Za-z0-9)*])[.;,]\s+(?:method(?:ology)?|assay|platform)(?: used)?: (?P<method>[\w -]{2,40})(?:\.|$)",
    re.IGNORECASE,
)
_ADVICE: Final = late_pattern(
    r"(?:(?:please|strongly|patients?|should|must|to)\s+)*"
    r"(?:consider|avoid|use|do not (?:use|prescribe|give|start|initiate)|not receive|select|choose|switch|prescribe"
    r"|prefer|reduce|decrease|increase|lower|start|initiate|begin|monitor|titrate|discontinue|stop|follow|see|refer to"
    r"|tested by|analy[sz]ed by|performed (?:at|by)"
    r"|per|according to|recommend(?:ed|ation|ations)?|alternative|an alternative|another|dose (?:reduction|adjustment)"
    r"|drastic(?:ally)?|standard (?:dos|starting dos)\w*|usual dos\w*"
    r"|action required|actionable|contraindicated|no (?:change|action|dose adjustment)"
    r"|may (?:need|require|benefit|have|experience|be at))\b.*"
    r"|.*\b(?:recommended|advised|preferred|contraindicated|suggested|should be (?:avoided|considered|reduced|used)"
    r"|(?:may|can) be (?:used|prescribed|given|started))(?: (?:with|at|as|per|by|in) .*)?",
    re.IGNORECASE | re.DOTALL,
)
_EXPECTED: Final = late_pattern(
    r"(?:(?:significantly|greatly|markedly|likely|expect(?:ed)?|an?|at|the)\s+)*"
    r"(?:reduced|decreased|diminished|impaired|increased|higher|lower|high|elevated|greater)\b.*"
    r"\b(?:risk (?:of|for)|effect|effects|response|formation|exposure|efficacy|activation|clearance|concentrations?"
    r"|levels?|toxicity|conversion)\b.*",
    re.IGNORECASE | re.DOTALL,
)
# How many copies of the gene work: adds nothing to a phenotype, but to alleles ("*1/*2, duplication").
_COPIES: Final = late_pattern(
    r"(?:with |due to )?(?:(?:\d|no|zero|one|two|three|multiple) (?:functional|active) (?:gene )?(?:copies|alleles)"
    r"|(?:gene )?copy number:? ?\d|\d copies|(?:gene )?duplication)(?: (?:detected|present))?",
    re.IGNORECASE,
)
# These deny or leave open nothing about the result.
_HARMLESS: Final = late_pattern(
    r"\b(?:do not (?:use|prescribe|give|start|initiate)|(?:is|are) not recommended|should not (?:be used|receive)"
    r"|not receive|if possible|no (?:change|action|dose adjustment|contraindications?))\b",
    re.IGNORECASE,
)
# What tells of a result, or of a doubt about it.
_TELLS: Final = late_pattern(
    r"\*\s*\d|\brs\d|\bc\.-?\d|>|metaboli[sz]er|\bacetylator|\b(?:phenotype|genotype|diplotype|alleles?|activity"
    r"|function\w*|variants?|positive|negative|detected|deficient|deficiency|carriers?|normal|intermediate|poor|rapid"
    r"|ultrarapid|extensive|slow|um|rm|nm|im|pm|em|expresser"
    r"|not|no|never|cannot|unable|unless|pending|un\w*confirm\w*|confirm\w*|repeat\w*|re-?test\w*|suspect\w*|possib\w*"
    r"|exclu\w*|rule[sd]?|errors?|amend\w*|correct\w*|wrong\w*|mix|instead of|previous\w*|prior|history|reference"
    r"|example|phenoconver\w*|inhibitors?|inducers?|transplant\w*|sample|specimen)\b",
    re.IGNORECASE,
)


def without_advice(text: str) -> str:
    """The text without the parts that only advise about a drug or tell of the method; the text itself without any.

    >>> without_advice("Poor metabolizer, consider alternative"), without_advice("If poor metabolizer, confirm")
    ('Poor metabolizer', 'If poor metabolizer, confirm')
    """
    whole, text = text, _METHOD.sub(lambda match: match[0] if _TELLS.search(match["method"]) else "", text)
    has_alleles = "*" in text or ">" in text

    def is_beside(part: str) -> bool:
        return _is_advice(part) or (not has_alleles and _COPIES.fullmatch(part.strip(" .")) is not None)

    cleaned = _BRACKETS.sub(lambda match: "" if is_beside(match["inside"]) else match[0], text.strip())
    parts = [part.strip() for part in _BETWEEN.split(cleaned)]
    kept = [parts[0], *(part for part in parts[1:] if part and not is_beside(part))]
    if len(kept) == len(parts):
        return cleaned
    # "Poor metabolizers: avoid clopidogrel" tells of no patient.
    return whole if re.search(r"metaboli[sz]ers\b", kept[0], re.IGNORECASE) else "; ".join(kept)


def _is_advice(part: str) -> bool:
    part = part.strip(" .")
    if _ADVICE.fullmatch(part) is None and _EXPECTED.fullmatch(part) is None:
        return False
    return _TELLS.search(_HARMLESS.sub(" ", part)) is None and not genes_named([part])
