"""Which training images an epoch shows, and in which batches: a pure function of (seed, epoch).

Resampling happens here, after the split, and touches the training side only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

import numpy as np
from torch.utils.data import Sampler

from rsna.config.training import SamplerSpec
from rsna.errors import InputError


class EpochPlan:
    """The batches of every epoch.

    An epoch shows every positive image at least `oversample` times, the drawn negatives once each, and no row of the
    resampled table twice. Batches are as equal in size as can be, so that none is too small for batch norm.

    Attributes:
        rows: The resampled training side, as rows of the table: all of them in order, then the positive ones again,
            once per repetition.
        count: Batches per epoch.
    """

    def __init__(
        self, positive: np.ndarray, spec: SamplerSpec, batch_size: int, seed: int = 0, devices: int = 1
    ) -> None:
        """Plan the epochs.

        Args:
            positive: Which rows of the training side are positive, (N,) bool.
            spec: The sampler.
            batch_size: Images per batch, at most.
            seed: Of all draws.
            devices: The number of batches becomes a multiple of it.

        Raises:
            InputError: For balanced batches without a positive.
        """
        hits, self._negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
        share = spec.positives_per_batch if spec.name == "balanced" else 0
        if share and not len(hits):
            raise InputError("sampler balanced: there is no positive training image to put into the batches")
        self._kept = ceil(len(self._negatives) * spec.negative_fraction)
        shown = len(hits) * spec.oversample
        count = max(ceil((shown + self._kept) / batch_size), ceil(self._kept / (batch_size - share)), 1)
        self.count = ceil(count / devices) * devices
        self._shown = max(shown, share * self.count)
        repetitions = ceil(self._shown / len(hits)) if len(hits) else 1
        self.rows = np.concatenate([np.arange(len(positive)), np.tile(hits, repetitions - 1)])
        copies = len(positive) + np.arange((repetitions - 1) * len(hits)).reshape(-1, len(hits))
        self._positives = np.vstack([hits, copies])  # (repetitions, positives), rows of the resampled table
        self._balanced, self._seed = bool(share), seed

    def batches(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, as rows of the resampled table."""
        random = np.random.default_rng([self._seed, epoch])
        positives = random.permuted(self._positives, axis=1).ravel()[: self._shown]  # all, before any comes again
        negatives = random.permutation(self._negatives)[: self._kept]
        if not self._balanced:
            order = random.permutation(np.concatenate([positives, negatives]))
            return [part.tolist() for part in np.array_split(order, self.count)]
        # array_split puts its larger parts first: reversed, those of one side meet the smaller ones of the other
        pairs = zip(np.array_split(positives, self.count), np.array_split(negatives, self.count)[::-1], strict=True)
        return [random.permutation(np.concatenate(pair)).tolist() for pair in pairs]


class EpochBatches(Sampler[list[int]]):
    """Hands a `DataLoader` the batches of the current epoch; with several processes, each its share of them."""

    def __init__(
        self, plan: EpochPlan, epoch: Callable[[], int], started: Callable[[int], None], rank: int = 0, devices: int = 1
    ) -> None:
        """Serve a plan.

        Args:
            plan: Of all epochs.
            epoch: Tells the current epoch whenever a loader starts to iterate.
            started: Is told that epoch before the first batch.
            rank: This process, from 0.
            devices: All processes.
        """
        self.plan, self.epoch, self.started, self.rank, self.devices = plan, epoch, started, rank, devices

    def __len__(self) -> int:
        return self.plan.count // self.devices

    def __iter__(self) -> Iterator[list[int]]:
        epoch = self.epoch()
        self.started(epoch)
        yield from self.plan.batches(epoch)[self.rank :: self.devices]
