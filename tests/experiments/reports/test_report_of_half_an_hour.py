"""How long one session's report takes; what stands in it is held by the other tests."""

from __future__ import annotations

import time

import pytest

from myoloop.experiments.benchmarks.study_of_sessions import write_session
from myoloop.experiments.reports.session import write_report

#: What the product promises of one session.
REPORT_S = 30.0


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_half_an_hour_of_eight_channels_is_reported_on_in_half_a_minute(tmp_path):
    attempt = write_session(tmp_path, "P001", 1, 1800.0)
    began_s = time.process_time()
    page = write_report(attempt)
    assert time.process_time() - began_s <= REPORT_S
    assert page.stat().st_size < 10 << 20
    assert {"timeline", "course", "contractions"} <= {path.stem for path in (page.parent / "figures").glob("*.svg")}
