"""Small probability tables of the RSNA 2023 screening mammography training table (54,706 images, 11,913 patients).

Counted by patient or by breast from the public train.csv. Laterality is symmetric within the counting error, hence the
pair tables hold unordered pairs and the side is drawn.
"""

from __future__ import annotations

SITE_1_SHARE = 5818 / 11_913
IMPLANT_SHARE = {1: 0.0294, 2: 0.0}  # by site; always both breasts or none
AGE_MISSING_SHARE = {1: 8 / 5818, 2: 0.0}

AGE_BINS = {  # site -> (first age, last age, share)
    1: (
        (26, 34, 0.0031), (35, 39, 0.0134), (40, 44, 0.1301), (45, 49, 0.1423), (50, 54, 0.1515), (55, 59, 0.1380),
        (60, 64, 0.1353), (65, 69, 0.1294), (70, 74, 0.0843), (75, 79, 0.0413), (80, 84, 0.0219), (85, 89, 0.0093),
    ),
    2: (
        (40, 44, 0.0263), (45, 49, 0.0546), (50, 54, 0.1949), (55, 59, 0.2100), (60, 64, 0.2190), (65, 69, 0.1838),
        (70, 74, 0.0794), (75, 79, 0.0235), (80, 88, 0.0086),
    ),
}  # fmt: skip

# Cancer per breast relative to the mean over all ages: (first age of the band, factor).
AGE_RISK = (
    (0, 0.35), (45, 0.52), (50, 0.70), (55, 0.77), (60, 0.99), (65, 1.22), (70, 2.24), (75, 2.02), (80, 2.49),
)  # fmt: skip

MACHINES = {  # (site, implant) -> patients by machine
    (1, False): {49: 4433, 93: 388, 170: 176, 190: 26, 197: 4, 210: 234, 216: 386},
    (1, True): {49: 156, 170: 15},
    (2, False): {21: 2000, 29: 2021, 48: 2074},
}

DENSITY_BY_AGE = (  # first age of the band -> share of A, B, C, D at site 1; site 2 does not record it
    (0, (0.061, 0.295, 0.543, 0.101)),
    (50, (0.097, 0.446, 0.415, 0.042)),
    (65, (0.128, 0.550, 0.302, 0.020)),
)
DENSITY_MISSING_SHARE = {1: 0.0015, 2: 1.0}

# (CC, MLO) images of the one breast, of the other, and the share of patients.
VIEW_PAIRS = {
    (1, False): (
        ((1, 1), (1, 1), 0.4836), ((1, 1), (1, 2), 0.1585), ((1, 1), (2, 1), 0.0910), ((1, 2), (1, 2), 0.0781),
        ((2, 1), (2, 1), 0.0533), ((1, 2), (2, 1), 0.0220), ((1, 2), (2, 2), 0.0199), ((2, 2), (2, 2), 0.0172),
        ((2, 1), (2, 2), 0.0170), ((1, 1), (2, 2), 0.0166), ((2, 2), (2, 3), 0.0060), ((1, 3), (1, 2), 0.0055),
        ((3, 1), (2, 1), 0.0032), ((1, 2), (2, 3), 0.0030), ((2, 3), (2, 3), 0.0021), ((3, 3), (3, 3), 0.0016),
        ((3, 2), (2, 2), 0.0030), ((3, 2), (3, 3), 0.0024), ((2, 4), (3, 3), 0.0010),
    ),
    (1, True): (
        ((2, 2), (2, 2), 0.5450), ((2, 2), (2, 3), 0.1755), ((2, 3), (2, 3), 0.1170), ((2, 2), (3, 2), 0.0818),
        ((2, 3), (3, 2), 0.0140), ((3, 3), (2, 3), 0.0120), ((2, 4), (2, 3), 0.0120), ((2, 2), (3, 3), 0.0117),
        ((2, 3), (1, 1), 0.0110), ((1, 2), (1, 2), 0.0100), ((3, 2), (3, 2), 0.0100),
    ),
    (2, False): (
        ((1, 1), (1, 1), 0.9052), ((1, 1), (1, 2), 0.0430), ((1, 2), (1, 2), 0.0218), ((1, 1), (2, 1), 0.0161),
        ((2, 1), (2, 1), 0.0118), ((1, 1), (2, 2), 0.0013), ((1, 2), (2, 1), 0.0008),
    ),
}  # fmt: skip
ODD_VIEW_SHARE = {1: 0.0027, 2: 0.0004}  # breasts with one more image of an unusual view
ODD_VIEWS = {"AT": 19, "LM": 10, "ML": 8, "LMO": 1}

# BIRADS of the two breasts of a patient without cancer; None is "not recorded".
BIRADS_PAIRS = {
    1: (
        (1, 1, 0.5622), (0, None, 0.2978), (2, None, 0.0643), (2, 2, 0.0442), (0, 0, 0.0275), (1, None, 0.0040),
    ),
    2: ((None, None, 0.7912), (0, None, 0.2032), (0, 0, 0.0056)),
}  # fmt: skip
BIRADS_OF_CANCER: dict[int, int | None] = {1: 0, 2: None}

BIOPSY_SHARE = {(1, True): 0.337, (1, False): 0.0, (2, True): 0.0, (2, False): 0.0056}  # negatives: (site, BIRADS is 0)
INVASIVE_SHARE = {1: 0.673, 2: 0.748}  # of the breasts with cancer, by site
PUBLIC_SHARE = 0.3  # our choice: of the hidden patients, those that count for the public score
