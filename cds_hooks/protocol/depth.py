"""How deep JSON is nested, found without recursion."""

from typing import Any, Final

DEEPEST: Final = 64
"""An order is copied and validated member by member, which takes Python's stack; real ones are not 20 deep."""


def is_deeper(value: Any, limit: int = DEEPEST) -> bool:
    """Whether objects and arrays stand more than `limit` levels inside each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        children = (each.values() if isinstance(each, dict) else each for each in level)
        level = [child for some in children for child in some if isinstance(child, dict | list)]
        if not level:
            return False
    return True
