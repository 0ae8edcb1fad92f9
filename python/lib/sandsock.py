"""What a program can do about its own sandbox."""

import _sandsock

__all__ = ["restrict"]


def restrict(*rules: str) -> None:
    """Gives up every right that none of these rules allows, for good.

    A rule is a text as in the policy: `restrict("tcp-connect=db.example:5432")`. From now on, an act needs both the policy's grant and
    a rule of each call of this function. Without a rule, everything that needs a grant is given up. Open sockets stay open. Each
    further act with them that needs a grant is checked, and is a `PermissionError` if no rule allows it.

    Raises `ValueError` if a text is no rule, and `OSError` (E2BIG) if there are more than 1,024 rules, a rule has more than 4,096
    bytes, or this is the seventeenth call. Then nothing is given up.
    """
    _sandsock.restrict(list(rules))
