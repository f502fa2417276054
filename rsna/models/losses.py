"""Losses on logits. A target that is NaN is unknown and costs nothing."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from rsna.config.learning import LossSpec
from rsna.errors import InputError

ANCHORS = 20  # precisions at which the surrogate maximises the recall
DUAL_RATE = 0.1  # the surrogate's multipliers learn so much slower


class BinaryCrossEntropy(nn.Module):
    """Mean binary cross-entropy over the known targets, with a weight on positives and soft positives.

    A target t in [0, 1], soft ones included, becomes t * (1 - smoothing): positives aim below 1 while negatives stay at
    exactly 0, as the winner of RSNA 2023 did with smoothing 0.1.
    """

    positive_weight: torch.Tensor

    def __init__(self, positive_weight: float = 1.0, positive_smoothing: float = 0.0) -> None:
        super().__init__()
        self.positive_smoothing = positive_smoothing
        self.register_buffer("positive_weight", torch.tensor(positive_weight), persistent=False)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of logits (B, T) and targets (B, T) in [0, 1] or NaN. 0 where none is known."""
        aims = targets.nan_to_num() * (1 - self.positive_smoothing)
        return mean_known(self.elements(logits.float(), aims), targets)

    def elements(self, logits: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
        """The loss of each logit (B, T) against what it aims at."""
        return functional.binary_cross_entropy_with_logits(
            logits, aims, pos_weight=self.positive_weight, reduction="none"
        )


class Focal(BinaryCrossEntropy):
    """Cross-entropy times |aim - probability|^gamma (Lin et al., arXiv:1708.02002; for soft aims, arXiv:2006.04388)."""

    def __init__(self, positive_weight: float = 1.0, positive_smoothing: float = 0.0, gamma: float = 2.0) -> None:
        super().__init__(positive_weight, positive_smoothing)
        self.gamma = gamma

    def elements(self, logits: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
        """See `BinaryCrossEntropy.elements`."""
        return super().elements(logits, aims) * (aims - logits.sigmoid()).abs() ** self.gamma


class Brier(BinaryCrossEntropy):
    """The squared error of the probabilities."""

    def elements(self, logits: torch.Tensor, aims: torch.Tensor) -> torch.Tensor:
        """See `BinaryCrossEntropy.elements`."""
        return (logits.sigmoid() - aims) ** 2 * torch.where(aims > 0, self.positive_weight, 1.0)


class CrossEntropy(nn.Module):
    """Mean cross-entropy over the rows whose targets are all known: the shares of the classes, which sum to one."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of logits (B, T) and targets (B, T) in [0, 1] or NaN. 0 where no row is known."""
        losses = functional.cross_entropy(logits.float(), targets.nan_to_num(), reduction="none")  # (B,)
        return mean_known(losses, targets.sum(dim=1))


class PrecisionRecall(nn.Module):
    """A surrogate of one minus the area under the precision-recall curve.

    At each of a row of precisions the recall is maximised under the constraint that the precision is kept: a Lagrangian
    whose multipliers climb, at their own rate, while the rest descends (Eban et al., arXiv:1608.04802, section 5).

    Args:
        outputs: Targets, T.
        positive_weight: Multiplies the loss of positives.
    """

    precisions: torch.Tensor
    counts: torch.Tensor

    def __init__(self, outputs: int = 1, positive_weight: float = 1.0) -> None:
        super().__init__()
        self.positive_weight = positive_weight
        # one threshold and one multiplier per target and precision; flat, since what has two axes is decayed
        self.shifts = nn.Parameter(torch.zeros(outputs * ANCHORS))
        self.multipliers = nn.Parameter(torch.ones(outputs * ANCHORS))
        precisions = torch.linspace(0, 1, ANCHORS + 2)[1:-1]
        self.register_buffer("precisions", precisions, persistent=False)
        self.register_buffer("counts", torch.tensor([1.0, 2.0]).repeat(outputs, 1))  # positives, and all, seen so far

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of logits (B, T) and targets (B, T) in [0, 1] or NaN. 0 where none is known."""
        known = ~targets.isnan()
        aims = targets.nan_to_num()
        shifted = logits.float()[..., None] + self.shifts.view(-1, ANCHORS)  # (B, T, anchors)
        hit = functional.softplus(-shifted) * (aims * self.positive_weight)[..., None]
        alarm = functional.softplus(shifted) * (1 - aims)[..., None]
        multipliers = self._climbing()  # (T, anchors)
        cost = hit * (1 + multipliers * (1 - self.precisions)) + alarm * multipliers * self.precisions
        # in units of log 2, as the bound on a step is; the last term makes the multipliers a game and not a mere weight
        slack = multipliers * (1 - self.precisions) * self._rate(aims, known)[:, None]  # (T, anchors)
        losses = (cost / math.log(2) - slack).mean(-1)  # (B, T)
        return (losses * known).sum() / known.sum().clamp(min=1)

    def _climbing(self) -> torch.Tensor:
        """The multipliers, not negative, with their gradient turned round and slowed down."""
        with torch.no_grad():
            self.multipliers.clamp_(min=0)
        turned = self.multipliers.detach() * (1 + DUAL_RATE) - self.multipliers * DUAL_RATE
        return turned.view(-1, ANCHORS)

    @torch.no_grad()
    def _rate(self, aims: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """The share of positives (T,) among all that was seen in training."""
        if self.training:
            self.counts += torch.stack([(aims * known).sum(0), known.sum(0)], dim=1)
        return self.counts[:, 0] / self.counts[:, 1]


class WeightedSum(nn.Module):
    """Losses of the same logits and targets, each with its weight."""

    def __init__(self, terms: list[tuple[float, nn.Module]]) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in terms]
        self.terms = nn.ModuleList(term for _, term in terms)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of logits (B, T) and targets (B, T)."""
        losses = [weight * term(logits, targets) for weight, term in zip(self.weights, self.terms, strict=True)]
        return torch.stack(losses).sum()


def mean_known(losses: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean of losses over the targets of their shape that are not NaN; 0 where none is known."""
    known = ~targets.isnan()
    return (losses * known).sum() / known.sum().clamp(min=1)


def create_loss(spec: LossSpec, outputs: int = 1) -> nn.Module:
    """The loss that a spec names, of `outputs` targets.

    Raises:
        InputError: For `ce` of a single target.
    """
    loss = _create_term(spec, outputs)
    if spec.aucpr_weight:
        surrogate = PrecisionRecall(outputs, spec.positive_weight)
        return WeightedSum([(spec.weight, loss), (spec.weight * spec.aucpr_weight, surrogate)])
    return loss if spec.weight == 1 else WeightedSum([(spec.weight, loss)])


def _create_term(spec: LossSpec, outputs: int) -> nn.Module:
    if spec.name == "ce":
        if outputs < 2:
            raise InputError("loss ce needs a target for each class; for a single target use loss=bce, which equals it")
        return CrossEntropy()
    if spec.name == "aucpr":
        return PrecisionRecall(outputs, spec.positive_weight)
    if spec.name == "focal":
        return Focal(spec.positive_weight, spec.positive_smoothing, spec.focal_gamma)
    return {"bce": BinaryCrossEntropy, "mse": Brier}[spec.name](spec.positive_weight, spec.positive_smoothing)
