"""The picture of a site: outline, landmarks, pads with their polarity, EMG electrodes, places without pads.

Drawn from the site's file and the outlines alone, so that one file gives both sides, and a study's own sites have
pictures too. ``python -m myoloop.experiments.sites.draw`` writes those that ship beside their files, ``--check`` says
which are not current.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from html import escape
from math import atan2, cos, degrees, sin
from pathlib import Path
from typing import NamedTuple

from myoloop.experiments.sites.library import LIBRARY, load_site, sites
from myoloop.experiments.sites.outlines import HEIGHT, VIEWS, WIDTH, Point, View, spoken
from myoloop.experiments.sites.schema import Landmark, PadPlace, SiteInfo, Spot

#: Left of the body, for labels; height of the title; of a line of the legend.
_MARGIN, _TOP, _LINE = 90.0, 46.0, 15.0
_WIDTH = WIDTH + 2 * _MARGIN
_SIGNS = {"cathode": "\N{MINUS SIGN}", "anode": "+"}
_STYLE = (
    "text{font-family:sans-serif;font-size:11px;fill:#222}.t{font-size:15px;font-weight:bold}"
    ".b{fill:#f6efe8;stroke:#777}.s{fill:none;stroke:#aaa}.m{stroke:#444;fill:none}"
    ".g{stroke:#666;stroke-dasharray:4 3;fill:none}.k{stroke:#bbb;stroke-width:.7}"
    ".cathode{fill:#2f5fb3;fill-opacity:.35;stroke:#1c3c78;stroke-width:1.6}"
    ".anode{fill:#e08a3c;fill-opacity:.35;stroke:#8a4a10;stroke-width:1.6;stroke-dasharray:6 2}"
    ".p{font-weight:bold;text-anchor:middle}.e{fill:#1c7a3d;stroke:#fff}.f{stroke:#1c7a3d;stroke-width:1.4}"
    ".n{fill:url(#hatch);stroke:#b01919;stroke-width:1.2}.r{text-anchor:end}.x{fill:#b01919}"
)
_HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path d="M0 0V6" stroke="#b01919" stroke-width="1.6"/></pattern></defs>'
)


class _Placed(NamedTuple):
    """Where something is in the picture, and the direction in degrees of the line it is placed by."""

    x: float
    y: float
    angle: float


class _Sheet:
    """Coordinates of one side of a view on the picture."""

    def __init__(self, view: View, mirrored: bool) -> None:
        self.view = view
        self.mirrored = mirrored

    def point(self, point: Point) -> Point:
        x, y = point
        return (WIDTH - x if self.mirrored else x) + _MARGIN, y + _TOP

    def spot(self, spot: Spot) -> _Placed:
        (ax, ay), (bx, by) = (self.view.landmarks[name] for name in (spot.from_landmark, spot.to_landmark))
        scale = self.view.units_per_cm
        x = ax + spot.along * (bx - ax) + spot.outwards_cm * scale * self.view.outer
        y = ay + spot.along * (by - ay) + spot.down_cm * scale
        flip = -1 if self.mirrored else 1
        return _Placed(*self.point((x, y)), degrees(atan2(by - ay, flip * (bx - ax))))

    def to_the_right(self) -> bool:
        """Whether the outer side is to the right of the picture."""
        return (self.view.outer > 0) != self.mirrored


def picture(site: SiteInfo) -> str:
    """The picture as SVG text: the same file and side give the same bytes.

    A site whose side is not said is shown on the left.
    """
    view = VIEWS[site.picture.view]
    sides = ("left", "right") if site.side == "both" and view.whole else ("right" if site.side == "right" else "left",)
    sheets = [_Sheet(view, side == "right") for side in sides]
    legend = list(_legend(site))
    height = _TOP + HEIGHT + _LINE * (len(legend) + 2)
    shown = f"{site.title}{f', {site.side}' if site.side in ('left', 'right', 'both') else ''}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(_WIDTH)} {_n(height)}" role="img">',
        f"<title>{escape(shown)}</title><style>{_STYLE}</style>{_HATCH}",
        f'<rect width="{_n(_WIDTH)}" height="{_n(height)}" fill="#fff"/>',
        f'<text class="t" x="10" y="20">{escape(shown)}</text>',
        f'<text x="10" y="36">{escape(_seen(site, view))}</text>',
        *_outline(sheets[0]),
    ]
    for sheet in sheets:
        body += [*_shaded(site, sheet), *_lines(site, sheet), *_pads(site, sheet), *_emg(site, sheet)]
    body += [*_landmarks(site, sheets[0]), *_edges(sheets[0])]
    for number, line in enumerate(legend):
        body.append(_text(line, 10, _TOP + HEIGHT + _LINE * (number + 1)))
    return "\n".join((*body, "</svg>", ""))


def _seen(site: SiteInfo, view: View) -> str:
    says = re.sub("^left ", "right ", view.says) if site.side == "right" else view.says
    mirrored = site.side is None or (site.side == "both" and not view.whole)
    return f"{says}; {'the right one is its mirror image' if mirrored else 'schematic'}"


def _outline(sheet: _Sheet) -> Iterator[str]:
    for shape in sheet.view.shapes:
        yield f'<path class="b" d="{_smooth([sheet.point(point) for point in shape])}"/>'
    for stroke in sheet.view.strokes:
        points = "L".join(f"{_n(x)} {_n(y)}" for x, y in map(sheet.point, stroke))
        yield f'<path class="s" d="M{points}"/>'


def _shaded(site: SiteInfo, sheet: _Sheet) -> Iterator[str]:
    scale = sheet.view.units_per_cm
    for shaded in site.picture.shaded:
        place = sheet.spot(shaded.drawn)
        short, long = (0.5 * side * scale for side in shaded.size_cm)
        across, up = (long, short) if shaded.lying else (short, long)
        yield f'<ellipse class="n" cx="{_n(place.x)}" cy="{_n(place.y)}" rx="{_n(across)}" ry="{_n(up)}"/>'
        if site.use == "forbidden":
            d = 0.6 * short
            yield (
                f'<path d="M{_n(place.x - d)} {_n(place.y - d)}l{_n(2 * d)} {_n(2 * d)}m0 {_n(-2 * d)}'
                f'l{_n(-2 * d)} {_n(2 * d)}" stroke="#b01919" stroke-width="{_n(min(5.0, d / 2))}"/>'
            )


def _lines(site: SiteInfo, sheet: _Sheet) -> Iterator[str]:
    spots = [place.drawn for place in site.pads.places] if site.pads is not None else []
    spots += [site.emg.drawn] if site.emg is not None else []
    pairs = dict.fromkeys((spot.from_landmark, spot.to_landmark) for spot in spots)
    for pair in pairs:
        (ax, ay), (bx, by) = (sheet.point(sheet.view.landmarks[name]) for name in pair)
        yield f'<path class="g" d="M{_n(ax)} {_n(ay)}L{_n(bx)} {_n(by)}"/>'


def _pads(site: SiteInfo, sheet: _Sheet) -> Iterator[str]:
    if site.pads is None:
        return
    short, long = (side * sheet.view.units_per_cm for side in site.pads.usual_cm)
    for number, pad in enumerate(site.pads.places, start=1):
        place = sheet.spot(pad.drawn)
        # The x axis of the turned rectangle lies along the line.
        wide, high = (long, short) if pad.long_side == "along" else (short, long)
        yield (
            f'<rect class="{pad.polarity}" x="{_n(-wide / 2)}" y="{_n(-high / 2)}" width="{_n(wide)}" '
            f'height="{_n(high)}" rx="4" transform="translate({_n(place.x)} {_n(place.y)}) rotate({_n(place.angle)})"/>'
        )
        yield f'<text class="p" x="{_n(place.x)}" y="{_n(place.y + 4)}">{_mark(number, pad)}</text>'


def _emg(site: SiteInfo, sheet: _Sheet) -> Iterator[str]:
    if site.emg is None:
        return
    place = sheet.spot(site.emg.drawn)
    turn = (place.angle + (90 if site.emg.across else 0)) / degrees(1)
    half = site.emg.spacing_cm * sheet.view.units_per_cm / 2
    dx, dy = cos(turn), sin(turn)
    yield (
        f'<path class="f" d="M{_n(place.x - 2.2 * half * dx)} {_n(place.y - 2.2 * half * dy)}'
        f'L{_n(place.x + 2.2 * half * dx)} {_n(place.y + 2.2 * half * dy)}"/>'
    )
    for way in (-1, 1):
        x, y = place.x + way * half * dx, place.y + way * half * dy
        yield f'<circle class="e" cx="{_n(x)}" cy="{_n(y)}" r="4.5"/>'


def _landmarks(site: SiteInfo, sheet: _Sheet) -> Iterator[str]:
    right: list[tuple[Point, Landmark]] = []
    left: list[tuple[Point, Landmark]] = []
    for landmark in site.landmarks:
        x, y = sheet.point(sheet.view.landmarks[landmark.name])
        yield f'<path class="m" d="M{_n(x - 5)} {_n(y)}h10M{_n(x)} {_n(y - 5)}v10"/>'
        middle = _MARGIN + WIDTH / 2
        (right if x > middle or (x == middle and sheet.to_the_right()) else left).append(((x, y), landmark))
    for labels, at, anchor in ((left, 8.0, ""), (right, _WIDTH - 8.0, ' class="r"')):
        below = 0.0
        for (x, y), landmark in sorted(labels, key=lambda pair: pair[0][1]):
            below = max(y, below + 14)
            said = spoken(landmark.name)
            end = at + (1 if not anchor else -1) * (6.2 * len(said) + 2)
            yield f'<path class="k" d="M{_n(end)} {_n(below)}L{_n(x)} {_n(y)}"/>'
            yield f'<text{anchor} x="{_n(at)}" y="{_n(below + 4)}">{said}</text>'


def _edges(sheet: _Sheet) -> Iterator[str]:
    """Which side of the picture is which, and how large it is."""
    view = sheet.view
    if not view.whole:
        names = (view.inner_name, view.outer_name) if sheet.to_the_right() else (view.outer_name, view.inner_name)
        yield _text(names[0], 8, _TOP + HEIGHT - 6)
        yield f'<text class="r" x="{_n(_WIDTH - 8)}" y="{_n(_TOP + HEIGHT - 6)}">{names[1]}</text>'
    else:
        # Seen from behind, the person's left is the viewer's left.
        left_is_left = view.outer < 0
        yield _text("left" if left_is_left else "right", 8, _TOP + HEIGHT - 6)
        other = "right" if left_is_left else "left"
        yield f'<text class="r" x="{_n(_WIDTH - 8)}" y="{_n(_TOP + HEIGHT - 6)}">{other}</text>'
    length = 5 * view.units_per_cm
    x, y = _WIDTH - 14 - length, 30.0
    yield f'<path class="m" d="M{_n(x)} {_n(y - 4)}v8M{_n(x)} {_n(y)}h{_n(length)}M{_n(x + length)} {_n(y - 4)}v8"/>'
    yield f'<text class="p" x="{_n(x + length / 2)}" y="{_n(y - 8)}">5 cm</text>'


def _legend(site: SiteInfo) -> Iterator[str]:
    if site.pads is not None:
        short, long = site.pads.usual_cm
        for number, pad in enumerate(site.pads.places, start=1):
            yield f"{_mark(number, pad)}  {pad.name}: {pad.polarity} of the first phase, {short:g}x{long:g} cm"
        yield f"pads at least {site.pads.apart_cm:g} cm apart, each at least {site.pads.least_cm2:g} cm2"
    if site.emg is not None:
        yield f"green: EMG pair, {site.emg.spacing_cm:g} cm between centres; reference: {site.emg.reference}"
    zones = ", ".join(dict.fromkeys(spoken(shaded.zone) for shaded in site.picture.shaded))
    if zones:
        yield f"hatched red: no pads ({zones})"


def _mark(number: int, pad: PadPlace) -> str:
    return f"{number} {_SIGNS[pad.polarity]}"


def _text(text: str, x: float, y: float) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}">{escape(text)}</text>'


def _smooth(points: list[Point]) -> str:
    """A closed line through all points: a Catmull-Rom spline as cubic curves."""
    count = len(points)
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for i in range(count):
        before, start, end, after = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        controls = (
            (start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6),
            (end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6),
            end,
        )
        path += "C" + " ".join(f"{_n(x)} {_n(y)}" for x, y in controls)
    return path + "Z"


def _n(value: float) -> str:
    """A number to a tenth, without what need not be written; never minus nought."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def shipped() -> dict[Path, str]:
    """The pictures that stand beside the library's files: each site's left side, or the midline."""
    found = {}
    for name in sites():
        site = load_site(name)
        found[LIBRARY / f"{name}.svg"] = picture(load_site(f"{name}_left") if site.side is None else site)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures that ship, or say which are not current; 1 where one is not."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the site library from its files.")
    parser.add_argument("--check", action="store_true", help="write nothing, say which are not current")
    check = parser.parse_args(arguments).check
    old = {
        path: text for path, text in shipped().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in old.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}: {'not current' if check else 'written'}\n")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
