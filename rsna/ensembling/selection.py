"""Which epoch of each fold: the choice, and what it is worth on patients that it has not seen.

The best of many epochs on the very predictions that are then reported is a lucky one. So each rule is also tried on
halves: the patients are split in two, again and again; the rule chooses on one half and is scored on the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rsna.competitions import Competition
from rsna.ensembling.scoring import unit_score
from rsna.errors import InputError
from rsna.log import progress

RULES = ("best", "same", "joint", "last")
REPEATS = 20
ROUNDS = 5  # of the joint search, which ends by itself before that

Units = Mapping[int, Mapping[int, pd.DataFrame]]  # by fold, then by epoch: one row per unit
Epochs = dict[int, int]  # by fold


@dataclass(frozen=True)
class Selection:
    """A rule's choice.

    Attributes:
        rule: Its name.
        epochs: The epoch of each fold.
        score: The monitored metric over the units of all folds: too good, for it was chosen by it.
        nested: The mean score on the halves of the patients that the choice had not seen.
        noise: The standard deviation of those scores: what a difference between two choices must exceed to count.
        optimism: How much better the choosing halves scored, on average.
        agreement: The share of the trials' choices, fold by fold, that were the same as this one.
    """

    rule: str
    epochs: Epochs
    score: float
    nested: float
    noise: float
    optimism: float
    agreement: float


def select_epochs(competition: Competition, units: Units, rule: str) -> Epochs:
    """The epoch of each fold.

    Args:
        competition: Whose monitor.
        units: The candidates.
        rule: `best`: the best of each fold. `same`: the one epoch of all folds that is the best over all units.
            `joint`: the choice for which all units together score best, since folds must also fit one threshold.
            `last`: the last epoch of each fold, which is no choice.

    Raises:
        InputError: For another rule, or `same` where folds share no epoch.
    """
    if rule == "last":
        return {fold: max(epochs) for fold, epochs in units.items()}
    best = {fold: _argmax({e: unit_score(competition, t) for e, t in epochs.items()}) for fold, epochs in units.items()}
    if rule == "best":
        return best
    if rule == "same":
        common = sorted(set.intersection(*(set(epochs) for epochs in units.values())))
        if not common:
            raise InputError("the folds have no epoch in common whose weights were kept; choose best or joint")
        epoch = _argmax({e: _score(competition, units, dict.fromkeys(units, e)) for e in common})
        return dict.fromkeys(units, epoch)
    if rule != "joint":
        raise InputError(f"there is no selection {rule!r}; choose one of {', '.join(RULES)}")
    return _climb(competition, units, best)


def evaluate_selection(
    competition: Competition,
    units: Units,
    groups: Mapping[str, str],
    rules: Sequence[str] = RULES,
    repeats: int = REPEATS,
    seed: int = 0,
) -> list[Selection]:
    """Every rule's choice and what it is worth.

    Args:
        competition: Whose monitor.
        units: The candidates.
        groups: The patient of each unit.
        rules: Out of `RULES`.
        repeats: How often the patients are halved; each half chooses once.
        seed: Of the halves.
    """
    halves = [half for trial in range(repeats) for half in _halves(competition, units, groups, seed + trial)]
    trials: dict[str, list[tuple[Epochs, float, float]]] = {rule: [] for rule in rules}
    for chosen, other in progress(halves, "checkpoint selection", len(halves)):
        for rule in rules:
            epochs = select_epochs(competition, chosen, rule)
            scores = _score(competition, chosen, epochs), _score(competition, other, epochs)
            if np.isfinite(scores).all():
                trials[rule].append((epochs, *scores))
    return [_summary(competition, units, rule, trials[rule]) for rule in rules]


def _summary(
    competition: Competition, units: Units, rule: str, trials: Sequence[tuple[Epochs, float, float]]
) -> Selection:
    epochs = select_epochs(competition, units, rule)
    score = _score(competition, units, epochs)
    if not trials:  # too few positives to halve
        return Selection(rule, epochs, score, *[float("nan")] * 4)
    seen, unseen = np.array([trial[1:] for trial in trials]).T
    same = Counter(found[fold] == epoch for found, _, _ in trials for fold, epoch in epochs.items())
    agreement = same[True] / same.total()
    return Selection(rule, epochs, score, unseen.mean(), unseen.std(), float((seen - unseen).mean()), agreement)


def _halves(competition: Competition, units: Units, groups: Mapping[str, str], seed: int) -> list[tuple[Units, Units]]:
    """Two halves of the patients, positive ones apart from the others, each once as the first of a pair."""
    rows = pd.concat([next(iter(epochs.values())) for epochs in units.values()], ignore_index=True)
    targets = [target.column for target in competition.targets]
    patient = rows["prediction_id"].map(groups)
    positive = (rows[targets] > 0.5).any(axis=1).groupby(patient).any()
    random, first = np.random.default_rng(seed), set()
    for kind in (True, False):
        names = random.permutation(np.sort(positive.index[positive == kind].to_numpy()))
        first |= set(names[: (len(names) + int(random.integers(2))) // 2])
    inside = set(rows.loc[patient.isin(first), "prediction_id"])
    one, two = _part(units, inside, True), _part(units, inside, False)
    return [(one, two), (two, one)]


def _part(units: Units, names: set[str], inside: bool) -> Units:
    return {
        fold: {epoch: table[table["prediction_id"].isin(names) == inside] for epoch, table in epochs.items()}
        for fold, epochs in units.items()
    }


def _climb(competition: Competition, units: Units, start: Epochs) -> Epochs:
    """Change one fold's epoch at a time for the better, until none helps."""
    epochs = dict(start)
    for _ in range(ROUNDS):
        before = dict(epochs)
        for fold, candidates in units.items():
            epochs[fold] = _argmax({e: _score(competition, units, epochs | {fold: e}) for e in sorted(candidates)})
        if epochs == before:
            break
    return epochs


def _score(competition: Competition, units: Units, epochs: Epochs) -> float:
    return unit_score(competition, pd.concat([units[fold][epoch] for fold, epoch in epochs.items()], ignore_index=True))


def _argmax(scores: Mapping[int, float]) -> int:
    """The first epoch with the highest score."""
    return min(scores, key=lambda epoch: (-scores[epoch], epoch))
