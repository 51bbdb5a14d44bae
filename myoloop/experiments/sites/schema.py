"""What is known about a site: one YAML file, read strictly.

A file is for both sides; which one is meant is said where it is referred to. Everything that a reader could act on
carries the marks of what it rests on, in the way of protocol files.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from myoloop.experiments.protocols.evidence import Source
from myoloop.experiments.protocols.fields import Area, Quantity, Strict, Text
from myoloop.experiments.sites.outlines import VIEWS, ViewName
from myoloop.experiments.sites.zones import CONDITIONS, NEVER, PARTS, ZONES, Side
from myoloop.platform.quantities import QuantityError, parse

Region = Literal["limb_upper", "limb_lower", "trunk", "neck_posterior", "neck_anterior", "head", "chest", "pelvis"]
Use = Literal["allowed", "caution", "forbidden"]
Polarity = Literal["cathode", "anode"]

#: Regions in which no site is stimulated.
CLOSED_REGIONS: frozenset[str] = frozenset({"neck_anterior", "head", "chest"})
#: What of a site's file needs a mark.
MARKED = ("innervated", "landmarks", "pads", "polarity", "emg", "posture", "answer", "no_go", "cautions", "reason")
#: What may have a mark of its own within a part that has one.
MAY_BE_MARKED = ("pads.apart",)

SiteName = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Fraction = Annotated[float, Field(ge=-0.5, le=1.5)]
SignedLength = Annotated[float, Quantity("cm", least=-30, most=30)]
Length = Annotated[float, Quantity("cm", above=0, most=60)]


def _two_sides(value: Any) -> tuple[float, float]:
    if not isinstance(value, str) or value.count("x") != 1:
        raise ValueError("allowed are two sides with their unit, like 5x9 cm")
    first, second = value.split("x")
    unit = second.strip().lstrip("0123456789. ")
    try:
        sides = parse(f"{first.strip()} {unit}", "cm"), parse(second.strip(), "cm")
    except QuantityError as error:
        raise ValueError(error.why) from None
    if not all(0 < side <= 60 for side in sides):
        raise ValueError("allowed are sides of more than 0 and at most 60 cm")
    return min(sides), max(sides)


#: Two sides in cm, the shorter one first.
Sides = Annotated[tuple[float, float], BeforeValidator(_two_sides)]


class Spot(Strict):
    """A place in the picture: so far along the line between two landmarks, then moved.

    Attributes
    ----------
    from_landmark, to_landmark
        Landmarks of the view.
    along
        0 at the first, 1 at the second.
    outwards_cm, down_cm
        Then moved, away from the body's midline (or to the outer side of the limb) and towards the picture's foot.
    """

    from_landmark: SiteName = Field(alias="from")
    to_landmark: SiteName = Field(alias="to")
    along: Fraction
    outwards_cm: SignedLength = Field(default=0.0, alias="outwards")
    down_cm: SignedLength = Field(default=0.0, alias="down")


class Landmark(Strict):
    """A point of the body that is felt or seen."""

    name: SiteName
    find: Text


class PadPlace(Strict):
    """Where one pad goes; `long_side` says how its longer side lies to the line it is placed by."""

    name: Text
    polarity: Polarity
    where: Text
    drawn: Spot
    long_side: Literal["along", "across"] = "along"


class Pads(Strict):
    """The pads of one channel, on one side.

    Attributes
    ----------
    least_cm2
        The smaller pad's least area; density and charge are checked apart from it, by lint and gate.
    usual_cm
        Sides of a pad that fits most adults.
    apart_cm
        Least distance between the edges.
    """

    least_cm2: Area = Field(alias="least")
    usual_cm: Sides = Field(alias="usual")
    apart_cm: Length = Field(alias="apart")
    places: tuple[PadPlace, ...] = Field(min_length=2, max_length=4)

    @property
    def count(self) -> int:
        """How many pads a channel has."""
        return len(self.places)

    @property
    def usual_cm2(self) -> float:
        """Area of a usual pad."""
        return self.usual_cm[0] * self.usual_cm[1]


class Emg(Strict):
    """A pair of EMG electrodes: where, in which direction, how far apart, and where the reference is.

    `across` is for the picture: the pair lies square to the line by which it is placed, else along it.
    """

    where: Text
    direction: Text
    spacing_cm: Length = Field(alias="spacing")
    reference: Text
    drawn: Spot
    across: bool = False


class Wrong(Strict):
    """An answer that shows another muscle or nerve, and what to do then."""

    seen: Text
    do: Text


class Answer(Strict):
    """What shows that the right muscle answers.

    Attributes
    ----------
    joint, direction, segment
        The joint that moves, its movement, and the body segment that turns: the one that an IMU is worn on.
        None where nothing visible moves.
    emg_rises, emg_quiet
        Sites whose EMG answers, and whose should not; by the library's names.
    seen
        What the operator sees and the person feels.
    wrong
        Answers of something else.
    """

    joint: Text | None = None
    direction: Text | None = None
    segment: Text | None = None
    emg_rises: tuple[SiteName, ...] = ()
    emg_quiet: tuple[SiteName, ...] = ()
    seen: Text
    wrong: tuple[Wrong, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole_movement(self) -> Answer:
        if len({self.joint is None, self.direction is None, self.segment is None}) != 1:
            raise ValueError("allowed is joint, direction and segment together, or none of them")
        return self


class Shaded(Strict):
    """A zone as the picture shows it: an ellipse that stands, or lies."""

    zone: SiteName
    drawn: Spot
    size_cm: Sides = Field(alias="size")
    lying: bool = False


class Picture(Strict):
    """What the picture shows besides pads and electrodes."""

    view: ViewName
    shaded: tuple[Shaded, ...] = ()


class Evidence(Strict):
    """Marks of each part of the file; sources that the library's own table does not have."""

    marks: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    sources: dict[str, Source] = Field(default_factory=dict)
    note: str = ""


