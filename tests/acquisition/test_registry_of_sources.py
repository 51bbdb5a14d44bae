"""Sources are found by name, and what is wrong with a name or a setting is said in one line."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from myoloop.acquisition import registry
from myoloop.acquisition.registry import BadSettings, UnknownSource, find_source, make_source, source_names
from myoloop.platform.clock import MonotonicClock, VirtualClock


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


class Broken:
    Settings = ToySettings

    def __init__(self, settings, *, name, clock):
        pass


class Bare:
    pass


HERE = "test_registry_of_sources"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    import sys

    module = sys.modules[Toy.__module__]
    monkeypatch.setitem(sys.modules, HERE, module)
    points = [
        EntryPoint("toy", f"{HERE}:Toy", registry.GROUP),
        EntryPoint("broken", f"{HERE}:Broken", registry.GROUP),
        EntryPoint("bare", f"{HERE}:Bare", registry.GROUP),
        EntryPoint("gone", "no_such_module_anywhere:Toy", registry.GROUP),
        EntryPoint("twice", f"{HERE}:Toy", registry.GROUP),
        EntryPoint("twice", f"{HERE}:Bare", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])


def test_all_installed_names_are_listed():
    assert source_names() == ["bare", "broken", "gone", "toy", "twice"]


def test_a_source_is_made_with_its_settings_its_name_and_its_clock():
    clock = VirtualClock()
    source = make_source("toy", {"port": "/dev/x", "rate_hz": 2000}, name="forearm", clock=clock)
    assert isinstance(source, Toy)
    assert source.settings == ToySettings("/dev/x", 2000.0)
    assert source.name == "forearm"
    assert source.clock is clock


def test_without_a_clock_it_gets_the_hosts():
    assert isinstance(make_source("toy", {"port": "x"}, name="a").clock, MonotonicClock)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("tyo", r"no source is called 'tyo' \(did you mean toy\?\); installed: bare, broken, gone, toy, twice"),
        ("zzzzz", "no source is called 'zzzzz'; installed: bare"),
        ("gone", "'gone' .* cannot be loaded: No module named"),
        ("bare", "'bare' .* has no dataclass Settings"),
        ("twice", "'twice' is claimed by .*Bare and .*Toy"),
    ],
)
def test_a_name_that_is_of_no_use_says_why(kind, said):
    with pytest.raises(UnknownSource, match=said):
        find_source(kind)


def test_a_class_that_is_no_source_is_refused():
    with pytest.raises(UnknownSource, match="Broken has not all of open, read, close"):
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
    with pytest.raises(BadSettings, match=said) as caught:
        make_source("toy", settings, name="a")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("source 'toy': ")
