"""How large an exercise is: quick with every change, whole with ``DTOC_FAULTS=whole``."""

import os

WHOLE = os.environ.get("DTOC_FAULTS") == "whole"


def sized(quick: int, whole: int) -> int:
    """The number of whatever an exercise goes through."""
    return whole if WHOLE else quick
