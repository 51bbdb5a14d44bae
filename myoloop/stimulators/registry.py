"""Which drivers there are, by name: entry points of the group ``myoloop.drivers``.

A driver's settings have a field ``channels``: output number of each stimulation channel of the rig.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.platform.plugins import PluginError, find_plugin, plugin_settings
from myoloop.stimulators.driver import Driver, DriverError

GROUP = "myoloop.drivers"
BUILT_IN = {
    "analog": "myoloop.stimulators.analog:AnalogDriver",
    "openemsstim": "myoloop.stimulators.openemsstim:OpenEmsStimDriver",
    "sciencemode2": "myoloop.stimulators.sciencemode2:RehaStim2Driver",
    "sciencemode34": "myoloop.stimulators.sciencemode.driver:ScienceMode34Driver",
    "simulated": "myoloop.stimulators.simulated:SimulatedDriver",
    "ttl_trigger": "myoloop.stimulators.ttl_trigger:TtlTriggerDriver",
}


def make_driver(name: str, settings: Mapping[str, Any], channels: Mapping[str, int]) -> Driver:
    """Make a driver, not yet open.

    Raises
    ------
    DriverError
        If there is none of that name, or its settings do not fit.
    """
    try:
        found = find_plugin(GROUP, BUILT_IN, name)
        checked = plugin_settings(f"driver {name!r}", found, {**settings, "channels": dict(channels)})
        driver = found(checked)
    except PluginError as error:
        raise DriverError(str(error)) from None
    if not isinstance(driver, Driver):
        raise DriverError(f"driver {name!r}: {found.__name__} lacks something of the Driver contract")
    return driver
