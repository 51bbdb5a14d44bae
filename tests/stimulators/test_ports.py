"""Which ports there are, and whom it is harmless to ask."""

import re
from types import SimpleNamespace

import pytest

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.port_holders import Holder
from myoloop.stimulators.ports import found_identifiers, likely, look, say_ports
from myoloop.stimulators.registry import BUILT_IN

P24 = (0x0483, 0x5740)
FTDI = (0x0403, 0x6001)
ARDUINO = (0x2341, 0x0043)


def plugged(port, usb=(None, None), product=None, serial_number=None):
    """A port as pyserial lists it."""
    return SimpleNamespace(device=port, vid=usb[0], pid=usb[1], product=product, serial_number=serial_number)


class Bench:
    """Ports, their holders, and devices that note who asked them."""

    def __init__(self, *ports, answers=None, held=None):
        self.ports, self.answers, self.held, self.asked = ports, answers or {}, held or {}, []

    def _identify(self, driver):
        def ask(port):
            self.asked.append((driver, port))
            answer = self.answers.get((driver, port), DriverError(f"port {port}: no answer in {driver}"))
            if isinstance(answer, DriverError):
                raise answer
            return answer

        return ask

    def look(self, **options):
        drivers = ("openemsstim", "ttl_trigger", "sciencemode34", "sciencemode2")
        return look(
            listed=lambda: self.ports,
            holding=lambda port: self.held.get(port, []),
            identifiers={driver: self._identify(driver) for driver in drivers},
            **options,
        )


def test_a_port_is_described_by_what_usb_says_of_it():
    (found,) = Bench(plugged("/dev/ttyACM0", P24, "P24", "1234567890")).look()
    assert (found.port, found.usb, found.product, found.serial_number) == (
        "/dev/ttyACM0", "0483:5740", "P24", "1234567890",
    )  # fmt: skip
    assert "ScienceMode 4" in found.likely


def test_what_opening_does_not_reset_is_asked_unbidden():
    bench = Bench(plugged("/dev/ttyACM0", P24), answers={("sciencemode34", "/dev/ttyACM0"): "P24 1234567890"})
    (found,) = bench.look()
    assert found.answers == {"sciencemode34": "P24 1234567890"}
    assert bench.asked == [("sciencemode34", "/dev/ttyACM0")]
    assert found.note == ""


@pytest.mark.parametrize("usb", [FTDI, ARDUINO, (0x2A03, 1), (0x1A86, 0x7523), (0x10C4, 0xEA60), (0x0403, 0x6015)])
def test_what_opening_may_reset_is_not_opened_without_probe(usb):
    bench = Bench(plugged("/dev/ttyUSB0", usb))
    (found,) = bench.look()
    assert bench.asked == []
    assert found.note.startswith("not asked: opening it may reset what is behind it")
    bench.look(probe=True)
    assert bench.asked


def test_who_only_listens_is_first_and_boards_that_take_plain_text_are_before_frames_with_a_checksum():
    bench = Bench(plugged("/dev/ttyUSB0", FTDI))
    (found,) = bench.look(probe=True)
    assert [driver for driver, _ in bench.asked] == ["sciencemode2", "openemsstim", "ttl_trigger", "sciencemode34"]
    assert found.note.startswith("nothing known answers; port /dev/ttyUSB0: no answer in sciencemode2; ")


def test_asking_ends_at_the_first_that_answers():
    bench = Bench(
        plugged("/dev/ttyUSB0", FTDI),
        answers={("openemsstim", "/dev/ttyUSB0"): None, ("ttl_trigger", "/dev/ttyUSB0"): "TTL board 1"},
    )
    (found,) = bench.look(probe=True)
    assert found.answers == {"ttl_trigger": "TTL board 1"}
    assert found.asked == ("sciencemode2", "openemsstim", "ttl_trigger")


@pytest.mark.parametrize("usb", [(None, None), (0x0483, 0x374B), (0x1D6B, 2)])
def test_what_is_not_known_is_never_asked_unless_it_is_named(usb):
    bench = Bench(plugged("/dev/ttyS0", usb))
    (found,) = bench.look(probe=True)
    assert bench.asked == []
    assert found.likely == ""
    assert found.note.startswith("not asked: no driver is likely to know it")


def test_a_port_that_is_taken_is_not_asked_and_its_holder_is_named():
    bench = Bench(plugged("/dev/ttyACM0", P24), held={"/dev/ttyACM0": [Holder(999_999_999, "minicom -D /dev/ttyACM0")]})
    (found,) = bench.look(probe=True)
    assert bench.asked == []
    assert found.held_by == "process 999999999 (minicom -D /dev/ttyACM0)"
    assert found.note == "not asked: it is taken"


def test_a_port_that_is_named_is_asked_in_every_protocol_and_no_other_is_looked_at():
    bench = Bench(plugged("/dev/ttyACM0", P24), answers={("sciencemode2", "/dev/pts/7"): "RehaStim2"})
    (found,) = bench.look(only=["/dev/pts/7"])
    assert found.port == "/dev/pts/7"
    assert found.answers == {"sciencemode2": "RehaStim2"}
    assert {port for _, port in bench.asked} == {"/dev/pts/7"}


def test_the_ports_are_told_in_words():
    bench = Bench(
        plugged("/dev/ttyUSB0", ARDUINO),
        plugged("/dev/ttyACM0", P24, "P24"),
        answers={("sciencemode34", "/dev/ttyACM0"): "P24 1234567890"},
    )
    lines = say_ports(bench.look()).splitlines()
    assert lines[0].startswith("/dev/ttyACM0  0483:5740  P24  STM32")
    assert lines[1] == "  sciencemode34: P24 1234567890"
    assert lines[2].startswith("/dev/ttyUSB0  2341:0043  Arduino")
    assert lines[3].startswith("  not asked: opening it may reset")
    assert say_ports([]) == "no serial port found"


def test_only_drivers_that_there_are_can_ask():
    assert set(found_identifiers()) <= set(BUILT_IN)


def test_every_likely_identity_names_what_it_may_be():
    for vid, pid in (P24, FTDI, ARDUINO):
        assert re.search(r"ScienceMode|RehaMove3|Arduino", likely(vid, pid).what)
    assert likely(None, None) is None
