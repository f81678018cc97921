"""The findings that a note names: symptoms, signs, diseases, operations, each with what the note says of it.

Names come from finding_names.csv (a row without a concept has words that hold a name and mean none: "medically fit")
and the phrases of the condition groups; labels from the assertion reader, the section and the words around a name.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fhir.notes.layout import Layout
from fhir.terminology.assertions import AssertedText, Assertion, tokens_of
from fhir.terminology.medication_names import is_name_of_drug
from fhir.terminology.package_tables import package_rows
from fhir.terminology.phrases import group_spans, leaves_a_problem, plain_parts, plain_words


class Finding(Struct, frozen=True):
    """A name in a note with its place, concept and codes, and the three labels; `section` is "" where none is known."""

    start: int
    end: int
    text: str
    concept: str
    codes: tuple[str, ...]
    assertion: str
    temporality: str
    experiencer: str
    section: str = ""


class _Name(Struct, frozen=True, gc=False):
    words: tuple[str, ...]
    concept: str
    code: str


class _Span(Struct, frozen=True, gc=False):
    first: int
    last: int
    concept: str
    codes: tuple[str, ...]


_IN_CAPITALS: Final = frozenset(Path(__file__).with_name("names_in_capitals.txt").read_text("utf-8").split())
"""Short names that are also English words or units: only in capitals are they names of findings."""
# "98 % RA" is room air, "METS >4" what somebody can do, "CP-A" a class of cirrhosis.
_OTHER_MEANING: Final = re.compile(r"(?:%|\bon|\d) ra\b|\bcp-?[abc]\b|\d ?mets?\b|\bmets?:? ?[<>≥=~\d]")
# Groups of the problem lists that say nothing in a note, or that other words of it mean.
_ACUTE: Final = re.compile(
    r"stroke|transient|infarction|fracture|embolism|thrombosis|pneumonia|meningitis|ketoacidosis|hypoglyc|sepsis"
    r"|seizure|fall|melanoma|cancer|lymphoma|leukaemia|ectomy|section|miscarriage|eclampsia|gestational|bleeding"
    r"|haemorrhage|haematoma|infection|shingles|hepatitis|pancreatitis|attempt|self-harm|injury|trauma|delirium|syncope"
    r"|ulcer|arrest|tuberculosis|anaphylaxis|asbestos|bypass|stent|surgery|psychosis|ectopic|cellulitis|appendicitis"
    r"|cholecystitis|diverticulitis|hernia|transplant|depression|overdose|poisoning|admission|pericarditis|endocarditis"
    r"|COVID|rash|nephr|stone|gallstones|replacement|syndrome$|withdrawal|obstruction|ileus|abscess|(?:kal|natr)a?emia"
    r"|haematuria|haemoptysis|haematemesis|melaena|neuritis"
)
_DUE: Final = re.compile(
    r"\b(?:listed|booked|awaiting|scheduled|planned|elective|due|for elective|(?:\d\d ?[mf]|here|in|admitted"
    r"|present(?:s|ing)|pre-?op) for)(?: for)? (?:[a-z]+ ){0,2}$",
    re.IGNORECASE,
)
_OPERATION: Final = re.compile(r"(?:ectomy|section|bypass|surgery|amputation|stent)$")
_AFTER_A_TIME: Final = re.compile(
    r"^[ ]?[(,]?[ ]?(?:s/p (?:[a-z-]+ ){1,4}?)?"
    r"(?:(?:in|en|im|nel|em|of|the|L|R|left|right|leg|arm|calf|lung|x ?\d) )*(?:(?:early|late|mid) ?)?(?:(?:jan|feb"
    r"|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?[ -]?)?'?(?P<year>(?:19|20)\d\d"
    r"|(?:19|20)\d0s)\b",
    re.IGNORECASE,
)
_AFTER_AGO: Final = re.compile(
    r"^[^.;\n]{0,24}?\b(?:\d+|one|two|three|several|few|many) ?(?:/(?:7|52|12))? ?(?:years?|yrs?|y|months?|mths?"
    r"|decades?)? ?ago\b|^[ ,(]{0,2}(?:as a (?:child|teenager|baby)"
    r"|(?:in|with) (?:(?:a|her) )?(?:previous|prior|last|first|earlier) pregnancy|in childhood|in the past"
    r"|\(?resolved|- resolved"
    r"|now resolved|has resolved|last (?:week|month|year|admission|time|winter|summer)\b|\(childhood|(?:treated|cured"
    r"|eradicated|cleared|excised|resected|removed)(?:/[a-z]+)?(?: (?:w/?|with) [a-z-]+)?(?: in)? ?(?:19|20)\d\d"
    r"|(?:was |been |now )?(?:cured|eradicated)\b|dans l'enfance|in der kindheit|en la infancia|x ?\d+ before"
    r"|before that|at diagnosis only[ ]*(?:$|[,)])|has settled|now settled|settled"
    r"|(?:(?:has|have) (?:now |since )?)?"
    r"(?:stopped|faded|gone|ceased|cleared)\b(?! ?(?:by|for|on|with|from|in|at)\b))|^[^.;\n]{0,40}(?:\b(?-i:NED)\b"
    r"|\bspontaneously cleared|\bcleared spontaneously)",
    re.IGNORECASE,
)
_BEFORE_PAST: Final = re.compile(
    r"\b(?:last|prev(?:ious)?|previously|prior|old|past|h/o|hx|hx of|history of|s/p|remote|childhood|healed|resolved"
    r"|recovered from|stopped|treated for|post|c/b|complicated by)[ ]$",
    re.IGNORECASE,
)
# "A two-day history of cough" begins two days ago and is now; so is what was resolved and is back.
_FOR_A_TIME: Final = re.compile(
    r"(?:\b(?:hour|hr|day|week|wk|month|year|yr)s?'?|/(?:7|52|12)|\b(?:long|longstanding|lifelong|chronic)"
    r") (?:history|hx|h/o) (?:of )?(?:[a-z]{1,20} ){0,3}$",
    re.IGNORECASE,
)
_BACK_AGAIN: Final = re.compile(
    r"^[^.;\n]{0,40}\b(?:now|then|again|has) (?:recurrent|recurred|recurring|returned|relapsed|back(?! to))\b",
    re.IGNORECASE,
)
_NO_ALLERGY: Final = re.compile(r"nkd?a", re.IGNORECASE)
# "No beta blocker as she had asthma": what is denied ends where the reason begins
_BECAUSE: Final = re.compile(r"\w (?:as (?:she|he|they|pt|\?)|because|since|given|in view of)\b", re.I)
_NO: Final = re.compile(r"\b(?:no|not|never|nil) \w", re.I)
# "Bowels not open 4 days, constipation": a function that fails is a complaint, and denies nothing of the next one
_FAILS: Final = re.compile(
    r"\bnot (?:been )?(?:open(?:ed)?|pass(?:ed|ing)|eating|drinking|sleeping|walking|weight-?bearing|coping|settling"
    r"|himself|herself|well|right)\b[^.;,]*, $",
    re.IGNORECASE,
)
_WHO_HAS: Final = re.compile(
    r"\b(?:mum|mom|mother|dad|father|brother|sister|son|daughter|aunt|uncle|cousin|parents?|siblings?|wife|husband)"
    r"(?:,? (?:who|that)|,(?! (?:who|that|and|but)\b) [^.;,:\n]{1,40},)"
    r" (?:also |now |has |had |is |was |suffers |died )[^.;,\n]*$",
    re.IGNORECASE,
)
_IN_BRACKETS: Final = re.compile(r"\([^()]*\)")
# "r/o PE, hx breast cancer": the doubt is of the first; "worry about seizures given his brain metastases", too
_KNOWN: Final = re.compile(r"(?<!\?)(?<!possible )\b(?:hx|h/o|history|known)(?: of)? $", re.IGNORECASE)
_GIVEN: Final = re.compile(r"(?<!not )\bgiven (?:his|her|their|known) (?:[a-z]+ )?$", re.IGNORECASE)
# "Metformin was not started for diabetes", "no cause found for anemia": what is denied is a treatment or the cause
_LINK: Final = re.compile(
    r"\b(for|(?<!because )(?<!account )of|behind|due to|d/t|2/2|secondary to|owing to|because of|on account of) ",
    re.IGNORECASE,
)
_BEHIND_LINK: Final = re.compile(
    r"(?:(?:his|her|their|known|the|this) ){0,2}(?:(?!(?:no|not|nor|denies|without|but|has|had|is|was)\b)"
    r"[a-z0-9' -]{2,40}(?:, ?(?:and |or )?| and | or |/)){0,4}(?:[a-z-]+ ){0,2}",
    re.IGNORECASE,
)
_NOT: Final = re.compile(r"\b(?:no|not|never|denies|denied|without|declin\w+|refus\w+)\b|n't\b", re.IGNORECASE)
_TREATMENT: Final = re.compile(
    r"\b(?:drugs?|medications?|medicines?|meds|pills|tablets|treatments?|therap\w+|insulin|inhalers?|statins?|abx"
    r"|antibiotics?|steroids?|injections?|infusions?|chemo\w*|radio\w+|radiation|surger\w+|operations?|repair"
    r"|replacement|ablation|dialysis|transfusions?|anticoagula\w+|diuretics?|oxygen|referrals?|follow-?up"
    r"|inhibitors?|blockers?|nsaids?|opioids?|(?:start|resum|refer|admit|treat|operat|prescrib|taken|taking|given|offer|continu|increas|add|initiat|commenc"
    r"|transfus|hospitali[sz])\w*)\b",
    re.IGNORECASE,
)
_IMAGING: Final = re.compile(
    r"\b(?:imaging|x-?rays?|mri|ct|scans?|echo|ultrasound|biops\w+|endoscopy)\b", re.IGNORECASE
)
_CAUSE: Final = re.compile(
    r"\b(?:causes?|explanations?|triggers?|reasons?|sources?|a?etiolog\w+|precipitants?)(?: [a-z]+){0,2} $",
    re.IGNORECASE,
)
_INFECTION: Final = re.compile(r"infection|sepsis", re.IGNORECASE)
"""No source of it was found: it may not be there."""
# What is looked for or feared, and what was before, is not there because it is not treated.
_NOT_THERE: Final = re.compile(
    r"\b(?:evidence|signs?|symptoms?|features?|suggest\w+|suspicio\w+|concerns?|worr\w+|criteria|risks?|fear|test\w*"
    r"|screen\w*|check\w*|evaluat\w+|investigat\w+|assess\w+|look\w*|search\w*|positive|prophyla\w+|prevent\w+"
    r"|vaccin\w+|previous|prior|past|history|candidate|support"
    r"|never (?!(?:been )?(?:hospitali[sz]|admitted|on\b)))\b",
    re.IGNORECASE,
)
_NEVER_OR_NEEDLESS: Final = re.compile(r"\b(?:never|need(?:ed)?|indicat\w+|requir\w+|warrant\w+)\b", re.IGNORECASE)
_AS_IT_IS_CLEAR: Final = re.compile(
    r"^,? (?:as|because|since|given)\b[^.;\n]*\b(?:clear|normal|negative|unlikely|viral|excluded|ruled out|no)\b",
    re.IGNORECASE,
)
# "+ palpitations, - syncope", "thought to have PE but CTPA excluded this"
_MINUS: Final = re.compile(r"(?:^|[:,;(.]) ?\+ ?(?!ve\b)[a-z][^.;\n]*[,;] ?- ?$", re.IGNORECASE)
_EXCLUDED_LATER: Final = re.compile(
    r"^(?:[:,] (?=this|it|which)|(?:(?!\b(?:and|or|confirmed)\b)[^.;:,\n]){0,30}\b)"
    r"(?:but\b[^.;:,\n]{0,40}(?<!not )\b(?:excluded|ruled out"
    r"|disproved) (?:this|it|that)(?=[,)]|$| (?:on|by|in|with|later)\b)|(?:this|it|which) (?:was|has been|is) (?:then "
    r"|later |since )?(?:excluded|ruled out)\b)|^,? (?:(?:but|although|though) )?(?:this|that|it|which) (?:is|was)"
    r" (?:in fact )?(?:incorrect|wrong|untrue|mistaken|a mistake|an error|not (?:true|correct|right|the case))\b",
    re.IGNORECASE,
)
# "Worked up for PE, which was negative": of "stroke with an echo which was negative" the echo is
_SOUGHT: Final = re.compile(
    r"\b(?:work(?:ed)?[ -]?up|evaluat\w+|test(?:ed|ing)?|screen(?:ed|ing)|swabbed|investigat\w+) for (?:[a-z]+ )?$",
    re.IGNORECASE,
)
_NEGATIVE_LATER: Final = re.compile(
    r"^,? (?:this|it|which) (?:was|has been|is) (?:then |later )?negative\b(?! for)", re.IGNORECASE
)
_WRONGLY: Final = re.compile(r"\b(?:wrongly|incorrectly|mistakenly|falsely)\b[^.;,\n]*$", re.IGNORECASE)
_NOT_CONVINCED: Final = re.compile(r"\bnot (?:convinced|certain|sure) that\b[^.;,\n]*$", re.IGNORECASE)
_HAD_A_TEST: Final = re.compile(r"^ had [^.;,\n]{1,40} which (?:was|is) (?:negative|normal|clear)\b", re.IGNORECASE)
_EXCLUSION: Final = re.compile(r"\bexclusion of (?:[a-z]+ )?$", re.IGNORECASE)
_PROVED_LATER: Final = re.compile(
    r"^[^.;,\n]{0,40},? but (?:was |is |has been )?(?:later |then |since )?(?:confirmed|proven|diagnosed)"
    r"(?: (?:in|by|on|later|after)\b|[,)]|$)",
    re.IGNORECASE,
)
_DIAGNOSIS: Final = re.compile(r"\b(?:diagnosis|label) of (?:[a-z]+ )?$", re.IGNORECASE)
_IS_WRONG: Final = re.compile(
    r"^[^.;,\n]{0,50}\b(?:is|was|were|has(?: now| since)? been) (?:(?:now|since|later) )?(?:wrong|incorrect|erroneous"
    r"|mistaken|(?:made |entered )?in error|an error|a mistake|revised|withdrawn|retracted|overturned|dropped)\b",
    re.IGNORECASE,
)
_SCREENED: Final = re.compile(r"\bscreen(?:ing)? for (?:[a-z]+ )?$", re.IGNORECASE)
_ROOM: Final = re.compile(r"^ ?(?:-like|clinic|nurse|team|service|unit|ward|pathway)\b", re.IGNORECASE)
_NOT_ONLY: Final = re.compile(r"\bnot (?:only|just|merely|simply)\b[^.;\n]{0,60}$", re.IGNORECASE)
_YEAR_BEFORE: Final = re.compile(r"\b((?:19|20)\d\d)[,:) -]{1,3}$")
_PAST_NAME: Final = re.compile(r"^(?:ex|former|previous)\b", re.IGNORECASE)
_MONTH_PAST: Final = re.compile(
    r"^ (?:in )?(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\b(?! \d{1,2}[ ,]*$)", re.IGNORECASE
)
_PROPHYLAXIS: Final = re.compile(
    r"^ ?(?:prophylaxis|prevention|ppx|proph\b|risk|screen(?:ing)?|precautions|free|leaflet|clinic|nurse|team"
    r"|service|unit|pathway"
    r"|surveillance|awareness|education|advice|contacts?\b|exposure|bloods?\b|swabs?\b|serology|antibod"
    r"|vaccine|vaccination|jab|score|protocol|bundle|scan\b|doppler|work-?up|test(?:s"
    r"|ing)?\b|counsell?ing|assessment|ward|list\b|helpline|charity|consent)",
    re.IGNORECASE,
)
_SUBJECT_PARTNER: Final = re.compile(
    r"\b(?:(?:in )?bed \d|opposite|other patient|roommate|room-mate|workmate|colleague|neighbou?r|husband|wife|partner"
    r"|boyfriend|girlfriend|classmate|flatmate|friend|another (?:patient|resident)|other (?:patients"
    r"|residents?)|next (?:bed|bay|door|room|to (?:him|her))|residents|carer has"
    r"|(?:other|another|fellow|his|her|their) (?:passenger|driver|visitor|landlord|lodger|tenant|boss|employer)"
    r"|passenger takes"
    r"|contact|donor|needle ?stick[a-z ]{0,10} from|(?:previous|other|older|another) child|baby|newborn|infant|neonate"
    r"|twin 2|co-?worker)\b",
    re.IGNORECASE,
)
_CHILD_CALLED: Final = re.compile(
    r"\b(?:son|daughter)(?: [a-z]{2,12}| \([a-z ]{2,20}\))? (?:has )?(?:rang|rings|ringing|called|calls|calling|phoned"
    r"|phoning|on (?:the )?(?:phone|line))\b|\b(?:call|tel|t/c|phone call) (?:from|with) (?:(?:pt|patient)'?s? |the )?"
    r"(?:son|daughter)\b",
    re.IGNORECASE,
)
# "Mum calling about her 3 year old": the child of the note is the patient
_OF_CHILD: Final = re.compile(
    r"\A\W*(?:baby|newborn|infant|neonate) (?:boy |girl )?born\b"
    r"|\b(?:mum|mom|mother|dad|father|parents?|carer|guardian)\b[^.\n]{0,30}"
    r"\b(?:call|rang|ring|phon|attend|here|present|speak)[a-z]*[^.\n]{0,20}?\b(?:about|regarding|re:?) "
    r"(?:(?:her|his|their|the) )?(?:\d{1,2} ?(?:y\.?/?o\b|year|yr|month|week|day|m/?o\b)|child\b|baby\b|infant\b)",
    re.IGNORECASE,
)
_CHILD: Final = re.compile(r"\W*(?:the )?(?:child|baby|newborn|infant|neonate)\b", re.IGNORECASE)
_LIKE_ANOTHER: Final = re.compile(r"^,? (?:just )?(?:like|same as) (?:his|her|their|my)\b", re.IGNORECASE)
_RELATIVE: Final = re.compile(
    r"\b(?:mum|mom|mother|maternal|dad|father|brother|sister|son|daughter|aunt|uncle|cousin|parents?|siblings?|twin"
    r"|wife"
    r"|husband|partner|grand\w+|family|contact)\b",
    re.IGNORECASE,
)
_PARENT: Final = re.compile(r"\b(?:mum|mom|mother|dad|father)\b(?!'s)", re.IGNORECASE)
_OTHER_BED: Final = re.compile(r"(?:in )?bed|opposite|other|another", re.IGNORECASE)
_REPORTS: Final = re.compile(
    r"^[^.;\n]{0,12}\b(?:states?|says?|said|reports?|reported|told|tells|thinks?|worried|noticed|noted|concerned|found"
    r"|wonders?|recogni[sz]es|brought|rang|called|phoned|reads|feels|gives|gave|asks?|asked|helps|present|witnessed"
    r"|confirms?|confirmed|describes?|is (?:her|his) carer|of pt|of patient|at home|lives|to (?:stop|ring|call)"
    r"|\(consent)\b",
    re.IGNORECASE,
)
_RELATIVE_REPORTS: Final = re.compile(
    r"\b(?:mum|mother|dad|father|daughter|son|sister|brother|wife|husband|mom|parents?|carers?"
    r"|family)\b[^.;\n]{0,3}(?:states?|says?|said|reports?|reported|told|tells|thinks?|worr(?:y|ies|ied)|noticed"
    r"|concerned"
    r"|brought|rang|called|phoned|feels|gives|gave|asks?|asked|describes?|confirms?)\b|\b(?:brought|accompanied|seen"
    r"|attended|came|here) (?:in )?(?:by|with) (?:(?:his|her) )?(?:mum|mother|dad|father|mom|parents?|daughter|son|wife"
    r"|husband|sister|brother|carers?|family)\b",
    re.IGNORECASE,
)
_HYPOTHETICAL: Final = re.compile(
    r"\b(?:if (?!not\b)|should (?:she|he|they|there|you|pt|the patient|any)\b|return "
    r"(?:to (?:the )?(?:ed|er|a&e|clinic|hospital|emergency [a-z]+) )?(?:if"
    r"|for|with)\b|call (?:us |911 |999 |back |gp )?(?:for|if)\b|come back (?:if|for)\b|seek (?:help|advice) (?:if"
    r"|for)\b|watch(?: out)? for\b|look out for\b|in case of\b|risk of\b|risks of\b|risks?:|to prevent\b"
    r"|prevention of\b"
    r"|return precautions\b|any new\b|(?:to )?monitor(?:ing)? for\b|warned (?:of|about|re)\b|counsel+ed (?:re|about"
    r"|on)\b|(?:side|adverse)[- ]effects? (?:include|are|can be|may be)\b"
    r"|beware\b|explained risk|unless\b|can cause\b|may cause\b|ring (?:us )?if\b|worsening advice\b"
    r"|safety.?net(?:ted|ting)?\b|red flags?\b|(?:stop|hold) if\b|in the event of\b|at risk of\b|precautions for\b"
    r"|any (?=[a-z ,/]{2,60}(?:->|=>|-|>|to) ?(?:999|911|ED|A&E|call)))",
    re.IGNORECASE,
)
# "If he flares we would add a statin although his CKD is a concern": what is known is not warned of
_THOUGH: Final = re.compile(r"\b(?:although|though|despite|given|because of) (?:his|her|their|the) ", re.IGNORECASE)
_POSSIBLE: Final = re.compile(
    r"(?:\?\?? ?|\b(?:r/o|rule out|query|poss(?:ible|ibly)?|prob(?:able|ably)?|likely|suspect(?:ed)?|suspicious for"
    r"|favou?rs?|suggest(?:s|ive|ing)?(?: of)?|c/w|consistent with|in keeping with|could be|may be|might be"
    r"|concern(?:ing)? for|suspicion of|ddx:?|differential:?|wonder(?:s|ed|ing)?(?: about| if| whether)?|impression of"
    r"|thought to be|may represent|could represent|compatible with|exclude|excl|presumed|working diagnosis)[ ]?(?:an? "
    r"|of |the )?)(?:[a-z0-9-]+ ){0,2}$",
    re.IGNORECASE,
)
_POSSIBLE_AFTER: Final = re.compile(
    r"^ ?(?:\?(?! ?(?:2|sec|due|cause|rel|from))|\(\?\)|- ?\?|\(?(?:possible|possibly|probable|probably|likely"
    r"|suspected|suggested|(?:(?:was|were|is|has been|been) )?(?:also )?considered|unconfirmed|less likely|(?:is "
    r"|was )?(?:a |one )?(?:low|lower) (?:on|probability|likelihood|suspicion)|(?:is |was )?on the differential"
    r"|(?:previously |initially |was )?queried|in (?:the )?differential)\b|(?:could|cannot|can't|may"
    r"|not) (?:be )?(?:considered|excluded|ruled out)|(?:is |has been )?(?:suspected|possible|not excluded)"
    r"|status unknown|(?:testing |result )?pending|tbc\b)",
    re.IGNORECASE,
)
_NEGATED_AFTER: Final = re.compile(
    r"^ ?(?:[:=-]{1,2} ?)?(?:\((?:-|neg|no|nil)\)|(?:is |are |was |were |has been |have been )?(?:ruled out|excluded"
    r"|(?:both|all)(?: \w+)? (?:excluded|denied|absent|negative|normal)"
    r"|(?:have |has )?never (?:been )?(?:diagnosed|found)"
    r"|is not (?:the |an? )?(?:explanation|cause|diagnosis|answer|picture|issue)|absent|(?:has "
    r"|have )?not (?:been )?(?:seen|found|present|identified|detected|demonstrated|visualised|evident"
    r"|reported|noted|confirmed|felt|heard|audible|palpable|visible|elicited|noticed|observed|appreciated|apparent)"
    r"|(?:felt|thought|very) unlikely|(?:ab|ag|antigen|igm|igg)s?:? (?:NR|non-?reactive|neg)"
    r"|not (?:expected|anticipated)(?! (?:to|but|on|at)\b)|negative(?! for)|denied|none\b|nil\b"
    r"|no\b(?<!- no)(?! (?:longer|change|further|better))|no\b(?= ?(?:[.,;:)/\]]|$))|neg\b"
    r"|not yet (?:required|needed|indicated)\b|discounted|refuted|intact\b"
    r"|unremarkable\b|unlikely"
    r"|very unlikely|thought unlikely|never\b(?! settled)"
    r"|removed from|entered in error|wrong\b|in error|miscoded|does not|did not|retained))",
    re.IGNORECASE,
)
_AFFIRMED_AGAIN: Final = re.compile(
    r"[,(] ?(?:but |and )?(?:old|known|previous|incidental|residual|persistent|ongoing|has|had|some|mild|small|moderate"
    r"|occasional|stable|unchanged|chronic|longstanding|still|only|positive for|few|trace)(?: [a-z0-9]+){0,3} $",
    re.IGNORECASE,
)
_DENIED: Final = re.compile(
    r"\b(?:no|not|nil|denies|denied|denying|without|never|w/o|negative for|nor)\b[^.;,]*$", re.IGNORECASE
)
# "Not felt to represent ACS", "does not look like meningitis"
_NOT_LIKE: Final = re.compile(
    r"(?:\bnot|n't) (?:felt|thought|believed|considered|likely|judged|deemed|look|appear|sound|seem"
    r"|behave)[a-z]* ?(?:to (?:be|have|represent|reflect|indicate|suggest)|like|due to|from|secondary to)? (?:an? |the "
    r"|any |true )?(?:[a-z-]+ )?$",
    re.IGNORECASE,
)
# "Asks whether she has diabetes", "fear of cancer"
_ASKED: Final = re.compile(
    r"\b(?:asks?|asked|asking|wants? to know|unsure|wonder(?:s|ed|ing)?) (?:whether|if|about)\b[^.;,]{0,30}$|\b(?:fear"
    r"|fears|fearful|worry|worried|afraid|scared) (?:of|about|that)? ?(?:[a-z]+ ){0,2}$",
    re.IGNORECASE,
)
# What doubts all that stands behind it in its clause, and what is said to be doubtful of what stands before.
_IN_DOUBT: Final = re.compile(
    r"\b(?:perhaps|maybe|questionable|equivocal|potential(?:ly)?|suspect\w*|possib\w*|probab\w*|presumab\w*"
    r"|doubtful|unclear|uncertain"
    r"|not (?:yet |entirely )?(?:clear|sure|certain|known)|whether|(?:to|please|must|should) (?:exclude|rule out)"
    r"|(?:investigat|evaluat)\w+ for|seems? to have|cannot (?:say|tell|be sure|be certain)|might have"
    r"|(?:their|outside|external|other) (?:notes?|lists?|records?|letters?|summary)"
    r" (?:mention|list|sa[iy]|state|show)\w*"
    r"|(?:thinks?|believes?|feels?) (?:that )?(?:he|she|they|it))\b[^.;:,\n]{0,40}$",
    re.IGNORECASE,
)
_UNSURE: Final = re.compile(
    r"\b(?:not|cannot|can't|un)(?: \w+)? ?(?:clear|sure|certain)\b[^.;,\n]{0,40}$", re.IGNORECASE
)
# What makes a whole sentence one of thoughts, tests or words of others: a finding in it is not affirmed by it.
_THOUGHT: Final = re.compile(
    r"\b(?:would (?!like\b|benefit\b)|might\b|could (?!not\b)|criteria for|under the impression|(?:is |are )?convinced"
    r"|on (?:our|my|their|his|her|the team's) minds?\b|minded\b|imagin\w+|believ\w+|thinks?\b|fear\w*\b|dread\w*"
    r"|query\w*|queried|question of|questioned|doubt\w*|suspicions?\b|hypothes\w+|theor\w+|in theory"
    r"|(?:mis)?labell?ed|(?:mis)?label\b|misdiagnos\w+|mistaken\w*|(?:wrong|incorrect|erroneous|false)ly"
    r"|(?:does|did|do) ?n[o']t support|not supported|argues? against|speaks? against|points? away"
    r"|(?:scan|test|film|ct|mri|biopsy|swab|echo|ecg|study|imaging|work-?up|screen|result)s? (?:was|were|is|came back"
    r"|has been|have been|returned)? ?(?:all )?(?:clean|clear|reassuring|normal|negative|fine|unremarkable)"
    r"|(?:look|search|test|screen|check|investigat|evaluat|assess|work)(?:s|ed|ing)?(?:[- ]up)? for"
    r"|aim(?:s|ed|ing)? (?:is |was )?to|googled|read (?:up )?(?:about|on)|leaflet|website|internet|article"
    r"|online|quoted)\b",
    re.IGNORECASE,
)
_IS_IN_DOUBT: Final = re.compile(
    r"^ (?:is|are|was|were|remains?|seems?|looks?|has been|have been)(?: (?!with\b|and\b|but\b|for\b)[a-z]+){0,4}? "
    r"(?:possib\w+|probab\w+|likely|entertained|considered|doubt\w*|uncertain|unclear|suspected"
    r"|not (?:certain|clear|proven|established|confirmed))\b",
    re.IGNORECASE,
)
_FOR_WHICH: Final = re.compile(r"\bs/p [a-z ]+ (?:for|due to|because of) (?:[a-z]+ ){0,2}$", re.IGNORECASE)
_ANOTHER_REFUSED: Final = re.compile(r"^ ?[-,:] ?[a-z]+ (?:declined|offered|planned|discussed|refused)", re.IGNORECASE)
_ANY: Final = re.compile(r"\bany (?:[a-z]+[ ,/]+){0,8}$", re.IGNORECASE)
_CALL: Final = re.compile(r"^[^.;\n]{0,60}?(?:->|=>|>|\b(?:999|911|A&E|ED|call|ring|return|come back|seek)\b)")
_REASON: Final = re.compile(
    r"\b(?:stopped|discontinued|held|ceased|d/c'?d|withheld|not tolerated)\b[^.;]{0,20}(?:[(,;:-]|due to|because of"
    r"|for|d/t|2/2|owing to|secondary to) ?(?:(?:his|her|their|known) )?$",
    re.IGNORECASE,
)
_BEFORE_THAT: Final = re.compile(r"^ ?(?:x ?\d+ )?(?:before|prior to) (?:that|this|then)", re.IGNORECASE)
# "First seizure, MRI normal": the study is normal, and the finding stands.
_OTHER_NORMAL: Final = re.compile(
    r"^, ?(?:[a-z0-9/-]{1,20} ){1,3}(?:was |is )?(?:normal|wnl|nad|clear|unremarkable)\b", re.IGNORECASE
)
_DOUBTED_AFTER: Final = re.compile(
    r"^[^.;\n]{0,20}\b(?:but|however|though|although)\b[^.;\n]{0,40}\b(?:possible|cannot|can't|not (?:be )?excluded"
    r"|likely)",
    re.IGNORECASE,
)
_NIL: Final = re.compile(
    r"(?:\bnil|\b(?:not|n't|never)(?: (?:yet|currently|been|a|an|had|any|feeling|really|known|in|have|had|got))*"
    r"|\bno (?:further|more|indication for|need for|obvious|overt|focal|gross|discrete|large|significant|known|clear"
    r"|convincing|definite|other))[ ](?:[a-z]+ ){0,1}$|\bneither\b[^.;\n]{0,60}\bnor\b[^.;,\n]{0,40}[ ]$"
    r"|\b(?:rather than|as opposed to|instead of|in place of) (?:an? |the |any )?(?:[a-z]+ ){0,1}$"
    r"|\b(?:no|neg|absent|denies|denied|without|w/o)[ ](?:any )?$|\bnon[- ]$|(?<![\w+])[-–−]ve (?:for )?$",
    re.IGNORECASE,
)
_LONGEST_PART: Final = 200


@cache
def _names() -> Mapping[str, tuple[_Name, ...]]:
    by_first: dict[str, list[_Name]] = {}
    for row in package_rows("fhir.notes", "finding_names.csv"):
        for name in filter(None, (row["concept"], *row["names"].split("|"))):
            words = tuple(word for word, _ in plain_words(tokens_of(name.replace("#", "ƒ"))))
            if words:
                by_first.setdefault(words[0], []).append(_Name(words, row["concept"], row["icd10"]))
    return {word: tuple(sorted(names, key=lambda name: -len(name.words))) for word, names in by_first.items()}


def read_findings(
    note: str, layout: Layout, asserted: AssertedText, on: date, drugs: Sequence[tuple[int, int, str]] = ()
) -> tuple[Finding, ...]:
    """Return the findings of a note that was written on a day, in the order of their places; `drugs`: its drugs'."""
    findings: list[Finding] = []
    tokens = asserted.tokens
    headings = set(layout.starts)
    labels: dict[_Mention, tuple[str, str, str]] = {}
    cues = _Cues(
        _Places(_HYPOTHETICAL, layout.text),
        _Places(_SUBJECT_PARTNER, layout.text),
        _CHILD_CALLED.search(layout.text) is not None,
        _OF_CHILD.search(layout.text) is not None,
    )
    for part in _pieces(plain_parts(asserted)):
        for span in _spans(part, asserted, layout.text):
            start, end = tokens[span.first].start, tokens[span.last].end
            if start in headings and layout.text.startswith(":", end):
                continue  # "Allergies:" is a heading and says nothing yet
            mention = _mention(layout, asserted, span, cues)
            if mention not in labels:
                labels[mention] = _labels(mention, on)
            section, text = layout.section_at(start), note[start:end]
            findings.append(Finding(start, end, text, span.concept, span.codes, *labels[mention], section))
    return _in_known_words(_with_labels_of_lists(findings, layout.text), layout.text, [place[:2] for place in drugs])


