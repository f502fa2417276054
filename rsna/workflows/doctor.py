"""`rsna doctor`: what this machine has, what it lacks, and what to do about each lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ESSENTIAL = "essential"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: What it belongs to: python, decoders, sandbox, machine, accounts, code.
        name: What it is.
        text: What was found.
        remedy: What to do about it; empty where it is as it should be.
        essential: Whether nothing works before the remedy.
    """

    area: str
    name: str
    text: str
    remedy: str = ""
    essential: bool = False

    @property
    def mark(self) -> str:
        """`ok`, `!` for a lack, `!!` for an essential one."""
        return "ok" if not self.remedy else "!!" if self.essential else "!"


def examine() -> Iterator[Finding]:
    """Look at everything, one area after the other; the decoders, tried in processes of their own, take seconds."""
    from rsna.workflows.doctor_accounts import look_at_accounts, look_at_clock, look_at_code
    from rsna.workflows.doctor_decoders import look_at_decoders
    from rsna.workflows.doctor_machine import look_at_machine, look_at_packages, look_at_sandbox

    areas: tuple[Callable[[], Iterator[Finding]], ...] = (
        look_at_packages,
        look_at_decoders,
        look_at_sandbox,
        look_at_machine,
        look_at_accounts,
        look_at_clock,
        look_at_code,
    )
    for look in areas:
        yield from look()
