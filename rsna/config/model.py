"""The network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ViewsSpec:
    """Which pictures make one sample of the model, and how their features become one vector.

    The first view is always the anchor, the image that is predicted. What is drawn in training is fixed in validation
    and submission: the partner whose image id comes first, in the plain order.

    Attributes:
        layout: `single` is the image alone (V = 1); `breast` adds another view of the same scored unit (V = 2);
            `patient` adds two views of the patient's other unit, through the same backbone (V = 4).
        missing: What stands in for a view that does not exist: the anchor's own picture (`duplicate`), a zero picture
            that counts like any other (`zero`), or a zero picture that is left out of the fusion (`mask`).
        fusion: `concat` puts the features side by side; `mean`, `max` and `attention` make one vector of the views of a
            unit, and put the two units of `patient` side by side.
        shuffle: In training, how often the views of a unit change places.
        duplicate: In training, how often the second view of a unit is replaced by the first.
        mask: In training, how often a view other than the anchor is replaced as if it were missing.
    """

    layout: Literal["single", "breast", "patient"] = "single"
    missing: Literal["duplicate", "zero", "mask"] = "duplicate"
    fusion: Literal["concat", "mean", "max", "attention"] = "concat"
    shuffle: float = 0.0
    duplicate: float = 0.0
    mask: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= chance <= 1 for chance in (self.shuffle, self.duplicate, self.mask)):
            raise ValueError("model.views: shuffle, duplicate and mask are probabilities in [0, 1]")
        if self.mask and self.missing == "duplicate":
            raise ValueError("model.views.mask needs missing=zero or missing=mask; for copies there is duplicate")

    @property
    def count(self) -> int:
        """Pictures per sample, V."""
        return {"single": 1, "breast": 2, "patient": 4}[self.layout]

    @property
    def vectors(self) -> int:
        """How many feature vectors the fusion leaves side by side."""
        if self.fusion == "concat":
            return self.count
        return 2 if self.layout == "patient" else 1


@dataclass(frozen=True)
class FreezeSpec:
    """What of the backbone is not trained. Frozen norms keep their statistics too.

    Attributes:
        epochs: All of it, for so many epochs at first: the head finds its place before it can do harm.
        stages: The stem and the stages after it, so many in all, for good.
        norms: The norms, for good.
    """

    epochs: int = 0
    stages: int = 0
    norms: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.stages < 0:
            raise ValueError("model.freeze.epochs and model.freeze.stages must not be negative")


@dataclass(frozen=True)
class ModelSpec:
    """The group `model`.

    Attributes:
        backbone: Any timm model name.
        pretrained: Start from timm's weights. Ignored when a bundle is read: its weights are in the bundle.
        weights: A local safetensors file to start from instead of timm's hub.
        init_from: Start from what another run has learnt: its folder `runs/NAME/fold_K`, or `NAME` alone for the same
            fold of a run beside this one. Refused where that run saw a patient of this validation fold.
        init_parts: What is taken from there: every tensor, or those of the backbone alone. None of them may misfit.
        pool: Global pooling of the last feature map; see `rsna.models.pooling`.
        neck: Between pooling and head: nothing, a batch norm, or a batch norm and a PReLU.
        dropout: Before the head.
        drop_path: Stochastic depth of the backbone, where it has it.
        checkpointing: Compute activations twice instead of keeping them: less memory, about a third more time.
        freeze: What of the backbone is not trained.
        views: Which pictures make one sample.
        activation: Makes probabilities of the logits, wherever they are made: `sigmoid`, each target its own, or
            `softmax`, the targets being the classes of one question.
    """

    backbone: str = "resnet18"
    pretrained: bool = True
    weights: str | None = None
    init_from: str | None = None
    init_parts: Literal["all", "backbone"] = "all"
    pool: Literal["avg", "max", "gem", "gem_channel", "avgmax", "concat"] = "avg"
    neck: Literal["none", "bn", "bn_prelu"] = "none"
    dropout: float = 0.0
    drop_path: float = 0.0
    checkpointing: bool = False
    freeze: FreezeSpec = field(default_factory=FreezeSpec)
    views: ViewsSpec = field(default_factory=ViewsSpec)
    activation: Literal["sigmoid", "softmax"] = "sigmoid"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1 or not 0 <= self.drop_path < 1:
            raise ValueError("model.dropout and model.drop_path must lie in [0, 1)")
        if self.init_from and self.weights:
            raise ValueError("give model.init_from or model.weights, not both")