_WORD: Final = re.compile(r"[^\W\d_]{2,}(?:'[^\W\d_]+)?")
_WORD_BEHIND: Final = re.compile(rf" {_WORD.pattern}")
_WORDS_BESIDE: Final = frozenset(Path(__file__).with_name("words_beside_findings.txt").read_text("utf-8").split())
_SHORT: Final = 3
"""A word of so many letters is mostly an abbreviation ("adm", "LLE"): those that deny or doubt are cues."""
_BESIDE: Final = 2
"""So many words before a finding, and the one behind it, may say that it is not one of the patient ("brings up")."""


def _in_known_words(findings: Sequence[Finding], text: str, drugs: Sequence[tuple[int, int]]) -> tuple[Finding, ...]:
    """Make a present finding possible where a word right beside it, in its sentence, is not known to stand there.

    A drug may stand there: "asthma on budesonide".
    """
    spans = [(finding.start, finding.end) for finding in findings]
    of_the_patient_now = ("affirmed", "current", "patient")
    return tuple(
        replace(finding, assertion="possible")
        if (finding.assertion, finding.temporality, finding.experiencer) == of_the_patient_now
        and _is_beside_unknown(index, spans, text, drugs)
        else finding
        for index, finding in enumerate(findings)
    )


# "ID clinic: HIV controlled"
_PLACE: Final = re.compile(
    r"^\W*(?:[\w-]+ ){0,3}(?:clinic|care|notes?|visit|consult\w*|unit|ward|service|shift|call|summary|rounds|team|ed|er"
    r"|icu|nurs\w+): ",
    re.IGNORECASE,
)


