"""Sources are found by name, and what is wrong with a name or a setting is said in one line."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from myoloop.acquisition import registry
from myoloop.acquisition.registry import BUILT_IN, find_source, foresee_source, make_source, source_names
from myoloop.acquisition.source import Foreseen, Source
from myoloop.platform.clock import MonotonicClock, VirtualClock
from myoloop.platform.plugins import PluginError


@dataclass(frozen=True)
class ToySettings:
    port: str
    rate_hz: float = 1000.0
    gain: int = 1

    def __post_init__(self):
        if self.gain < 1:
            raise ValueError(f"gain: found {self.gain}, allowed from 1")


class Toy:
    Settings = ToySettings

    def __init__(self, settings, *, name, clock):
        self.settings, self.name, self.clock = settings, name, clock

    def open(self):
        return ()

    def read(self, wait_s):
        return []

    def close(self):
        pass


class Plain(Toy):
    def __init__(self, settings):
        self.settings = settings


class Seer(Toy):
    def foresee(self):
        return Foreseen("recorded", ())


class Broken:
    Settings = ToySettings

    def __init__(self, settings, *, name, clock):
        pass


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setitem(sys.modules, "toy_sources", sys.modules[Toy.__module__])
    for name in ("Toy", "Plain", "Seer", "Broken"):
        monkeypatch.setitem(registry.BUILT_IN, name.lower(), f"toy_sources:{name}")


def test_a_source_is_made_with_its_settings_its_name_and_its_clock():
    clock = VirtualClock()
    source = make_source("toy", {"port": "/dev/x", "rate_hz": 2000}, name="forearm", clock=clock)
    assert isinstance(source, Toy)
    assert source.settings == ToySettings("/dev/x", 2000.0)
    assert source.name == "forearm"
    assert source.clock is clock


def test_without_a_clock_it_gets_the_hosts():
    assert isinstance(make_source("toy", {"port": "x"}, name="a").clock, MonotonicClock)


def test_a_source_that_asks_for_neither_name_nor_clock_gets_neither():
    assert make_source("plain", {"port": "x"}, name="a").settings.port == "x"


def test_a_name_nobody_has_is_answered_with_those_there_are():
    with pytest.raises(PluginError, match=r"no source 'playbakc' \(did you mean playback\?\); installed: .*brainflow"):
        find_source("playbakc")


def test_a_class_that_is_no_source_is_refused():
    with pytest.raises(PluginError, match="Broken has not all of open, read, close"):
        make_source("broken", {"port": "x"}, name="a")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prot": "x"}, r"settings.prot: unknown key \(did you mean port\?\), allowed: port, rate_hz, gain"),
        ({}, "settings: object missing required field `port`"),
        ({"port": 5}, "settings.port: expected `str`, got `int`"),
        ({"port": "x", "gain": 0}, "gain: found 0, allowed from 1"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(settings, said):
    with pytest.raises(PluginError, match=said) as caught:
        make_source("toy", settings, name="a")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("source 'toy': ")


def test_a_source_that_foresees_nothing_is_live_and_its_device_alone_can_tell_more():
    assert foresee_source("seer", {"port": "x"}, name="a") == Foreseen("recorded", ())
    assert foresee_source("toy", {"port": "x"}, name="a") == Foreseen("live", None)
    with pytest.raises(PluginError, match="prot"):
        foresee_source("toy", {"prot": "x"}, name="a")


@pytest.mark.parametrize("kind", ["brainflow", "lsl", "playback"])
def test_our_own_sources_meet_the_contract(kind):
    assert kind in source_names()
    assert BUILT_IN[kind].startswith("myoloop.acquisition.")
    cls = find_source(kind)
    for method in ("open", "read", "close"):
        assert callable(getattr(cls, method))
    assert issubclass(cls, Source)
