"""The public sandbox of cds-hooks.org, which carries out only the first action of a suggestion that it can show.

Nothing is changed for it: the actions of every suggestion begin with the new order (cards/suggest.py).

Source: cds-hooks/sandbox 3b7e255, `src/reducers/medication-reducers.js` and `src/components/CardList/card-list.jsx`.
"""

from cds_hooks.call.dialects._dialect import Dialect

DIALECT = Dialect("sandbox", "The public sandbox of cds-hooks.org")