def _is_beside_unknown(index: int, spans: list[tuple[int, int]], text: str, drugs: Sequence[tuple[int, int]]) -> bool:
    start, end = spans[index]
    before, after = _clause_around(text, start, end)
    others = spans[max(0, index - _BESIDE) : index] + spans[index + 1 : index + 1 + _BESIDE]
    first_drug = bisect_left(drugs, (start - len(before), 0))
    others += drugs[first_drug : bisect_right(drugs, (end + len(after), 0))]
    words_before = list(_WORD.finditer(text, start - len(_PLACE.sub("", before)), start))
    word_behind = [_WORD_BEHIND.match(text, end, end + len(after))]
    return any(
        not _is_known(word[0].strip().lower())
        and len(word[0]) > _SHORT
        and text[word.end() : word.end() + 1] != ":"
        and not any(first <= word.start() < last for first, last in others)
        for word in filter(None, words_before[-_BESIDE:] + word_behind)
    )


@cache
def _words_of_findings() -> Set[str]:
    """What may stand beside a finding that the patient has, besides what may stand beside one on a problem list."""
    names = chain.from_iterable(name.words for names in _names().values() for name in names)
    return _WORDS_BESIDE.union(names)


def _is_known(word: str) -> bool:
    return word in _words_of_findings() or (word.isalpha() and leaves_a_problem(word))


