"""Flexion-relaxation: whether the back muscles fall silent when the trunk hangs in full flexion.

In people without low-back pain the lumbar erectors are active while the trunk bends and relax at its end; in many
with chronic pain they do not. One cycle is: upright, bending, full flexion held, up again. The estimate is the RMS at
full flexion over the largest RMS while bending: small where they relax, about 1 where they do not. Its inverse is the
flexion-relaxation ratio of Neblett 2013.

Where the segment has an IMU, the phases are told by its tilt from how it hung upright; where it has none, by the names
of the protocol's phases. Posture alone says nothing here: what is told is always a ratio of measured EMG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.electrodes import ELECTRODE_OFF, ElectrodeWatch
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]

UPRIGHT, BENDING, FULL, RISING = range(4)
SHORT, NO_EMG, FAST = range(3)
_WHY = (
    "full flexion was not held long enough",
    "no usable EMG at full flexion",
    "no usable EMG while bending, or less than 1 s of it",
)
_SHARE_MIN = 0.15
_WINDOW_S = 0.25
#: Windows of full flexion that may reach into the movement: its first, its newest two.
_EDGE_WINDOWS = 3
#: Tilt is taken from the accelerometer's mean over about this long.
_SMOOTH_S = 0.2
#: A gravity of less or more than this is not gravity: the segment is being shaken.
_GRAVITY = (7.0, 13.0)
_NO_EMG = Measure(reason="no EMG")
_OFF = Measure(reason=ELECTRODE_OFF)


def relaxation(bending_uv: float, full_uv: float) -> float:
    """RMS at full flexion over the largest RMS while bending.

    Raises
    ------
    ValueError
        If a level is negative or not finite, or there was none while bending.
    """
    if not (math.isfinite(bending_uv) and bending_uv > 0):
        raise ValueError(f"bending_uv is {bending_uv:g}, allowed is above 0")
    if not (math.isfinite(full_uv) and full_uv >= 0):
        raise ValueError(f"full_uv is {full_uv:g}, allowed is 0 and above")
    return full_uv / bending_uv


def flexion_relaxation_ratio(bending_uv: float, full_uv: float) -> float:
    """Neblett's ratio, the inverse of :func:`relaxation`: high where the muscle relaxes.

    Raises
    ------
    ValueError
        If a level is not finite or not above 0.
    """
    if not full_uv > 0:
        raise ValueError(f"full_uv is {full_uv:g}, allowed is above 0")
    return 1.0 / relaxation(bending_uv, full_uv)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexionRelaxationSettings:
    """Which muscles, and how the phases of a flexion are told.

    Attributes
    ----------
    muscles
        Whose; names of muscles on other sources are passed over.
    bending_phase, full_phase
        Names of the protocol's phases while the person bends and hangs; empty: the IMU tells.
    flexion_min_deg
        A flexion that goes less far is none.
    upright_deg
        Nearer to upright than this the person stands.
    still_deg_s
        Full flexion is reached where the trunk is slower than this.
    held_s
        For so long it must be held.
    silent_ms
        Without EMG for so long nothing is known.

    Raises
    ------
    ValueError
        If a value is out of its range, or only one of the two phases is named.
    """

    muscles: tuple[str, ...] = ()
    bending_phase: str = ""
    full_phase: str = ""
    flexion_min_deg: float = 40.0
    upright_deg: float = 12.0
    still_deg_s: float = 8.0
    held_s: float = 1.0
    silent_ms: float = 150.0

    def __post_init__(self) -> None:
        if bool(self.bending_phase) != bool(self.full_phase):
            raise ValueError("bending_phase and full_phase: only one is named, allowed are both or none")
        if self.bending_phase and self.bending_phase == self.full_phase:
            raise ValueError(f"bending_phase and full_phase are both {self.full_phase!r}, they must differ")
        ranges = {
            "flexion_min_deg": (10.0, 150.0), "upright_deg": (2.0, 60.0), "still_deg_s": (1.0, 90.0),
            "held_s": (0.3, 30.0), "silent_ms": (20.0, 10_000.0),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}, allowed is {low:g} to {high:g}")
        if self.upright_deg >= self.flexion_min_deg:
            raise ValueError(
                f"upright_deg is {self.upright_deg:g}, allowed is below flexion_min_deg ({self.flexion_min_deg:g})"
            )


class FlexionRelaxation(Restorable):
    """RMS at full flexion over the largest while bending, of the newest whole flexion."""

    Settings = FlexionRelaxationSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_gravity", "_upright", "_upright_rows", "_tilt_deg", "_speed_deg_s", "_tilt_ns", "_state", "_deepest_deg",
        "_bending_uv", "_full_power", "_full_windows", "_levels", "_window", "_at", "_value", "_reason", "_counted",
        "_why", "_electrodes", "_heard_ns",
    )  # fmt: skip

    def __init__(self, settings: FlexionRelaxationSettings, setup: Setup) -> None:
        self._settings = settings
        muscles = len(setup.muscles)
        self._named = [name in settings.muscles for name in setup.muscles]
        self._any = any(self._named)
        self._imu = setup.imu if not settings.bending_phase else None
        self._marked = bool(settings.bending_phase)
        # In whole windows of 250 ms; the largest while bending is of four of them.
        self._hops = max(1, round(_WINDOW_S / setup.hop_s))
        self._held = max(1, math.ceil(settings.held_s / _WINDOW_S) - _EDGE_WINDOWS)
        self._window = 0
        self._levels: Floats = np.full((4, muscles), np.nan)
        self._at = 0
        self._gravity: Floats = np.zeros(3)
        self._upright: Floats = np.zeros(3)
        self._upright_rows = 0
        self._tilt_deg = 0.0
        self._speed_deg_s = 0.0
        self._tilt_ns: int | None = None
        self._state = UPRIGHT
        self._deepest_deg = 0.0
        self._bending_uv: Floats = np.zeros(muscles)
        self._full_power: Floats = np.zeros(muscles)
        self._full_windows = np.zeros(muscles, dtype=np.int64)
        self._value: Floats = np.full(muscles, np.nan)
        self._why = np.zeros(muscles, dtype=np.int64)
        self._counted = 0
        self._reason = "no flexion yet"
        if self._any and self._imu is None and not self._marked:
            self._reason = "no IMU on the segment and no phases of flexion are named"
        self._electrodes = ElectrodeWatch(muscles, setup.hop_s)
        self._heard_ns: int | None = None
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._told: list[Measure] = []
        self._heard_told: list[Measure] = []
        self._write()
        self._silent_told = [_NO_EMG if named else told for named, told in zip(self._named, self._told, strict=True)]

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop of the named muscles."""
        if not self._any:
            return
        self._heard_ns = heard.t_ns
        if self._electrodes.hear(heard).size:
            self._cover()
        if self._state in (UPRIGHT, RISING):
            return
        self._window += 1
        if self._window % self._hops:
            return
        if self._state == FULL and self._at >= _EDGE_WINDOWS:
            # The newest may be rising already.
            power = self._levels[(self._at - 2) % 4] ** 2
            known = np.isfinite(power)
            self._full_power[known] += power[known]
            self._full_windows[known] += 1
        self._levels[self._at % 4] = np.where(heard.level_share >= _SHARE_MIN, heard.level_uv, np.nan)
        self._at += 1
        if self._state == BENDING and self._at >= 4:
            second = np.sqrt(np.add.reduce(self._levels * self._levels, axis=0) / 4)
            self._bending_uv = np.fmax(self._bending_uv, second)

    def step(self, situation: Situation) -> None:
        """Follow the segment, or the protocol's phases."""
        if not self._any:
            return
        if self._marked:
            self._follow_phase(situation)
        elif self._imu is not None and situation.imu:
            for t_ns, rows in situation.imu:
                self._tilt(t_ns, rows[:, list(self._imu.accelerometer)], situation.baseline)
            self._follow_tilt()

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``flexion_relaxation``."""
        if self._heard_ns is not None and now_ns - self._heard_ns > self._silent_ns:
            return {"flexion_relaxation": self._silent_told}
        return {"flexion_relaxation": self._heard_told}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        super().restore(state)
        self._write()

    def _tilt(self, t_ns: int, acceleration: Floats, baseline: bool) -> None:
        if not len(acceleration) or not np.isfinite(acceleration).all():
            return
        mean = acceleration.mean(axis=0)
        if not _GRAVITY[0] <= float(np.linalg.norm(mean)) <= _GRAVITY[1]:
            return
        seconds = 0.0 if self._tilt_ns is None else (t_ns - self._tilt_ns) * 1e-9
        if self._tilt_ns is not None and seconds <= 0:
            return
        first = self._tilt_ns is None
        self._tilt_ns = t_ns
        keep = 0.0 if first else math.exp(-seconds / _SMOOTH_S)
        self._gravity = keep * self._gravity + (1.0 - keep) * mean
        # Upright is how the segment hangs at the baseline, or else in the first second.
        if self._upright_rows < 50 or (baseline and self._state == UPRIGHT and self._counted == 0):
            self._upright_rows += 1
            self._upright += (mean - self._upright) / min(self._upright_rows, 200)
        before = self._tilt_deg
        cosine = float(self._gravity @ self._upright) / float(
            np.linalg.norm(self._gravity) * np.linalg.norm(self._upright)
        )
        self._tilt_deg = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
        if not first:
            speed = (self._tilt_deg - before) / seconds
            self._speed_deg_s += (1.0 - keep) * (speed - self._speed_deg_s)

    def _follow_tilt(self) -> None:
        settings, tilt, speed = self._settings, self._tilt_deg, self._speed_deg_s
        if self._state == UPRIGHT:
            if tilt > settings.upright_deg and speed > 0:
                self._begin()
        elif tilt < settings.upright_deg:
            self._finish(settings.flexion_min_deg <= self._deepest_deg)
        elif self._state == BENDING:
            self._deepest_deg = max(self._deepest_deg, tilt)
            if tilt >= settings.flexion_min_deg and abs(speed) < settings.still_deg_s:
                self._enter_full()
        elif self._state == FULL:
            self._deepest_deg = max(self._deepest_deg, tilt)
            if speed <= -settings.still_deg_s:
                self._state = RISING
            elif speed >= settings.still_deg_s and self._full_windows.max() < self._held:
                # It had only paused on the way down.
                self._forget_full()
                self._levels[:] = np.nan
                self._at = self._window = 0
                self._state = BENDING

    def _follow_phase(self, situation: Situation) -> None:
        name = "" if situation.phase is None else situation.phase.name
        if name == self._settings.bending_phase:
            if self._state != BENDING:
                self._begin()
        elif name == self._settings.full_phase and self._state in (BENDING, FULL):
            if self._state == BENDING:
                self._enter_full()
        elif self._state != UPRIGHT:
            self._finish(True)

    def _begin(self) -> None:
        self._state = BENDING
        self._deepest_deg = self._tilt_deg
        self._bending_uv = np.zeros_like(self._bending_uv)
        self._levels[:] = np.nan
        self._at = self._window = 0
        self._forget_full()

    def _enter_full(self) -> None:
        self._state = FULL
        self._levels[:] = np.nan
        self._at = self._window = 0
        self._forget_full()

    def _forget_full(self) -> None:
        self._full_power[:] = 0.0
        self._full_windows[:] = 0

    def _finish(self, far: bool) -> None:
        self._state = UPRIGHT
        if not far:
            if not self._counted:
                self._reason = f"the trunk bent by {self._deepest_deg:.0f} degrees, too little"
                self._write()
            return
        known = (self._full_windows >= self._held) & (self._bending_uv > 0)
        full = np.sqrt(self._full_power / np.maximum(self._full_windows, 1))
        self._value = np.where(known, full / np.where(known, self._bending_uv, 1.0), np.nan)
        short = self._at < self._held + _EDGE_WINDOWS - 1
        self._why = np.where(self._bending_uv > 0, SHORT if short else NO_EMG, FAST)
        self._counted += 1
        self._write()

    def _write(self) -> None:
        told = []
        for named, value, why in zip(self._named, self._value.tolist(), self._why.tolist(), strict=True):
            if not named:
                told.append(Measure(reason="the muscle is not named for flexion-relaxation"))
            elif math.isfinite(value):
                told.append(Measure(value=value, valid=True, reason=""))
            elif not self._counted:
                told.append(Measure(reason=self._reason))
            else:
                told.append(Measure(reason=f"the newest flexion does not count: {_WHY[why]}"))
        self._told = told
        self._cover()

    def _cover(self) -> None:
        """Tell nothing of muscles whose channel is dead."""
        off = self._electrodes.off
        rows = zip(self._named, off, self._told, strict=True)
        self._heard_told = [_OFF if named and gone else told for named, gone, told in rows]
