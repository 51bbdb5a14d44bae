"""How long ago a page asked: what could give current is not done late, what lowers it always is."""

from __future__ import annotations

import pytest

from myoloop.experiments.console.freshness import NEVER_TOO_OLD, RAISE_STALE_NS, asked_ns, too_old
from myoloop.experiments.sessions.desk import ACTS, LOWERING, STALE_NS

NOW_NS = 100_000_000_000
TIMED = sorted(ACTS - {"stop", "felt", "score", "mark", "pause", "hold", "end"})


def limit_ns(kind):
    return RAISE_STALE_NS if kind == "raise" else STALE_NS


@pytest.mark.parametrize("kind", TIMED)
def test_an_act_that_could_give_current_is_done_while_it_is_fresh_and_not_after(kind):
    assert too_old(kind, NOW_NS, NOW_NS) == too_old(kind, NOW_NS - limit_ns(kind), NOW_NS) == ""
    assert f"{kind}: was asked" in too_old(kind, NOW_NS - limit_ns(kind) - 1, NOW_NS)
    assert "ahead of this host's time" in too_old(kind, NOW_NS + 1, NOW_NS)
    assert "has not said when" in too_old(kind, None, NOW_NS)


@pytest.mark.parametrize("kind", sorted(NEVER_TOO_OLD))
@pytest.mark.parametrize("seen_ns", [None, 0, NOW_NS, NOW_NS + 1])
def test_what_lowers_current_and_what_the_person_says_is_done_however_old(kind, seen_ns):
    assert too_old(kind, seen_ns, NOW_NS) == ""
    assert asked_ns(kind, seen_ns, NOW_NS) == NOW_NS


def test_nothing_that_lowers_current_has_an_age():
    assert LOWERING | {"stop", "felt"} <= NEVER_TOO_OLD


@pytest.mark.parametrize("kind", TIMED)
def test_the_session_is_told_when_the_page_asked_and_never_a_time_to_come(kind):
    assert asked_ns(kind, NOW_NS - 5, NOW_NS) == NOW_NS - 5
    assert asked_ns(kind, NOW_NS + 5, NOW_NS) == NOW_NS