# Between the members of a list: "cough, wheeze, or stridor", "heart failure / COPD"
_NEXT_OF_LIST: Final = re.compile(r"[ ]?(?:,|/|\+|,? ?\b(?:and|or|nor)\b)[ ]?(?:any |the |an? )?", re.IGNORECASE)
_LAST_OF_LIST: Final = re.compile(r"[ ]?,? ?\b(?:and|or|nor)\b", re.IGNORECASE)
# "Denies the following - headache; neck stiffness", "Absent: fever, weight loss"
_DENIED_LIST: Final = re.compile(
    r"(?:\b(?:denie[sd]|denying|no (?:evidence|history|signs?|symptoms?) of|negative for|absence of)"
    r"(?: (?:all|any) of)?(?: (?:the )?following)?|\b(?:absent|nil|none)(?: of the following)?|\bnegatives"
    r"|\bnot (?:present|reported))(?: (?:symptoms?|signs?|features?))? ?[:-](?P<bullet>\s*\n\s*[-*•])?\s+"
    r"(?:any |the |an? )?(?:[a-z]+ )?$",
    re.IGNORECASE,
)
_NEXT_OF_DENIED_LIST: Final = re.compile(
    r"(?:[ ]?(?:[,;/+]|\b(?:and|or|nor)\b)|(?P<bullet>\s*\n\s*[-*•]))[ ]?(?:and |or |nor )?(?:any |the |an? )?"
    r"(?:(?!but\b|has\b|had\b)[a-z]+ )?",
    re.IGNORECASE,
)
_OR_ELSE: Final = re.compile(r"(?: related)?,? ?(?:/|\bor\b) ?(?:[a-z]+ )?", re.IGNORECASE)


