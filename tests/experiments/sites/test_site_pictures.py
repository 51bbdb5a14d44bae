"""The pictures: current, the same each time, whole, and true to the text beside them."""

from __future__ import annotations

from itertools import combinations
from math import hypot
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

from myoloop.experiments.sites import draw
from myoloop.experiments.sites.draw import main, picture, shipped
from myoloop.experiments.sites.library import load_site, sites
from myoloop.experiments.sites.outlines import HEIGHT, VIEWS, WIDTH, ViewName
from myoloop.experiments.sites.schema import SiteInfo

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = sorted(name for name in sites() if load_site(name).pads is not None)


def test_the_pictures_that_ship_are_current() -> None:
    found = {path.name for path, text in shipped().items() if path.read_text(encoding="utf-8") != text}
    assert found == set(), "run: python -m myoloop.experiments.sites.draw"


def test_a_picture_that_is_not_current_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(draw, "LIBRARY", tmp_path)
    assert main(["--check"]) == 1
    assert "head.svg: not current" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert len(list(tmp_path.glob("*.svg"))) == len(sites())


@pytest.mark.parametrize("name", sorted(sites()))
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_picture_is_small_well_formed_and_needs_nothing_else(name: str, side: str) -> None:
    site = load_site(name)
    if site.side is None:
        site = load_site(f"{name}_{side}")
    text = picture(site)
    assert text == picture(site)
    assert len(text.encode()) < 8000
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert "href" not in text
    assert text.count("http") == 1


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_shows_pads_with_polarity_emg_and_landmarks(name: str) -> None:
    site = load_site(f"{name}_left")
    root = ElementTree.fromstring(picture(site))
    assert site.pads is not None
    kinds = [element.get("class") for element in root.iter(f"{SVG}rect") if element.get("class")]
    assert kinds == [place.polarity for place in site.pads.places]
    said = [element.text or "" for element in root.iter(f"{SVG}text")]
    for number, place in enumerate(site.pads.places, start=1):
        sign = "\N{MINUS SIGN}" if place.polarity == "cathode" else "+"
        assert f"{number} {sign}" in said
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    for landmark in site.landmarks:
        assert any(text.lower() == landmark.name.replace("_", " ") for text in said)
    assert len(list(root.iter(f"{SVG}ellipse"))) == len(site.picture.shaded)


@pytest.mark.parametrize("name", DRAWN)
def test_the_right_side_is_the_mirror_image(name: str) -> None:
    left, right = (load_site(f"{name}_{side}") for side in ("left", "right"))
    view = VIEWS[left.picture.view]
    assert left.pads is not None
    spots = [place.drawn for place in left.pads.places]
    for spot in spots:
        a, b = draw._Sheet(view, False).spot(spot), draw._Sheet(view, True).spot(spot)
        middle = draw._MARGIN + WIDTH / 2
        assert (a.x - middle, a.y) == pytest.approx((middle - b.x, b.y))
    assert picture(left) != picture(right)
    assert ", right<" in picture(right)


@pytest.mark.parametrize("name", DRAWN)
def test_pads_keep_their_distance_from_one_another_from_the_electrodes_and_from_what_is_shaded(name: str) -> None:
    site = load_site(f"{name}_left")
    pads, view = _pads_in_cm(site), VIEWS[site.picture.view]
    assert site.pads is not None
    assert site.emg is not None
    for first, second in combinations(pads, 2):
        assert _gap(first, second) >= site.pads.apart_cm
    sheet = draw._Sheet(view, False)
    emg = sheet.spot(site.emg.drawn)
    for pad in pads:
        assert _gap(pad, [(emg.x / view.units_per_cm, emg.y / view.units_per_cm)]) > 0.5
    for shaded in site.picture.shaded:
        if shaded.zone not in site.no_go:
            continue
        place = sheet.spot(shaded.drawn)
        half = [0.5 * size for size in (shaded.size_cm[::-1] if shaded.lying else shaded.size_cm)]
        for x, y in (point for pad in pads for point in pad):
            dx, dy = x - place.x / view.units_per_cm, y - place.y / view.units_per_cm
            assert hypot(dx / half[0], dy / half[1]) > 1.0, (shaded.zone, x, y)


def test_every_view_that_a_file_may_name_is_drawn() -> None:
    assert get_args(ViewName) == tuple(VIEWS)


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_landmarks_lie_on_the_paper(view: draw.View) -> None:
    for x, y in view.landmarks.values():
        assert 0 < x < WIDTH
        assert 0 < y < HEIGHT


def test_a_text_cannot_break_the_picture() -> None:
    site = load_site("wrist_extensors_left").model_copy(update={"title": "<script>&"})
    root = ElementTree.fromstring(picture(site))
    assert root.findtext(f"{SVG}title") == "<script>&, left"
    assert not list(root.iter(f"{SVG}script"))


def _pads_in_cm(site: SiteInfo) -> list[list[tuple[float, float]]]:
    """Points of each pad's area, half a centimetre apart, in cm."""
    from math import cos, radians, sin

    view = VIEWS[site.picture.view]
    sheet = draw._Sheet(view, False)
    assert site.pads is not None
    short, long = site.pads.usual_cm
    found = []
    for place in site.pads.places:
        at = sheet.spot(place.drawn)
        wide, high = (long, short) if place.long_side == "along" else (short, long)
        turn = radians(at.angle)
        steps = [(i / 12 - 0.5, j / 12 - 0.5) for i in range(13) for j in range(13)]
        found.append(
            [
                (
                    at.x / view.units_per_cm + u * wide * cos(turn) - v * high * sin(turn),
                    at.y / view.units_per_cm + u * wide * sin(turn) + v * high * cos(turn),
                )
                for u, v in steps
            ]
        )
    return found


def _gap(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> float:
    return min(hypot(ax - bx, ay - by) for ax, ay in first for bx, by in second)
