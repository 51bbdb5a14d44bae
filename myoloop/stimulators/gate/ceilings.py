"""What no protocol, participant or device may widen: constants of the code, one row per waveform class.

The figures are an engineering proposal, not a standard; ``docs/safety.md`` says what each rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

#: Requests older than this on arrival are refused.
REQUEST_AGE_MAX_NS = 50_000_000
#: A request stamped further in the future than this comes from a broken clock.
REQUEST_FUTURE_MAX_NS = 5_000_000
#: No request is good for longer than this from its own stamp.
LEASE_MAX_MS = 120
#: A watched peer that has been silent for longer is dead.
PEER_DEAD_NS = 150_000_000
#: The protocol's state is stale after this.
PHASE_STALE_NS = 300_000_000
#: How much later than the next a command may reach a device: 5 to 15 ms over USB, and a cycle.
RESTART_MARGIN_NS = 25_000_000
#: A device that has not acknowledged for this long is at fault.
ACK_TIMEOUT_NS = 250_000_000
#: Two cycles further apart than this, or backwards, are a fault of the clock or of the host.
CYCLE_MAX_NS = 100_000_000
#: Boot time gaining this much on monotonic time means that the host slept.
SUSPEND_MAX_NS = 50_000_000
#: After a latch: healthy for this long, and this long since the latch, before it can be acknowledged.
HEALTHY_NS = 3_000_000_000
LOCKOUT_NS = 10_000_000_000
#: In calibration, acts of the operator are at least this far apart.
CALIBRATION_STEP_NS = 300_000_000
#: Stop bytes are written in this many cycles in a row.
STOP_REPEATS = 3
#: A setting is refreshed at least this often while its lease lives; the device's own lease is longer.
REFRESH_NS = 50_000_000
#: Part of a pad that is assumed to stick (a half-lifted pad cannot be seen).
CONTACT_FRACTION = 0.5
#: Load that energy and power are reckoned with.
LOAD_OHM = 500.0
#: At and below this rate pulses are single twitches, and on-time and duty are not limited.
TETANIC_ABOVE_HZ = 12.0
#: Time without current that is shorter is no rest: the pulses before and after it are not single twitches.
REST_MIN_NS = ceil(1e9 / TETANIC_ABOVE_HZ)
#: No pad smaller than this.
PAD_AREA_MIN_CM2 = 6.0
#: Longest ramp that a pause may take.
PAUSE_RAMP_MAX_S = 3.0
#: No stream may be older than this, whatever an envelope says.
SENSOR_AGE_MAX_MS = 200.0


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Hard limits of one waveform class.

    Attributes
    ----------
    current_ma, charge_per_phase_uc, rms_ma
        Per channel.
    rms_density_ma_cm2, power_density_w_cm2
        Over the part of the pad that is assumed to stick.
    phase_us, rate_hz
        Allowed range, both ends included.
    on_s_max
        Longest uninterrupted tetanic train; None where the class is continuous.
    """

    current_ma: float
    phase_us: tuple[float, float]
    rate_hz: tuple[float, float]
    charge_per_phase_uc: float
    rms_ma: float
    rms_density_ma_cm2: float
    power_density_w_cm2: float
    channels_max: int
    on_s_max: float | None
    duty_max: float
    session_s_max: float
    step_ma: float
    new_ground_ma_per_s: float
    known_ground_ramp_s_min: float


CEILINGS: dict[str, Ceiling] = {
    "nmes": Ceiling(130.0, (50.0, 500.0), (1.0, 120.0), 50.0, 25.0, 2.0, 0.1, 8, 20.0, 0.5, 3600.0, 5.0, 20.0, 0.1),
    "tens": Ceiling(60.0, (40.0, 300.0), (1.0, 150.0), 15.0, 15.0, 1.0, 0.1, 4, None, 1.0, 3600.0, 5.0, 20.0, 0.1),
    "microcurrent": Ceiling(
        1.0, (100.0, 1_000_000.0), (0.3, 1000.0), 500.0, 1.0, 0.2, 0.01, 2, None, 1.0, 3600.0, 0.05, 0.5, 0.1
    ),
}