def _with_labels_of_lists(findings: Sequence[Finding], text: str) -> tuple[Finding, ...]:
    """Give the members of a list the denial of its first, and of its last where that is said behind all of them.

    "Lacks cough, wheeze, or stridor" denies each, and so does "fever, chills and cough are absent"; a doubt is of
    both where "or" stands between.
    """
    shared = _with_denied_lists(findings, text)
    for index in range(1, len(shared)):
        first, second = shared[index - 1], shared[index]
        between = text[first.end : second.start]
        is_doubted = first.assertion == "possible" and _OR_ELSE.fullmatch(between) is not None
        is_denied = first.assertion == "negated" and not _says_behind(text, second)
        if second.assertion == "affirmed" and (is_doubted or (is_denied and _NEXT_OF_LIST.fullmatch(between))):
            shared[index] = replace(second, assertion=first.assertion, temporality="current")
    is_last = False
    for index in range(len(shared) - 1, 0, -1):
        first, second = shared[index - 1], shared[index]
        between = text[first.end : second.start]
        is_last = is_last or (_LAST_OF_LIST.match(between) is not None and _says_behind(text, second))
        is_last = is_last and second.assertion in ("negated", "possible") and bool(_NEXT_OF_LIST.fullmatch(between))
        if is_last and first.assertion == "affirmed":
            shared[index - 1] = replace(first, assertion=second.assertion, temporality="current")
    return tuple(shared)


