"""Simple outlines of the body, with landmarks, for the pictures of sites: our own drawing, in units of the picture.

Every view shows the left side; the right one is its mirror image. In views of one limb `outer` says on which side of
the picture the limb's outer (or thumb) side is; views of the trunk and head show both sides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
ViewName = Literal[
    "forearm_back", "forearm_front", "back", "body_front", "thigh_front", "thigh_back", "leg_front", "leg_back"
]

#: Size of the part of a picture in which the body is drawn; it is mirrored about half the width.
WIDTH, HEIGHT = 300.0, 440.0


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a part of the body.

    Attributes
    ----------
    says
        What is seen.
    outer, outer_name, inner_name
        +1 where the outer side of the left is to the right of the picture, -1 where it is to the left; its names.
    units_per_cm
        Of an adult of middle size.
    shapes
        Closed outlines, through whose points a smooth line is drawn.
    strokes
        Open lines: creases, the spine, fingers.
    landmarks
        By name.
    whole
        Both sides of the body are seen.
    """

    says: str
    outer: int
    outer_name: str
    inner_name: str
    units_per_cm: float
    shapes: tuple[tuple[Point, ...], ...]
    strokes: tuple[tuple[Point, ...], ...]
    landmarks: dict[str, Point]
    whole: bool = False


def spoken(name: str) -> str:
    """A landmark or zone as people write it: ``l4`` is L4, ``asis`` is ASIS, ``fibular_head`` has no underscore."""
    return name.upper() if re.fullmatch(r"[a-z]\d|asis|psis", name) else name.replace("_", " ")


def _mirrored(points: tuple[Point, ...]) -> tuple[Point, ...]:
    return tuple((WIDTH - x, y) for x, y in points)


def _closed(half: tuple[Point, ...]) -> tuple[Point, ...]:
    """A shape that is alike on both sides, from the points of its left half, top to bottom."""
    return (*half, *(point for point in reversed(_mirrored(half)) if point not in half))


_FOREARM: tuple[Point, ...] = (
    (116, 20), (111, 68), (108, 112), (117, 180), (128, 258), (119, 284), (102, 308), (86, 340), (95, 349), (113, 330),
    (117, 352), (120, 398), (129, 408), (150, 414), (169, 408), (179, 396), (184, 345), (180, 298), (172, 258),
    (183, 180), (191, 112), (189, 68), (184, 20),
)  # fmt: skip
_FINGERS: tuple[tuple[Point, ...], ...] = tuple(((x, 352.0), (x, 408.0)) for x in (135.0, 151.0, 167.0))

_THIGH_FRONT: tuple[Point, ...] = (
    (96, 30), (94, 92), (100, 170), (106, 250), (114, 322), (116, 372), (118, 424), (186, 424), (188, 372), (192, 322),
    (206, 250), (216, 170), (218, 92), (200, 30),
)  # fmt: skip
_LEG: tuple[Point, ...] = (
    (110, 20), (110, 62), (106, 110), (106, 160), (118, 240), (128, 320), (126, 366), (124, 392), (114, 420),
    (182, 420), (176, 392), (174, 366), (172, 320), (186, 240), (198, 160), (196, 110), (190, 62), (190, 20),
)  # fmt: skip
_KNEECAP: tuple[Point, ...] = ((150, 346), (166, 366), (150, 388), (134, 366))
_TRUNK_HALF: tuple[Point, ...] = (
    (129, 84), (118, 96), (84, 106), (56, 110), (44, 130), (50, 176), (66, 214), (74, 262), (74, 300), (66, 344),
    (60, 392), (64, 436),
)  # fmt: skip
_HEAD: tuple[Point, ...] = _closed(((150, 12), (128, 20), (121, 42), (126, 66), (138, 82)))
_SPINE: tuple[Point, ...] = ((150, 96), (150, 372))