class SiteFile(Strict):
    """One site's file.

    Attributes
    ----------
    use
        ``allowed``; ``caution`` (a reason stands beside it, a clinician decides); ``forbidden`` (never).
    target
        What the current is meant for.
    innervated
        The lower motor neurone must be intact: pulses of this length do not reach a denervated muscle.
    lies_in
        Zones in which the pads lie.
    no_go
        Zones close by, which no pad may reach, and why.
    """

    name: SiteName
    schema_version: Literal[1] = Field(alias="schema")
    title: Text
    use: Use
    reason: str = ""
    muscle: Text
    nerve: str = ""
    target: Literal["muscle", "nerve", "skin", "none"]
    innervated: bool
    region: Region
    sides: tuple[Literal["left", "right", "midline"], ...] = Field(min_length=1, max_length=2)
    lies_in: tuple[SiteName, ...] = Field(min_length=1)
    landmarks: tuple[Landmark, ...] = ()
    pads: Pads | None = None
    polarity: str = ""
    emg: Emg | None = None
    posture: str = ""
    answer: Answer | None = None
    no_go: dict[SiteName, Text] = Field(default_factory=dict)
    cautions: tuple[Text, ...] = ()
    picture: Picture
    evidence: Evidence

    @model_validator(mode="after")
    def _consistent(self) -> SiteFile:
        for check in (_named, _open_or_closed, _complete, _known_zones, _drawable, _marked):
            check(self)
        return self


class SiteInfo(SiteFile):
    """A site on the side that is meant; None where a reference names no side."""

    side: Side | None = None


def _named(site: SiteFile) -> None:
    if site.name.endswith(("_left", "_right", "_both")):
        raise ValueError(f"name: found {site.name!r}, the side is no part of it: one file is for both")
    if set(site.sides) not in ({"left", "right"}, {"midline"}):
        raise ValueError(f"sides: found {', '.join(site.sides)}, allowed is [left, right] or [midline]")


def _open_or_closed(site: SiteFile) -> None:
    closed = [zone for zone in site.lies_in if zone in NEVER]
    if (closed or site.region in CLOSED_REGIONS) and site.use != "forbidden":
        where = closed[0] if closed else site.region
        raise ValueError(f"use: found {site.use}, allowed in {where} is forbidden only")
    if site.use != "allowed" and not site.reason:
        raise ValueError(f"reason: missing, but needed where use is {site.use}")


def _complete(site: SiteFile) -> None:
    if site.use == "forbidden":
        if site.pads is not None:
            raise ValueError("pads: found at a forbidden site, allowed is none")
        return
    for key in ("landmarks", "pads", "polarity", "emg", "posture", "answer", "no_go"):
        if not getattr(site, key):
            raise ValueError(f"{key}: missing, but needed where use is {site.use}")
    if site.pads is not None and {place.polarity for place in site.pads.places} != {"cathode", "anode"}:
        raise ValueError("pads.places: needed are a cathode and an anode (of the first phase)")
    if site.pads is not None and site.pads.least_cm2 > site.pads.usual_cm2:
        usual = f"the usual pad has {site.pads.usual_cm2:g} cm2"
        raise ValueError(f"pads.least: found {site.pads.least_cm2:g} cm2, {usual}")


def _known_zones(site: SiteFile) -> None:
    for zone in site.lies_in:
        if zone not in NEVER and zone not in CONDITIONS and zone not in PARTS:
            raise ValueError(f"lies_in: found {zone!r}, allowed: {', '.join((*PARTS, *CONDITIONS, *NEVER))}")
    for key, zones in (("no_go", tuple(site.no_go)), ("picture.shaded", tuple(s.zone for s in site.picture.shaded))):
        for zone in zones:
            if zone not in ZONES:
                raise ValueError(f"{key}: found {zone!r}, allowed: {', '.join(ZONES)}")
    both = set(site.lies_in) & set(site.no_go)
    if both:
        raise ValueError(f"no_go: found {sorted(both)[0]!r}, in which the pads themselves lie")


def _drawable(site: SiteFile) -> None:
    known = VIEWS[site.picture.view].landmarks
    spots = [place.drawn for place in site.pads.places] if site.pads is not None else []
    spots += [site.emg.drawn] if site.emg is not None else []
    spots += [shaded.drawn for shaded in site.picture.shaded]
    used = {name for spot in spots for name in (spot.from_landmark, spot.to_landmark)}
    used |= {landmark.name for landmark in site.landmarks}
    for name in sorted(used - known.keys()):
        raise ValueError(f"picture: view {site.picture.view} has no landmark {name!r}, it has {', '.join(known)}")


def _marked(site: SiteFile) -> None:
    for key in site.evidence.marks:
        if key not in MARKED and key not in MAY_BE_MARKED:
            raise ValueError(f"evidence.marks: found {key!r}, allowed: {', '.join((*MARKED, *MAY_BE_MARKED))}")
    for key in MARKED:
        if getattr(site, key) and not site.evidence.marks.get(key):
            raise ValueError(f"evidence.marks: {key} has none; GK where it is general knowledge, unverified")