def _with_denied_lists(findings: Sequence[Finding], text: str) -> list[Finding]:
    """Deny each member of a list that is denied as a whole before its colon, its dash or its first bullet."""
    shared, opening, end = list(findings), None, 0
    for index, finding in enumerate(shared):
        following = _NEXT_OF_DENIED_LIST.fullmatch(text[end : finding.start]) if opening is not None else None
        if opening is None or following is None or (following["bullet"] and not opening["bullet"]):
            opening = _DENIED_LIST.search(text[max(0, finding.start - _NEAR) : finding.start])
        if _says_behind(text, finding):
            opening = None
        if opening is not None and finding.assertion in ("affirmed", "possible"):
            shared[index] = replace(finding, assertion="negated", temporality="current")
        end = finding.end
    return shared


def _says_behind(text: str, finding: Finding) -> bool:
    """Whether words behind a finding deny or doubt it, or affirm it against the list: "no cough, fever present"."""
    after = text[finding.end : finding.end + _NEAR]
    return any(cue.search(after) for cue in (_NEGATED_AFTER, _POSSIBLE_AFTER, _AFFIRMED_AFTER))


_AFFIRMED_AFTER: Final = re.compile(
    r"^[ ]?(?:[:=(+-]{1,2} ?)?(?:(?:is|are|was|were) )?(?:present|yes|positive|noted|seen|found|confirmed|persists?"
    r"|for \d|x ?\d|\+|(?:(?:well|poorly|partly|now) )?(?:controlled|managed|treated|improv(?:ed|ing)|worse(?:ning)?"
    r"|ongoing|mild|moderate|severe|marked)\b)",
    re.IGNORECASE,
)


def _pieces(parts: Iterable[Sequence[tuple[str, int]]]) -> Iterator[Sequence[tuple[str, int]]]:
    """Yield a text's parts, those without an end in pieces: names are looked for beside each other within a part."""
    for part in parts:
        for first in range(0, len(part), _LONGEST_PART):
            yield part[first : first + _LONGEST_PART]