VIEWS: dict[ViewName, View] = {
    "forearm_back": View(
        "left forearm from the back of the hand, elbow at the top",
        -1, "thumb side", "little finger side", 7.5,
        (_FOREARM,), (*_FINGERS, ((132, 262), (150, 265), (168, 262))),
        {
            "lateral_epicondyle": (116, 70), "olecranon": (156, 62), "radial_styloid": (129, 256),
            "ulnar_styloid": (170, 252), "wrist_back": (150, 262), "knuckles": (150, 332),
        },
    ),
    "forearm_front": View(
        "left forearm from the palm, elbow at the top",
        1, "thumb side", "little finger side", 7.5,
        (_mirrored(_FOREARM),), (*_FINGERS, ((116, 74), (150, 80), (184, 74)), ((132, 262), (150, 265), (168, 262))),
        {
            "medial_epicondyle": (114, 68), "lateral_epicondyle": (184, 70), "elbow_crease": (150, 80),
            "pisiform": (133, 268), "radial_styloid": (171, 256), "wrist_crease": (150, 264),
        },
    ),
    "back": View(
        "back, from behind",
        -1, "outer side", "midline", 5.5,
        (_HEAD, _closed(_TRUNK_HALF)), (_SPINE, ((108, 142), (60, 124)), ((192, 142), (240, 124))),
        {
            "occiput": (150, 62), "c7": (150, 96), "acromion": (54, 114), "scapula_spine": (108, 142),
            "lowest_rib": (88, 268), "l1": (150, 266), "l2": (150, 286), "l3": (150, 307), "l4": (150, 327),
            "l5": (150, 347), "s1": (150, 366), "psis": (126, 374), "iliac_crest": (78, 326),
        },
        True,
    ),
    "body_front": View(
        "head and trunk from the front",
        1, "outer side", "midline", 5.0,
        (_HEAD, _closed(_TRUNK_HALF)),
        (((136, 41), (142, 41)), ((158, 41), (164, 41)), ((142, 66), (158, 66)), ((150, 110), (150, 190)),
         ((112, 232), (150, 192), (188, 232))),
        {
            "crown": (150, 16), "eye": (161, 42), "mouth": (150, 66), "larynx": (150, 92), "carotid_pulse": (163, 88),
            "clavicle": (200, 112), "sternum": (150, 150), "nipple": (196, 168), "costal_margin": (184, 232),
            "navel": (150, 290), "asis": (218, 338), "pubis": (150, 392),
        },
        True,
    ),
    "thigh_front": View(
        "left thigh from the front",
        1, "outer side", "inner side", 7.0,
        (_THIGH_FRONT, _KNEECAP), (((96, 60), (130, 110)),),
        {
            "asis": (184, 42), "groin_crease": (120, 94), "patella_top": (150, 347), "patella": (150, 366),
            "medial_joint_line": (119, 386), "lateral_joint_line": (184, 386),
        },
    ),
    "thigh_back": View(
        "left thigh from behind",
        -1, "outer side", "inner side", 7.0,
        (_mirrored(_THIGH_FRONT),), (((100, 66), (150, 78), (202, 64)), ((118, 376), (150, 381), (182, 376))),
        {
            "ischial_tuberosity": (166, 66), "gluteal_fold": (150, 78), "popliteal_crease": (150, 380),
            "lateral_hamstring_tendon": (124, 366), "medial_hamstring_tendon": (176, 366),
        },
    ),
    "leg_front": View(
        "left leg from the front",
        1, "outer side", "inner side", 8.0,
        (_LEG, ((150, 30), (166, 46), (150, 64), (134, 46))), (((146, 96), (143, 200), (142, 330)),),
        {
            "patella": (150, 46), "lateral_epicondyle": (188, 52), "tibial_tuberosity": (147, 92),
            "fibular_head": (188, 82), "tibial_crest": (143, 200), "medial_malleolus": (128, 366),
            "lateral_malleolus": (174, 380),
        },
    ),
    "leg_back": View(
        "left leg from behind",
        -1, "outer side", "inner side", 8.0,
        (_mirrored(_LEG),), (((112, 58), (150, 63), (188, 58)), ((150, 290), (150, 392))),
        {
            "popliteal_crease": (150, 61), "fibular_head": (112, 82), "medial_calf_bulge": (170, 150),
            "medial_malleolus": (172, 366), "lateral_malleolus": (126, 380), "heel": (150, 410),
        },
    ),
}  # fmt: skip
