"""The network of the region detector: torchvision's FCOS on one level of a timm backbone."""

from __future__ import annotations

from collections import OrderedDict

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList

from rsna.config.detector import DetectorSpec
from rsna.errors import InputError
from rsna.plain import one_line

INPUT_SIZE = 416  # pixels of a side
MEAN, DEVIATION = 64.0, 64.0  # of grey values: about those of a mammogram


class Detector(nn.Module):
    """Finds the one object of an image: FCOS (Tian et al., ICCV 2019), every cell of the features predicts a box.

    Attributes:
        fcos: torchvision's model, of which the backbone, the head, the matching and the losses are used.
        anchors: (P, 4) float32, one square per cell.
    """

    anchors: Tensor

    def __init__(self, spec: DetectorSpec) -> None:
        """Make the network of a spec with random weights.

        Raises:
            InputError: For a backbone that timm does not know, or that does not fit the spec.
        """
        super().__init__()
        backbone = _Features(spec)
        squares = AnchorGenerator(((spec.size,),), ((1.0,),))
        self.fcos = FCOS(backbone, 1, anchor_generator=squares, center_sampling_radius=spec.radius)
        self.fcos.head = FCOSHead(spec.channels, 1, 1, num_convs=spec.convolutions)
        side = INPUT_SIZE // backbone.stride
        canvas = ImageList(torch.zeros(1, 1, INPUT_SIZE, INPUT_SIZE), [(INPUT_SIZE, INPUT_SIZE)])
        anchors = squares(canvas, [torch.zeros(1, 1, side, side)])[0]
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and scores of all cells.

        Args:
            images: (B, 1, 416, 416) float32 grey values in [0, 255].

        Returns:
            Boxes (B, P, 4) float32 as left, top, right, bottom in pixels, which may lie outside; scores (B, P) in
            [0, 1], the geometric mean of the class's probability and the centerness.
        """
        found = self._predict(images)
        anchors = self.anchors.expand(len(images), -1, -1)
        boxes = self.fcos.box_coder.decode(found["bbox_regression"], anchors)
        scores = torch.sqrt(found["cls_logits"].sigmoid() * found["bbox_ctrness"].sigmoid())
        return boxes, scores.squeeze(-1)

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """The losses of the class (focal), the box (generalised IoU) and the centerness, each a scalar.

        Args:
            images: As of `forward`.
            boxes: (B, 4) the true ones, in pixels.
        """
        label = torch.zeros(1, dtype=torch.long, device=boxes.device)
        targets = [{"boxes": box[None], "labels": label} for box in boxes]
        anchors = [self.anchors] * len(images)
        losses: dict[str, Tensor] = self.fcos.compute_loss(targets, self._predict(images), anchors, [len(self.anchors)])
        return losses

    def _predict(self, images: Tensor) -> dict[str, Tensor]:
        features = self.fcos.backbone((images - MEAN) / DEVIATION)
        found: dict[str, Tensor] = self.fcos.head(list(features.values()))
        return found


class _Features(nn.Module):
    """One level of a backbone's features (B, channels, h, w), of pixels that were folded into channels."""

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        self.focus, self.out_channels = spec.focus, spec.channels
        try:
            self.body = timm.create_model(
                spec.backbone, features_only=True, out_indices=(spec.level,), in_chans=spec.focus**2
            )
        except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
            raise InputError(f"detector.backbone {spec.backbone!r}, level {spec.level}: {one_line(error)}") from error
        info = self.body.feature_info
        self.stride = int(info.reduction()[0]) * spec.focus
        if INPUT_SIZE % self.stride:
            raise InputError(f"{INPUT_SIZE} pixels are no multiple of the detector's stride {self.stride}")
        self.reduce = nn.Conv2d(info.channels()[0], spec.channels, 1)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        folded = functional.pixel_unshuffle(images, self.focus)
        return OrderedDict([("0", self.reduce(self.body(folded)[0]))])
