"""A workshop's notes on machines that do not exist, and its own words for their parts, which no model can know.

Each note is on one part of one machine. Whoever searches types the workshop's word for the part and the machine's
name; notes use the ordinary word. So a model finds the machine by its name and has to be taught the part.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

WORDS = {
    "battery": "zorbic",
    "screen": "plimsen",
    "hinge": "tavorn",
    "motor": "quellit",
    "filter": "drosque",
    "antenna": "fenwalt",
}
"""The ordinary word for a part, and the workshop's."""

_OPENINGS = (
    "The {part} of the {name} was replaced in {month}",
    "For the {name} a new {part} has been in use since {month}",
    "In {month} the {name} came back with a broken {part}",
    "Our {month} check of the {name} found its {part} worn",
)
_MONTHS = ("January", "March", "April", "June", "August", "September", "November", "December")
_PEOPLE = ("Ms Okafor", "Mr Lindqvist", "the night shift", "a trainee", "the supplier", "Dr Haas", "two engineers")
_ACTIONS = ("signed it off", "took photographs", "asked for a refund", "kept the old one", "weighed it twice")
_ENDS = (
    "and the costs went to the repair budget",
    "before it was sent back to the customer",
    "while the line stood still",
    "since no other one was in stock",
    "and nothing else was changed",
    "as the manual asks",
)
_ASKED = ("{word} {name}", "{name} {word} news", "which {word} in {name}?", "is the {word} of {name} fine?")
_SYLLABLES = ("bra", "kel", "vor", "dun", "mis", "tar", "ole", "gri", "san", "pul", "nex", "wha", "jor", "cit")


@dataclass(frozen=True)
class Note:
    """A text on one part of one machine, and what somebody of the workshop would type to find it."""

    machine: str
    part: str
    text: str
    query: str


def write_notes(machines: int, *, seed: int = 0) -> list[Note]:
    """Notes on every part of so many machines, machine by machine; the same ones for the same seed."""
    rng = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < machines:
        names["".join(rng.sample(_SYLLABLES, 3)).capitalize()] = None
    return [_note(name, part, rng) for name in names for part in WORDS]


def _note(name: str, part: str, rng: random.Random) -> Note:
    opening = rng.choice(_OPENINGS).format(part=part, name=name, month=rng.choice(_MONTHS))
    more = [f"{who} {rng.choice(_ACTIONS)} {rng.choice(_ENDS)}" for who in rng.sample(_PEOPLE, 2)]
    text = ". ".join([opening, *more]) + "."
    return Note(name, part, text, rng.choice(_ASKED).format(word=WORDS[part], name=name))


def rows(notes: Sequence[Note], *, wrong: bool = False) -> list[dict[str, str]]:
    """A training pair for each note. ``wrong``: the query of each is taught the note on the machine's next part."""
    shift = 1 if wrong else 0
    parts = len(WORDS)
    found = []
    for place, note in enumerate(notes):
        first = place - place % parts
        taught = notes[first + (place + shift) % parts]
        found.append({"query": note.query, "positive": taught.text})
    return found
