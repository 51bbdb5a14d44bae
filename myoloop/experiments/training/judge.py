"""Whether an envelope was kept, judged by what the device did and by nothing that the gate says.

All of it is that of the delivered pulses. The time between two pulses closer together than a period of 12 Hz is time
on, whatever the output did between them; any other is rest. Charge is that of each pulse: the one that reaches a limit
may be the last. So both count as the gate is to book: it books never less than a device can have given.
"""

from __future__ import annotations

import math
from collections import Counter, deque

from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.gate import Envelope
from myoloop.stimulators.gate.ceilings import CEILINGS, CONTACT_FRACTION, LOAD_OHM

#: Root mean squares are taken over this.
_RMS_NS = 1_000_000_000
#: Pulses closer together than this, a period of 12 Hz in whole nanoseconds, are a train.
_TRAIN_NS = 83_333_333
#: What is right but for a rounding error is right.
_NEARLY = 1.0 + 1e-9
#: A train that is stopped in time may have one more cycle.
_LATE_NS = 10_000_000


class Judge:
    """Counts what an envelope of one channel does not allow.

    Attributes
    ----------
    violations
        By limit: how many pulses, or spans of time, broke it.
    peak_ma, charge_mc, pulses, last_ns
        Of all pulses so far; charge per phase; when the newest was.
    most_ma
        The most that a pulse may have.
    """

    def __init__(self, envelope: Envelope) -> None:
        ceiling = CEILINGS[envelope.waveform_class]
        channel = envelope.channels[0]
        contact_cm2 = channel.pad_area_cm2 * CONTACT_FRACTION
        self.most_ma = min(channel.current_max_ma, ceiling.current_ma)
        self._most_uc = min(envelope.charge_per_phase_uc, ceiling.charge_per_phase_uc)
        self._phase_us = envelope.phase_us
        # The three limits on the mean are one: of the r.m.s. current.
        self._rms_ma = min(
            envelope.rms_ma,
            ceiling.rms_ma,
            envelope.rms_density_ma_cm2 * contact_cm2,
            1e3 * math.sqrt(envelope.power_density_w_cm2 * contact_cm2 / LOAD_OHM),
        )
        self._period_ns = round(1e9 / envelope.rate_hz[1])
        self._on_ns = None if envelope.on_s_max is None else envelope.on_s_max * 1e9
        duty = envelope.duty_max
        self._payback = duty / max(duty, 1.0 - duty)
        self._session_mc, self._session_ns = envelope.session_charge_mc_max, envelope.session_on_s_max * 1e9
        self._recent: deque[tuple[int, float]] = deque()
        self._squares = 0.0
        self._used_ns = self._total_ns = 0.0
        self.last_ns: int | None = None
        self.violations: Counter[str] = Counter()
        self.peak_ma = self.charge_mc = 0.0
        self.pulses = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.violations.total()

    def feel(self, pulse: Pulse) -> None:
        """A pulse was delivered."""
        current_ma, width_us = pulse.current_ma, pulse.phase_us
        if not (math.isfinite(current_ma) and math.isfinite(width_us) and current_ma > 0.0 and width_us > 0.0):
            self.violations["a number"] += 1
            return
        self.pulses += 1
        charge_uc = current_ma * 1e-3 * width_us
        self.peak_ma = max(self.peak_ma, current_ma)
        self.charge_mc += charge_uc * 1e-3
        self._at_most("current", current_ma, self.most_ma)
        self._at_most("charge per phase", charge_uc, self._most_uc)
        if not self._phase_us[0] <= width_us <= self._phase_us[1]:
            self.violations["phase width"] += 1
        if pulse.net_charge_nc != 0.0:
            self.violations["balance"] += 1
        self._follow(pulse.t_ns, current_ma, width_us)
        self._at_most("session charge", self.charge_mc, self._session_mc + charge_uc * 1e-3)

    def _follow(self, t_ns: int, current_ma: float, width_us: float) -> None:
        """What hangs on the pulses before: rate and root mean square."""
        since_ns = None if self.last_ns is None else t_ns - self.last_ns
        self.last_ns = t_ns
        if since_ns is not None:
            if since_ns < self._period_ns - 1:
                self.violations["rate"] += 1
            self._pass_time(since_ns)
        square = 2.0 * width_us * 1e-6 * current_ma**2
        self._recent.append((t_ns, square))
        self._squares += square
        while self._recent[0][0] <= t_ns - _RMS_NS:
            self._squares -= self._recent.popleft()[1]
        # A second may begin and end with a pulse: one more than its rate says.
        self._at_most("r.m.s. current", math.sqrt(max(0.0, self._squares - square)), self._rms_ma)

    def _pass_time(self, since_ns: int) -> None:
        """So long between two pulses."""
        if since_ns >= _TRAIN_NS:
            self._used_ns = max(0.0, self._used_ns - self._payback * since_ns)
            return
        self._used_ns += since_ns
        self._total_ns += since_ns
        if self._on_ns is not None:
            self._at_most("time on and duty", self._used_ns, self._on_ns + _LATE_NS)
        self._at_most("session time", self._total_ns, self._session_ns + _LATE_NS)

    def _at_most(self, limit: str, value: float, most: float) -> None:
        if not value <= most * _NEARLY:
            self.violations[limit] += 1