def _spans(part: Sequence[tuple[str, int]], asserted: AssertedText, text: str) -> Iterator[_Span]:
    """Yield the longest names of one part of a text, and the groups where no such name stands."""
    names_read: list[_Span] = []
    position = 0
    names = _names()
    while position < len(part):
        for name in names.get(part[position][0], ()):
            end = position + len(name.words)
            if (
                tuple(word for word, _ in part[position:end]) == name.words
                and _is_spelled_so(name, asserted, part[position][1], text)
                and not _is_of_two(text, asserted, part[position][1], part[end - 1][1])
            ):
                codes = (name.code,) if name.code else ()
                names_read.append(_Span(part[position][1], part[end - 1][1], name.concept, codes))
                position = end - 1
                break
        position += 1
    covered = {token for span in names_read for token in range(span.first, span.last + 1)}
    groups: dict[tuple[int, int], set[str]] = {}
    for group, first, last in group_spans(list(part), asserted):
        if last - first < 7 and not group.endswith("long_term") and _is_written_so(asserted, first, last, text):
            groups.setdefault((first, last), set()).add(group)
    beside: list[_Span] = []
    for (first, last), members in sorted(groups.items(), key=lambda item: item[0][0] - item[0][1]):
        if covered.isdisjoint(range(first, last + 1)):
            covered.update(range(first, last + 1))
            beside.append(_Span(first, last, min(members).replace("_", " "), tuple(sorted(members))))
    by_token: dict[int, set[str]] = {}
    for (first, last), members in groups.items():
        for token in range(first, last + 1):
            by_token.setdefault(token, set()).update(members)
    for span in (span for span in names_read if span.concept):
        around = {group for token in range(span.first, span.last + 1) for group in by_token.get(token, ())}
        beside.append(_Span(span.first, span.last, span.concept, (*span.codes, *sorted(around))))
    yield from sorted(beside, key=lambda span: span.first)


def _is_spelled_so(name: _Name, asserted: AssertedText, position: int, text: str) -> bool:
    return len(name.words) > 1 or _is_written_so(asserted, position, position, text)


def _is_of_two(text: str, asserted: AssertedText, first: int, last: int) -> bool:
    """Whether a sign stands before the last word of a name, as in "+nausea, -vomiting"."""
    return (
        first != last
        and text[asserted.tokens[last].start - 1] in "+-"
        and "," in text[asserted.tokens[first].end : asserted.tokens[last].start]
    )


def _is_written_so(asserted: AssertedText, first: int, last: int, text: str) -> bool:
    """Whether a short name that is also a word stands there in capitals."""
    token = asserted.tokens[first]
    written = text[token.start : token.end]
    if first != last:
        return token.word != "he" or written.isupper()  # "he takes lactulose" has no hepatic encephalopathy
    if _OTHER_MEANING.search(text[max(0, token.start - 4) : token.end + 4].lower()):
        return False
    return token.word not in _IN_CAPITALS or written.rstrip("s").isupper()


class _Places:
    """Where an expression matches a text, found in one pass: each of many findings asks for what stands before it."""

    __slots__ = ("_ends", "_matches")

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        self._matches = list(pattern.finditer(text))
        self._ends = [match.end() for match in self._matches]

    def last_between(self, start: int, end: int) -> re.Match[str] | None:
        """Return the last match that lies between two places."""
        position = bisect_right(self._ends, end) - 1
        return self._matches[position] if position >= 0 and self._matches[position].start() >= start else None


class _Cues(Struct, frozen=True):
    """Where a note warns of what may come and names other people, and whether a child of the patient called."""

    warnings: _Places
    people: _Places
    has_child_called: bool
    is_of_child: bool


class _Mention(Struct, frozen=True):
    """A finding with all that its labels go by; equal ones, as of a list that is copied on, have equal labels."""

    reading: Assertion
    concept: str
    written: str
    section: str
    before: str
    after: str
    holds_cue: bool
    is_warned: bool
    other: str
    behind_other: str
    is_of_caller: bool
    is_of_child: bool
    """Whether a parent is meant about whom a child called: "Son rang. Dad more breathless"."""


def _mention(layout: Layout, asserted: AssertedText, span: _Span, cues: _Cues) -> _Mention:
    text = layout.text
    start, end = asserted.tokens[span.first].start, asserted.tokens[span.last].end
    before, after = _clause_around(text, start, end)
    other = cues.people.last_between(start - len(before), start)
    warning = cues.warnings.last_between(start - len(before), start)
    return _Mention(
        asserted.assertion(span.first, span.last),
        span.concept,
        text[start:end],
        layout.section_at(start),
        before,
        after,
        not asserted.cue_tokens.isdisjoint(range(span.first, span.last + 1)),
        warning is not None and _THOUGH.search(text, warning.end(), start) is None,
        other[0] if other else "",
        text[other.end() : start] if other else "",
        cues.has_child_called and _PARENT.search(before) is not None,
        cues.is_of_child,
    )


def _labels(mention: _Mention, on: date) -> tuple[str, str, str]:
    assertion: str = mention.reading.polarity
    temporality: str = mention.reading.temporality
    before = mention.before
    experiencer = _person(mention)
    if mention.reading.person == "family":
        temporality = "current"  # "brought by mum with a cough"
    if _NO_ALLERGY.fullmatch(mention.written):
        assertion = "negated"
    elif assertion == "negated" and mention.holds_cue:
        assertion = "negated" if _DENIED.search(before) else "affirmed"  # "asbestos exposure": the name holds the cue
    elif _ends_before(assertion, before):
        assertion = "affirmed"
    elif assertion == "negated":
        assertion = _where_treatment_is_denied(mention)
    if assertion == "negated" and _REASON.search(before[-_NEAR:]):
        assertion, temporality = "affirmed", "current"  # "stopped, rash": the cue is of the drug
    # "Return if worse. Mother has asthma": a relative's disease is none that is warned of
    section = "" if (mention.section, experiencer) == ("advice", "family") else mention.section
    assertion = _assertion(assertion, section, before, mention.after, is_warned=mention.is_warned)
    if assertion == "hypothetical":
        return assertion, "hypothetical", experiencer
    if assertion == "negated":
        return assertion, "current", experiencer
    temporality = "current" if temporality == "hypothetical" else temporality
    if experiencer != "patient":
        is_past = experiencer == "family" and assertion == "affirmed"
        return assertion, "historical" if is_past else "current", experiencer
    if temporality == "historical" and _FOR_WHICH.search(before):
        temporality = "current"  # "s/p appendectomy for appendicitis"
    return assertion, _time(temporality, assertion, mention, on), experiencer


def _where_treatment_is_denied(mention: _Mention) -> str:
    """Return what is said of a finding whose treatment or cause, which is not there, or whose test is denied."""
    before = mention.before
    links = [link for link in _LINK.finditer(before) if _BEHIND_LINK.fullmatch(before, link.end())]
    denials = [denial.start() for denial in _NOT.finditer(before, 0, links[-1].start())] if links else []
    if not denials or _AS_IT_IS_CLEAR.search(mention.after):
        return "negated"
    head, is_acute = before[denials[-1] : links[-1].start()], _ACUTE.search(mention.concept) is not None
    if _NOT_THERE.search(head) or (is_acute and _NEVER_OR_NEEDLESS.search(head)):
        return "negated"
    if _CAUSE.search(head) and not _INFECTION.search(mention.concept):
        return "affirmed"
    clause = re.split(r",|\b(?:and|but)\b", before[: denials[-1]])[-1] + head
    is_drug = any(is_name_of_drug(word.lower()) for word in _LETTERS.findall(clause))
    if links[-1][1].lower() not in ("of", "behind") and (is_drug or _TREATMENT.search(head)):
        return "affirmed"
    is_image = _IMAGING.search(clause if links[-1][1] == "for" else head)
    return "possible" if is_image else "negated"


_LETTERS: Final = re.compile(r"[a-z]{4,}", re.IGNORECASE)


