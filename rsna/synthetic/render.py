"""One patient's images: anatomy, lesions and study drawn once, then every exposure of both breasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rsna.synthetic.acquisition import burn_in, expose, quantise, windows
from rsna.synthetic.dicom import Description, encode_dicom
from rsna.synthetic.geometry import Frame
from rsna.synthetic.lesions import Lesion, draw_lesions
from rsna.synthetic.machines import Study, draw_study
from rsna.synthetic.options import BreastOptions, stream
from rsna.synthetic.phantom import Anatomy, draw_anatomy, draw_view
from rsna.synthetic.population import Breast, Patient
from rsna.synthetic.shapes import add_lesion

ANATOMY_STREAM, LESION_STREAM, TEXTURE_STREAM, IMAGE_STREAM = 2, 3, 4, 5
VIEW_VISIBILITY = (0.6, 1.0)  # the share of its contrast that a lesion has in a view: tissue lies over it
VIEW_CODES = {"CC": 0, "MLO": 1, "ML": 2, "LM": 3, "LMO": 4, "AT": 5}


@dataclass(frozen=True)
class Renderer:
    """Draws the images of one patient. `with_cancers=False` draws the same patient without them."""

    options: BreastOptions
    patient: Patient
    with_cancers: bool = True

    @cached_property
    def anatomies(self) -> tuple[Anatomy, Anatomy]:
        """The breasts, left and right."""
        return draw_anatomy(self._stream(ANATOMY_STREAM), self.patient.density, self.patient.implant)

    @cached_property
    def study(self) -> Study:
        """The machine and what this study drew."""
        patient = self.patient
        depth = max(anatomy.depth for anatomy in self.anatomies)
        return draw_study(self.options.seed, patient.split, patient.index, patient.machine, depth, self.options.scale)

    def lesions(self, breast: Breast) -> list[Lesion]:
        """The findings of a breast; the benign ones do not depend on whether there is cancer."""
        rng = self._stream(LESION_STREAM, "LR".index(breast.laterality))
        cancer = breast.cancer and self.with_cancers
        return draw_lesions(rng, cancer, breast.difficult, self.options.difficulty)

    def exposure(self, breast: Breast, number: int) -> tuple[Frame, list[Lesion]]:
        """Where the breast lies in its image of that number, and its findings as they show there."""
        rng = self._stream(IMAGE_STREAM, "LR".index(breast.laterality), number)
        frame = _draw_frame(rng, self.study, breast.images[number].view)
        found = self.lesions(breast)
        return frame, [replace(one, contrast=one.contrast * rng.uniform(*VIEW_VISIBILITY)) for one in found]

    def pixels(self, breast: Breast, number: int) -> np.ndarray:
        """The stored values (H, W) uint16 of the breast's image of that number."""
        image, side = breast.images[number], "LR".index(breast.laterality)
        anatomy, study = self.anatomies[side], self.study
        frame, lesions = self.exposure(breast, number)
        texture = self._stream(TEXTURE_STREAM, side, VIEW_CODES[image.view])
        values, shown = draw_view(anatomy, image.view, image.displaced, frame, texture)
        for lesion in lesions:
            add_lesion(values, shown, lesion, anatomy, image.view, frame)
        noise = self._stream(IMAGE_STREAM, side, number, 1)
        tone = expose(noise, values, study)
        if breast.laterality == "R":
            tone = np.ascontiguousarray(tone[:, ::-1])
        burn_in(noise, tone, study, f"{breast.laterality} {image.view}", breast.laterality == "R")
        return quantise(tone, study)

    def dicom(self, breast: Breast, number: int) -> bytes:
        """The DICOM file of the breast's image of that number."""
        image, study, patient = breast.images[number], self.study, self.patient
        about = Description(
            uid=(f"{self.options.seed} {patient.patient_id}", breast.laterality, image.image_id),
            patient_id=patient.patient_id,
            laterality=breast.laterality,
            view=image.view,
            instance=number + 1,
            spacing=study.pitch,
            bits=study.bits,
            inverted=study.machine.inverted,
            voi=study.voi,
            windows=windows(self._stream(IMAGE_STREAM, "LR".index(breast.laterality), number, 2), study),
            codec=study.codec,
            implant=patient.implant,
        )
        return encode_dicom(self.pixels(breast, number), about)

    def _stream(self, *key: int) -> np.random.Generator:
        return stream(self.options.seed, self.patient.split, self.patient.index, *key)


def _draw_frame(rng: np.random.Generator, study: Study, view: str) -> Frame:
    rows = study.shape[0]
    level = 0.5 if view == "CC" else 0.6
    return Frame(
        shape=study.shape,
        pitch=study.pitch,
        nipple_row=rows * level + rng.normal(0, 7) / study.pitch,
        chest_shift=float(rng.normal(-4, 4)),
    )
