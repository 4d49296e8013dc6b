"""Names of event types out of the names that people give their events."""

import hashlib
import re

LONGEST = 60
WORD_BREAKS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
OTHERS = re.compile(r"[^a-z0-9]+")


def type_named(name: str, taken: frozenset[str]) -> str:
    """``name`` in snake case, as a custom type: "Song Played" and "songPlayed" are song_played.

    A name that belongs to the catalogue gets the prefix ``custom_``: its events do not have the
    catalogue's meaning. A name that holds other letters than A to Z, or is longer than 60
    characters, ends in a digest, so that two such names stay two types.
    """
    snake = OTHERS.sub("_", WORD_BREAKS.sub("_", name).lower()).strip("_")
    foreign = any(letter.isalnum() and not letter.isascii() for letter in name)
    if foreign or not snake or len(snake) > LONGEST - len("custom_"):
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:12]
        snake = f"{snake[:40].rstrip('_') or 'event'}_{digest}"
    if snake in taken or not snake[0].isalpha():
        return f"custom_{snake}"
    return snake
