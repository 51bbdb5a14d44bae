"""RehaStim2 of Hasomed: the wire protocol ScienceMode 2."""

from myoloop.stimulators.sciencemode2.driver import RehaStim2Driver, RehaStim2Settings, identify

__all__ = ["RehaStim2Driver", "RehaStim2Settings", "identify"]
