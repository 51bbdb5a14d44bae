"""The truth, for everything that an estimator estimates: what the virtual subject knows of itself.

Ten times a second ``fatigue``, ``velocity``, ``force``, ``joint`` and ``effort``; once a second what moves slowly:
``evoked``, ``mwave``, ``contact``, ``pain``, ``threshold``, and where there are any ``tremor`` and ``planted`` effects;
``spasm`` and ``pulse`` when they happen. Values of a muscle are under its name, or ``<name>.<what>`` where there are
several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.muscle import SHARES, Muscles, bins_recruited
from myoloop.experiments.subjects.mwave import Mwave
from myoloop.experiments.subjects.person import Decided, Person
from myoloop.experiments.subjects.spasms import Spasm
from myoloop.platform.messages import Truth
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.ledger import Pulse

TRUTH_PERIOD_NS = 100_000_000
SLOW_PERIOD_NS = 1_000_000_000
_MWAVE_STEP_S = 5e-5

Value = float | int | str | None


class Truths:
    """Says when it is time what is true.

    Parameters
    ----------
    channels
        Names of the EMG channels.
    start_ns
        When the person's time begins.
    """

    def __init__(self, person: Person, fibres: Muscles, channels: Sequence[str], start_ns: int) -> None:
        self._person, self._fibres = person, fibres
        self._names = [site.name for site in person.sites]
        self._channels = tuple(channels)
        self._mwaves = [Mwave(own) for own in person.muscles]
        self._share: list[float | None] = [None] * len(self._names)
        self._next_ns, self._slow_ns = start_ns + TRUTH_PERIOD_NS, start_ns + SLOW_PERIOD_NS

    def told(
        self, t_ns: int, pulses: Sequence[Pulse], decided: Decided, contact: npt.NDArray[np.float64]
    ) -> list[Outgoing]:
        """What is told of a span that ends at `t_ns`, after it was lived through.

        Parameters
        ----------
        contact
            Of each EMG channel.
        """
        truths = self._of_pulses(pulses)
        for arrived in decided.arrived:
            self._share[arrived.muscle] = arrived.share
        for spasm, ended in ((decided.ended, True), (decided.began, False)):
            if spasm is not None:
                truths.append(self._of_spasm(spasm, ended))
        if t_ns >= self._next_ns:
            self._next_ns = _after(self._next_ns, TRUTH_PERIOD_NS, t_ns)
            truths += _outgoing(t_ns, self._often(decided))
        if t_ns >= self._slow_ns:
            self._slow_ns = _after(self._slow_ns, SLOW_PERIOD_NS, t_ns)
            truths += _outgoing(t_ns, self._seldom(contact))
        return truths

    def by_muscle(self, values: npt.NDArray[np.float64]) -> dict[str, float]:
        """Values of all muscles by their names."""
        return dict(zip(self._names, values.tolist(), strict=True))

    def _often(self, decided: Decided) -> dict[str, Mapping[str, Value]]:
        total = decided.activation[:, -1].tolist()
        effort: dict[str, Value] = dict(self._person.effort.truth())
        for name, willed, all_of_it in zip(self._names, decided.willed.tolist(), total, strict=True):
            effort[f"{name}.voluntary"] = willed
            effort[f"{name}.total"] = all_of_it
        fibres = self._fibres
        return {
            "fatigue": self.by_muscle(fibres.fatigue),
            "velocity": self.by_muscle(fibres.velocity),
            "force": self.by_muscle(fibres.force_n),
            "joint": self._person.limb.truth(),
            "effort": effort,
        }

    def _seldom(self, contact: npt.NDArray[np.float64]) -> dict[str, Mapping[str, Value]]:
        person = self._person
        capacity = self._fibres.evoked_capacity.tolist()
        told: dict[str, Mapping[str, Value]] = {
            "evoked": {
                name: None if math.isnan(kept) else kept for name, kept in zip(self._names, capacity, strict=True)
            },
            "contact": dict(zip(self._channels, contact.tolist(), strict=True)),
            "pain": person.pain.truth(),
            "threshold": person.drift.truth(self._names),
        }
        if any(share is not None for share in self._share):
            told["mwave"] = self._mwave()
        if person.parameters.tremor_depth > 0.0 or person.parameters.tremor_torque_n_m > 0.0:
            told["tremor"] = person.tremor.truth()
        if person.parameters.is_planted:
            told["planted"] = person.planted.truth()
        return told

    def _mwave(self) -> dict[str, Value]:
        """The M-wave of each muscle that was stimulated, as a pulse like the last one evokes it now."""
        values: dict[str, Value] = {}
        for number, (name, share) in enumerate(zip(self._names, self._share, strict=True)):
            if share is None:
                continue
            velocity, amplitude = self._fibres.velocity_by_bin[number], self._fibres.mwave_by_bin[number]
            since_s = np.arange(0.0, self._mwaves[number].lasts_s(velocity), _MWAVE_STEP_S)
            fibres = bins_recruited(share) * SHARES
            wave_v = self._mwaves[number].evoked_v(0, since_s, fibres, velocity, amplitude, 0.0)
            values[f"{name}.ptp_mv"] = float(np.ptp(wave_v)) * 1e3
            values[f"{name}.width_ms"] = abs(int(wave_v.argmax()) - int(wave_v.argmin())) * _MWAVE_STEP_S * 1e3
            values[f"{name}.recruited"] = share
        return values

    def _of_pulses(self, pulses: Sequence[Pulse]) -> list[Outgoing]:
        told: dict[tuple[int, float, float], list[int]] = {}
        for pulse in pulses:
            told.setdefault((pulse.output, pulse.current_ma, pulse.phase_us), []).append(pulse.t_ns)
        truths = []
        for (output, current_ma, phase_us), times in told.items():
            site = self._person.outputs.get(output)
            values: dict[str, Value] = {
                "output": output,
                "channel": site[1] if site is not None else None,
                "current_ma": current_ma,
                "phase_us": phase_us,
            }
            truths.append(Outgoing("truth/pulse", Truth(t_ns=times[-1], values=values, pulses_ns=tuple(times))))
        return truths

    def _of_spasm(self, spasm: Spasm, ended: bool) -> Outgoing:
        values: dict[str, Value] = {
            "muscle": self._names[spasm.muscle],
            "kind": spasm.kind,
            "level": spasm.level,
            "onset_ns": spasm.onset_ns,
            "end_ns": spasm.end_ns if ended else None,
            "clonus_hz": spasm.clonus_hz if spasm.kind == "clonus" else None,
            "joined": " ".join(self._names[other] for other in spasm.muscles[1:]),
        }
        t_ns = spasm.end_ns if ended else spasm.onset_ns
        return Outgoing("truth/spasm", Truth(t_ns=t_ns, values=values))


def _after(due_ns: int, period_ns: int, t_ns: int) -> int:
    """The first time due after `t_ns`."""
    return due_ns + period_ns * ((t_ns - due_ns) // period_ns + 1)


def _outgoing(t_ns: int, told: Mapping[str, Mapping[str, Value]]) -> list[Outgoing]:
    return [Outgoing(f"truth/{what}", Truth(t_ns=t_ns, values=dict(values))) for what, values in told.items()]
