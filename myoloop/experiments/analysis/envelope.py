"""The EMG's envelope for looking at: what a session's samples themselves say, whatever the controller made of them.

Band-pass (4th-order Butterworth's gain at 20 Hz and at the lesser of 450 Hz and 0.45 of the rate, forwards and
backwards, so without delay), then RMS over a sliding window. Invalid samples and the time around each pulse
(stimulation artifact and M-wave) are bridged by straight lines before filtering and left out of the RMS; where less
than a tenth of a window is left, nothing is said.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from myoloop.experiments.analysis.tracks import Floats, Mask, SampleTrack

BAND_HZ = (20.0, 450.0)
WINDOW_S = 0.1
SHARE_MIN = 0.1
#: Left out before and after a pulse's leading edge: artifact and M-wave.
PULSE_S = (0.001, 0.015)
#: Each envelope point is this far from the next.
HOP_S = 0.01


def emg_envelope(track: SampleTrack, channel: str, pulses_s: Floats) -> tuple[Floats, Floats]:
    """RMS envelope of one channel.

    Parameters
    ----------
    track, channel
        The stream and which of its channels; a channel in V.
    pulses_s
        Times of all pulses that may show in it.

    Returns
    -------
    tuple of ndarray
        Time (s) and RMS in uV, one point per 10 ms; NaN where it cannot be told.
    """
    rate_hz = track.rate_hz
    column = track.record.descriptor.channels.index(channel)
    values = track.channel(channel).astype(np.float64) * 1e6
    good = ~track.record.invalid[:, column] & np.isfinite(values) & ~_near(track.t_s, pulses_s)
    hop, window = max(1, round(HOP_S * rate_hz)), max(1, round(WINDOW_S * rate_hz))
    high_hz = min(BAND_HZ[1], 0.45 * rate_hz)
    if len(values) < 4 * window or good.sum() < window or high_hz <= BAND_HZ[0]:
        return np.empty(0), np.empty(0)
    at = np.arange(len(values))
    bridged = np.interp(at, at[good], values[good])
    filtered = _band_pass(bridged, rate_hz, BAND_HZ[0], high_hz)
    power = np.append(0.0, np.cumsum(np.where(good, filtered * filtered, 0.0)))
    count = np.append(0, np.cumsum(good))
    centre = np.arange(hop // 2, len(values), hop)
    low = np.maximum(0, centre - window // 2)
    top = np.minimum(len(values), centre + (window + 1) // 2)
    n = count[top] - count[low]
    enough = n >= SHARE_MIN * (top - low)
    rms = np.sqrt(np.maximum(power[top] - power[low], 0.0) / np.maximum(n, 1))
    return track.t_s[centre], np.where(enough, rms, np.nan)


def _band_pass(values: Floats, rate_hz: float, low_hz: float, high_hz: float) -> Floats:
    """Filter the whole signal at once in the frequency domain.

    A 4th-order Butterworth's gain is 1 / sqrt(1 + (f / f_c)^8) as low-pass and 1 / sqrt(1 + (f_c / f)^8) as high-pass;
    forwards and backwards squares it.
    """
    # Its own mean removed and half a second or more of nothing appended, so that the end does not run into the
    # beginning, and to a length of small factors: half an hour takes a tenth of the time.
    n = next_fast_len(len(values) + round(0.5 * rate_hz), real=True)
    f_hz = np.fft.rfftfreq(n, 1.0 / rate_hz)
    ratio = low_hz / np.maximum(f_hz, 1e-9)
    gain = 1.0 / ((1.0 + ratio**8) * (1.0 + (f_hz / high_hz) ** 8))
    filtered: Floats = np.fft.irfft(np.fft.rfft(values - values.mean(), n) * gain, n)[: len(values)]
    return filtered


def _near(t_s: Floats, pulses_s: Floats) -> Mask:
    """Samples too close to a pulse."""
    if not len(pulses_s):
        return np.zeros(len(t_s), np.bool_)
    pulses = np.sort(pulses_s)
    before = np.searchsorted(pulses, t_s - PULSE_S[1], "left")
    after = np.searchsorted(pulses, t_s + PULSE_S[0], "right")
    near: Mask = after > before
    return near
