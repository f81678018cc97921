"""The public sandbox of cds-hooks.org: the first action that it can show is the only one it takes.

Source: cds-hooks/sandbox 3b7e255, `src/reducers/medication-reducers.js` and `src/components/CardList/card-list.jsx`.
"""

from msgspec import structs

from cards.card import Action, Card
from cds_hooks.dialects._dialect import Dialect, Markdown


def shape(card: Card, markdown: Markdown) -> Card:
    """The card with new orders before removals: the sandbox stops at a removal, and the replacement would be lost.

    For everyone else the order of actions means nothing: they go together (SUG-06, SUG-07).
    """
    del markdown
    suggestions = tuple(
        structs.replace(suggestion, actions=tuple(sorted(suggestion.actions, key=_is_removal)))
        for suggestion in card.suggestions
    )
    return structs.replace(card, suggestions=suggestions)


def _is_removal(action: Action) -> bool:
    return action.type == "delete"


DIALECT = Dialect("sandbox", "The public sandbox of cds-hooks.org", shape=shape)
