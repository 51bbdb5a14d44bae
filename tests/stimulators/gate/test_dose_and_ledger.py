"""Rule 12: what a person has had, and the ledger that outlives a session."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from myoloop.stimulators.gate import DoseTotals, LedgerError, PriorDose, ledger_line, read_ledger
from myoloop.stimulators.gate.dose import Running, book_pulses, dose_exceeded, pass_dose

MS = 1_000_000


class TestTotals:
    def test_add_up_over_channels_and_time(self):
        flows = {0: (5.0, 40.0), 1: (2.0, 10.0)}
        dose, running = book_pulses(DoseTotals(1.0, 2.0, 3.0), Running(), flows)
        assert dose == DoseTotals(pytest.approx(1.0 + 5e-3 + 2e-3), 2.0, 5.0)
        dose, _ = pass_dose(dose, running, flows, 500 * MS)
        assert dose.charge_mc == pytest.approx(1.0 + 5e-3 * 20 + 2e-3 * 5)
        assert dose.on_s == pytest.approx(2.5)
        assert dose.pulses == 3.0 + 20 + 5

    def test_start_at_zero(self):
        assert DoseTotals() == DoseTotals(0.0, 0.0, 0.0)
        assert PriorDose() == PriorDose(0.0, 0.0, DoseTotals())
        assert Running() == Running({}, 0, 0)

    def test_do_not_grow_while_time_stands_still(self, bench, wish):
        bench.to_stimulating(10.0)
        before = bench.state.dose
        for _ in range(100):
            bench.step(wish(10.0), after_ms=0.0)
        assert bench.state.dose == before

    def test_do_not_grow_without_current(self):
        assert book_pulses(DoseTotals(1.0, 2.0, 3.0), Running(), {}) == (DoseTotals(1.0, 2.0, 3.0), Running())
        assert pass_dose(DoseTotals(1.0, 2.0, 3.0), Running(), {}, 500 * MS)[0] == DoseTotals(1.0, 2.0, 3.0)

    def test_of_a_session_are_what_flowed(self, bench, wish):
        bench.to_stimulating(10.0)
        before = bench.state.dose
        bench.hold(wish({"left": 10.0, "right": 0.5}), 1000)
        after = bench.state.dose
        assert after.on_s - before.on_s == pytest.approx(1.0)
        assert after.pulses - before.pulses == pytest.approx(79.6, abs=0.5)
        assert after.charge_mc - before.charge_mc == pytest.approx(0.12 + 0.15e-3 * 39.8, rel=0.01)

    def test_go_on_over_a_pause_and_a_latch(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.step(stops=["pedal"])
        had = bench.state.dose
        bench.wait(11.0)
        bench.do("acknowledge")
        assert bench.state.dose == had

    def test_count_a_cycle_that_took_too_long_whole(self, bench, wish):
        bench.to_stimulating(10.0)
        before = bench.state.dose
        bench.step(after_ms=2000.0)
        assert bench.name == "FAULT"
        assert bench.state.dose.on_s - before.on_s == pytest.approx(2.0)

    def test_do_not_shrink_when_time_goes_back(self, bench):
        bench.to_stimulating(10.0)
        before = bench.state.dose
        bench.step(after_ms=-2000.0)
        assert bench.state.dose == before


LIMITS = [
    ("session_on_s_max", 1.0, "session on-time of 1 s is used up"),
    ("session_charge_mc_max", 0.5, "session charge of 0.5 mC is used up"),
    ("day_charge_mc_max", 0.5, "charge of the day of 0.5 mC is used up"),
    ("course_charge_mc_max", 0.5, "charge of the course of 0.5 mC is used up"),
]


class TestLimits:
    @pytest.mark.parametrize(("field", "most", "why"), LIMITS)
    def test_end_current_and_keep_from_arming(self, new_gate, envelope, wish, field, most, why):
        bench = new_gate(replace(envelope, **{field: most}, on_s_max=20.0)).to_armed()
        for _ in range(3000):
            before = bench.state.dose
            bench.step(wish(20.0))
            if not bench.verdict.allowed:
                break
        assert (bench.verdict.rule, bench.verdict.reasons) == ("dose", (why,))
        had = bench.state.dose.on_s if field == "session_on_s_max" else bench.state.dose.charge_mc
        was = before.on_s if field == "session_on_s_max" else before.charge_mc
        assert was < most <= had
        bench.do("pause")
        assert bench.arm().reason == why

    @pytest.mark.parametrize(("field", "most", "why"), LIMITS)
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_count_what_is_no_number_as_all(self, envelope, field, most, why, value):
        limits = replace(envelope, **{field: most})
        dose, prior = DoseTotals(0.0, 0.0), PriorDose()
        assert dose_exceeded(dose, prior, limits) == ""
        match field:
            case "session_on_s_max":
                dose = DoseTotals(on_s=value)
            case "session_charge_mc_max":
                dose = DoseTotals(charge_mc=value)
            case "day_charge_mc_max":
                prior = PriorDose(day_charge_mc=value)
            case "course_charge_mc_max":
                prior = PriorDose(course_charge_mc=value)
        assert dose_exceeded(dose, prior, limits) == why

    @pytest.mark.parametrize(("field", "most", "why"), LIMITS)
    def test_are_reached_at_the_very_number(self, envelope, field, most, why):
        limits = replace(envelope, **{field: most})
        dose = DoseTotals(on_s=most) if field == "session_on_s_max" else DoseTotals(charge_mc=most)
        assert dose_exceeded(dose, PriorDose(), limits) == why
        less = DoseTotals(dose.charge_mc * 0.999999, dose.on_s * 0.999999)
        assert dose_exceeded(less, PriorDose(), limits) == ""

    def test_of_day_and_course_count_other_sessions(self, envelope):
        limits = replace(envelope, day_charge_mc_max=10.0, course_charge_mc_max=20.0)
        dose = DoseTotals(charge_mc=4.0)
        assert dose_exceeded(dose, PriorDose(5.9, 15.9), limits) == ""
        assert "day" in dose_exceeded(dose, PriorDose(6.0, 6.0), limits)
        assert "course" in dose_exceeded(dose, PriorDose(0.0, 16.0), limits)

    def test_let_a_pause_ramp_end(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, session_on_s_max=2.1)).to_stimulating(10.0)
        bench.do("pause")
        assert bench.hold(None, 300)[-1].allowed
        assert bench.state.dose.on_s > 2.1


class TestASessionBegunAgain:
    def test_goes_on_with_what_it_has_had(self, new_gate, envelope):
        had = DoseTotals(3.0, 400.0, 500.0)
        bench = new_gate(prior=PriorDose(0.0, 0.0, had)).to_ready()
        assert bench.state.dose == had
        assert bench.arm().reason == "session on-time of 400 s is used up"

    def test_takes_the_ledger_once(self, new_gate, wish):
        bench = new_gate(prior=PriorDose(0.0, 0.0, DoseTotals(3.0, 4.0, 5.0))).to_stimulating(1.0)
        assert 4.0 < bench.state.dose.on_s < 5.0


HOUR_NS = 3600 * 10**9
#: Now, when the ledger is read.
NOW_NS = 1_795_000_000 * 10**9


def line(session, charge_mc, hours_ago=1.0, subject="P001", on_s=0.0, pulses=0):
    wall_ns = NOW_NS - round(hours_ago * HOUR_NS)
    return ledger_line(subject, session, wall_ns, DoseTotals(charge_mc, on_s, pulses))


def read(*lines, session="ses-09", now_ns=NOW_NS, subject="P001"):
    return read_ledger("".join(lines), subject, session, now_ns)


class TestDay:
    """Any 24 hours, by wall time; whatever the clock does, nothing of them is forgotten."""

    def test_is_the_last_24_hours_whatever_the_date_says(self):
        given = (line("ses-01", 1.0, 30.0), line("ses-02", 2.0, 23.9), line("ses-03", 4.0, 0.1))
        for hours in range(24):
            prior = read(*given, now_ns=NOW_NS + hours * 60 * 10**9 // 1000)
            assert (prior.day_charge_mc, prior.course_charge_mc) == (6.0, 7.0)
        assert read(*given, now_ns=NOW_NS + HOUR_NS).day_charge_mc == 4.0

    def test_ends_at_the_very_nanosecond(self):
        given = ledger_line("P001", "ses-01", NOW_NS, DoseTotals(1.0, 0.0, 0.0))
        assert read(given, now_ns=NOW_NS + 24 * HOUR_NS).day_charge_mc == 1.0
        # Beyond what a float can tell apart.
        assert read(given, now_ns=NOW_NS + 24 * HOUR_NS + 1000).day_charge_mc == 0.0

    def test_holds_what_a_long_session_gave_within_it(self):
        given = (line("ses-01", 1.0, 25.0), line("ses-01", 3.0, 23.0), line("ses-01", 7.0, 22.0))
        assert read(*given) == PriorDose(6.0, 7.0, DoseTotals())

    def test_holds_all_of_the_session_that_goes_on(self):
        assert read(line("ses-09", 3.0, 48.0)).session.charge_mc == 3.0

    def test_a_clock_that_is_set_back_before_the_session_forgets_nothing(self):
        assert read(line("ses-01", 1.0), now_ns=NOW_NS - 90 * 24 * HOUR_NS).day_charge_mc == 1.0

    def test_a_clock_that_was_set_back_while_current_was_given_makes_it_no_older(self):
        """A line is younger than those above it."""
        assert read(line("ses-01", 1.0, 2.0), line("ses-02", 2.0, 90 * 24)).day_charge_mc == 3.0

    def test_a_total_from_a_memory_that_was_lost_takes_nothing_back(self):
        given = (line("ses-01", 5.0, 25.0), line("ses-01", 2.0, 2.0), line("ses-01", 6.0, 1.0))
        assert read(*given).day_charge_mc == 1.0


class TestLedger:
    def test_a_line_is_one_json_object(self):
        text = ledger_line("P001", "ses-01", 12, DoseTotals(1.25, 3.5, 7.6))
        assert text.endswith("\n")
        assert text.count("\n") == 1
        assert json.loads(text) == {
            "subject": "P001",
            "session": "ses-01",
            "wall_ns": 12,
            "charge_mc": 1.25,
            "on_s": 3.5,
            "pulses": 8,
        }
        assert text == json.dumps(json.loads(text), sort_keys=True) + "\n"

    def test_a_dose_that_is_no_number_is_not_written(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            line("ses-01", float("nan"))

    def test_nothing_written_is_nothing_had(self):
        assert read() == PriorDose(0.0, 0.0, DoseTotals())

    def test_day_and_course_are_summed_over_other_sessions(self):
        prior = read(
            line("ses-01", 1.0, 25.0),
            line("ses-02", 2.0),
            line("ses-03", 4.0),
            line("ses-09", 8.0, on_s=3.0, pulses=5),
        )
        assert prior == PriorDose(6.0, 7.0, DoseTotals(8.0, 3.0, 5.0))

    def test_of_a_sessions_lines_the_largest_counts(self):
        """Totals only grow; a smaller one comes from a memory that was lost."""
        assert read(line("ses-01", 1.0), line("ses-01", 3.0), line("ses-01", 0.5)).course_charge_mc == 3.0
        totals = read(line("ses-09", 3.0, on_s=1.0, pulses=9), line("ses-09", 1.0, on_s=2.0, pulses=4)).session
        assert totals == DoseTotals(3.0, 2.0, 9.0)

    def test_names_with_strange_letters_are_one_line(self):
        assert read(line("ses-\u2028\n\x0b", 1.0)).course_charge_mc == 1.0

    @pytest.mark.parametrize("text", ["x", '{"subject": "P001"}'])
    def test_a_last_line_without_its_end_is_cut_off(self, text):
        with pytest.raises(LedgerError, match=r"^line 2: cut off; what it held is not known$"):
            read(line("ses-01", 1.0), text)

    @pytest.mark.parametrize(
        "text",
        [
            "\n",
            "nonsense\n",
            "[]\n",
            "null\n",
            "1\n",
            '"subject"\n',
            "{}\n",
            '{"subject": "P001", "session": "s", "wall_ns": 1}\n',
            '{"subject": "P001", "session": "s", "wall_ns": 1, "charge_mc": 1}\n',
            '{"subject": "P001", "session": "s", "charge_mc": 1, "on_s": 1, "pulses": 1}\n',
            "[" * 100_000 + "\n",
        ],
    )
    def test_what_is_no_entry_is_not_believed(self, text):
        with pytest.raises(LedgerError, match=r"^line 2: found .*, allowed is a dose entry$") as caught:
            read(line("ses-01", 1.0), text)
        assert len(str(caught.value)) < 140

    def test_another_persons_is_not_believed(self):
        with pytest.raises(LedgerError, match=r"^line 1: belongs to 'P002', this is 'P001'$"):
            read(line("ses-01", 1.0, subject="P002"))

    @pytest.mark.parametrize("field", ["charge_mc", "on_s", "pulses", "wall_ns"])
    @pytest.mark.parametrize("value", ["-1", "-0.001", "NaN", "Infinity", "1e999", "null", "true", '"1"', "1" * 400])
    def test_a_number_that_cannot_be_a_dose_is_not_believed(self, field, value):
        text = json.dumps({**json.loads(line("ses-01", 1.0)), field: "@"}).replace('"@"', value) + "\n"
        with pytest.raises(LedgerError, match=f"^line 1: {field}: found .*, allowed is 0 or more$"):
            read(text)

    def test_zero_is_a_dose(self):
        assert read(line("ses-01", 0.0)).course_charge_mc == 0.0
