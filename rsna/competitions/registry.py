"""The competitions by name. A new one is a module with a `Competition` and a line here."""

from __future__ import annotations

from rsna.competitions.base import Competition
from rsna.competitions.breast import Breast
from rsna.errors import InputError

COMPETITIONS: dict[str, type[Competition]] = {competition.name: competition for competition in (Breast,)}


def list_competitions() -> list[str]:
    """The known names."""
    return sorted(COMPETITIONS)


def create_competition(name: str) -> Competition:
    """The competition of this name, or `InputError` with the known names."""
    if name not in COMPETITIONS:
        raise InputError(f"there is no competition {name!r}; known: {', '.join(list_competitions())}")
    return COMPETITIONS[name]()