def _ends_before(assertion: str, before: str) -> bool:
    """Whether what denies or doubts stands in closed brackets, before a reason or before what is known."""
    if assertion == "possible":
        return _KNOWN.search(before) is not None
    if assertion == "negated" and any(cue.search(before) for cue in (_FAILS, _GIVEN)):
        return True
    if assertion != "negated" or not _DENIED.search(before):
        return False
    reasons = [match.start() for match in _BECAUSE.finditer(before)]
    is_reason = bool(reasons) and _NO.search(before, 0, reasons[-1] + 1) and not _NIL.search(before[-_NEAR:])
    return bool(is_reason) or not _DENIED.search(_IN_BRACKETS.sub("", before))


_NEAR: Final = 60
"""So many characters before a name a cue can stand that must stand right before it."""


def _clause_around(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before and behind a name in its sentence, at most 200 characters of each."""
    before = text[max(0, start - 200) : start]
    after = text[end : end + 120]
    cuts = [
        match.end()
        for match in re.finditer(
            r"(?<![A-Z0-9])\.(?=\s)|[;\n]|(?<=[a-z)])\.(?=[A-Z])|\.\s|(?<=[a-z]{3})[?!]\s(?=[A-Z])", before
        )
    ]
    before = before[cuts[-1] :] if cuts else before
    cut = re.search(r"\.(?=\s|$)|[;\n]", after)
    return before, after[: cut.start()] if cut else after


def _person(mention: _Mention) -> str:
    person, section, before = mention.reading.person, mention.section, mention.before
    if section == "family" and person == "patient":
        return "family"
    if person == "family" and mention.is_of_caller and section != "family":
        return "patient"
    if person == "patient" and _WHO_HAS.search(before):
        return "family"
    if _LIKE_ANOTHER.match(mention.after) or (mention.is_of_child and _CHILD.match(before)):
        return person if _RELATIVE.search(before) else "patient"
    if mention.other and person in ("other", "patient"):
        behind = mention.behind_other
        if _OTHER_BED.match(mention.other):
            return "other"
        if _REPORTS.search(behind) or re.search(r"\b(?:pt|patient|she|he) (?:has|is|was)\b", behind):
            return "patient"
        return "other"
    if person == "family" and section != "family" and _RELATIVE_REPORTS.search(before):
        return "patient"
    return person


def _assertion(assertion: str, section: str, before: str, after: str, *, is_warned: bool) -> str:
    if assertion == "negated" and (_AFFIRMED_AGAIN.search(before[-_NEAR:]) or _NOT_ONLY.search(before)):
        assertion = "affirmed"
    is_affirmed_behind = before.endswith(", ") and _AFFIRMED_AFTER.match(after)
    if assertion == "negated" and (is_affirmed_behind or _BEFORE_THAT.match(after)):
        return "affirmed"
    if assertion == "negated" and (room := _ROOM.match(after)) and not _DENIED.search(before):
        return "possible" if room[0] == "-like" else "hypothetical"
    if assertion == "negated" and _OTHER_NORMAL.match(after) and not _DENIED.search(before):
        return "affirmed"
    if assertion == "negated" and (
        _DOUBTED_AFTER.match(after) or any(cue.search(before[-_NEAR:]) for cue in (_ASKED, _UNSURE))
    ):
        return "possible"
    if assertion == "negated" and is_warned and not (_DENIED.search(before) or _NEGATED_AFTER.search(after)):
        return "hypothetical"  # "warned of sore throat": on a problem list it is no problem
    if _PROPHYLAXIS.search(after) and assertion in ("affirmed", "possible", "hypothetical"):
        if re.match(r" ?(?:bundle|pathway|screen|protocol)", after):
            return "possible"
        return "negated" if re.match(r" ?(?:ppx|proph|free|vacc|jab)", after) else "hypothetical"
    if assertion == "hypothetical" and section != "advice" and not is_warned:
        if before.endswith("?"):
            return "possible"  # "loop recorder planned ?paroxysmal AF"
        if _ANOTHER_REFUSED.match(after):
            return "affirmed"  # "smoker - varenicline declined"
    if section == "advice" and assertion != "negated":
        return "hypothetical"
    is_warned = is_warned or (_ANY.search(before[-_NEAR:]) is not None and _CALL.match(after) is not None)
    if is_warned and assertion in ("affirmed", "possible"):
        return "hypothetical"
    if assertion == "negated" and _SCREENED.search(before) and not _NEGATED_AFTER.search(after):
        return "negated" if _DENIED.search(before) else "hypothetical"
    if _DIAGNOSIS.search(before[-_NEAR:]) and _IS_WRONG.search(after):
        return "negated"
    is_undone = (_EXCLUSION.search(before) and _IS_WRONG.search(after)) or _PROVED_LATER.search(after)
    if is_undone or (assertion == "negated" and _WRONGLY.search(before)):
        return "affirmed"
    is_test_only = not before.strip() and _HAD_A_TEST.search(after) is not None
    if assertion == "negated" and (is_test_only or _NOT_CONVINCED.search(before)):
        return "possible"
    if assertion in ("affirmed", "possible") and (
        any(cue.search(after) for cue in (_NEGATED_AFTER, _EXCLUDED_LATER))
        or any(cue.search(before[-_NEAR:]) for cue in (_NOT_LIKE, _MINUS))
        or (_SOUGHT.search(before) and _NEGATIVE_LATER.search(after))
        or (_NIL.search(before[-_NEAR:]) and not _NOT_ONLY.search(before))
    ):
        return "negated"
    if assertion == "affirmed":
        if section == "indication" and re.search(r"\?(?:[^.;\n]){0,30}$", before):
            return "possible"
        if any(cue.search(before[-_NEAR:]) for cue in (_POSSIBLE, _ASKED, _IN_DOUBT)) or any(
            cue.search(after) for cue in (_POSSIBLE_AFTER, _IS_IN_DOUBT)
        ):
            return "possible"
        if _THOUGHT.search(before) or (_THOUGHT.search(after) and not _OTHER_NORMAL.match(after)):
            return "possible"
    return assertion


def _time(time: str, assertion: str, mention: _Mention, on: date) -> str:
    concept, before, after = mention.concept, mention.before, mention.after
    if assertion != "affirmed" or _FOR_A_TIME.search(before[-_NEAR:]) or _BACK_AGAIN.search(after):
        return "current"
    if _PAST_NAME.search(mention.written) or re.search(r"\bquit $", before):
        return "historical"
    if _OPERATION.search(concept):
        return "current" if _DUE.search(before[-_NEAR:]) else "historical"
    dated = _AFTER_A_TIME.search(after)
    if dated and _ACUTE.search(concept) and int(dated["year"][:4]) < on.year:
        return "historical"
    if _AFTER_AGO.search(after) or (_BEFORE_PAST.search(before[-_NEAR:]) and not before.lower().endswith("post ")):
        return "historical"
    if _MONTH_PAST.search(after) and _ACUTE.search(concept):
        return "historical"
    stated = _YEAR_BEFORE.search(before[-_NEAR:])
    if stated and int(stated[1]) < on.year and _ACUTE.search(concept):
        return "historical"
    if _BEFORE_THAT.match(after) or mention.section == "operations":
        return "historical"
    return time
