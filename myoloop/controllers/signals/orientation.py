"""Orientation of one inertial sensor from its gyroscope and accelerometer, and the vertical as it sees it.

The filter is VQF (Laidig and Seel 2023) without a magnetometer: it follows the gyroscope, corrects the inclination by
the accelerometer's low-passed direction of gravity, and estimates the gyroscope's bias at rest and in movement. The
heading is only that of the gyroscope; nothing corrects it.

A quaternion (w, x, y, z) turns a vector from the sensor's frame into one whose z axis points up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from vqf import VQF

from myoloop.controllers.signals.snapshot import Restorable, StateError, freeze_array, thaw_array

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)


class Orientation(Restorable):
    """The sensor's orientation, sample by sample.

    Parameters
    ----------
    rate_hz
        Of gyroscope and accelerometer.
    tau_s
        Time constant with which the accelerometer corrects the inclination.

    Raises
    ------
    ValueError
        If one of them is not above 0.
    """

    def __init__(self, rate_hz: float, tau_s: float = 3.0) -> None:
        if not (rate_hz > 0.0 and tau_s > 0.0):
            raise ValueError(f"rate_hz is {rate_hz}, tau_s is {tau_s}: both must be above 0")
        self._rate_hz, self._tau_s = rate_hz, tau_s
        self._filter = self._new()
        self.quaternion: Quaternion = IDENTITY

    def add(self, gyroscope_rad_s: Floats, accelerometer_m_s2: Floats) -> Floats:
        """Take in (n, 3) samples of each, in rad/s and m/s^2, all finite; give back their (n, 4) quaternions."""
        out: Floats = self._filter.updateBatch(
            np.ascontiguousarray(gyroscope_rad_s), np.ascontiguousarray(accelerometer_m_s2)
        )["quat6D"]
        if len(out):
            w, x, y, z = out[-1].tolist()
            self.quaternion = (w, x, y, z)
        return out

    def start_again(self) -> None:
        """Forget the orientation, because the sensor turned unseen; what is known of the gyroscope's bias is kept."""
        before = self._filter.state
        self._filter = self._new()
        self._filter.state = {**self._filter.state, "bias": before["bias"], "biasP": before["biasP"]}
        self.quaternion = IDENTITY

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        return {"vqf": freeze_array(_flat(self._filter.state)), "quaternion": list(self.quaternion)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not that of such a filter (also: of another version of the library that holds other values).
        """
        if set(state) != {"vqf", "quaternion"}:
            raise StateError("state of Orientation: not one")
        # Through a new filter: its coefficients belong to the settings and are not part of what is saved.
        fresh = self._new()
        template = fresh.state
        size = len(_flat(template))
        values = thaw_array(state["vqf"], "Orientation.vqf", (size,), np.dtype(np.float64)).tolist()
        restored: dict[str, Any] = {}
        at = 0
        for name, like in template.items():
            if isinstance(like, list):
                restored[name] = values[at : at + len(like)]
                at += len(like)
            else:
                restored[name] = type(like)(values[at])
                at += 1
        fresh.state = restored
        self._filter = fresh
        w, x, y, z = state["quaternion"]
        self.quaternion = (w, x, y, z)

    def _new(self) -> Any:
        return VQF(1.0 / self._rate_hz, tauAcc=self._tau_s)


def _flat(state: Mapping[str, Any]) -> Floats:
    """VQF's state as numbers, in its own order: NaN, which it starts with, survives as bytes."""
    values: list[float] = []
    for value in state.values():
        values.extend(value) if isinstance(value, list) else values.append(value)
    return np.array(values, dtype=np.float64)


def up(quaternion: Quaternion) -> Vector:
    """The upward vertical in the sensor's frame."""
    w, x, y, z = quaternion
    return 2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)
