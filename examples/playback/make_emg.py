"""Write emg.csv: thirteen seconds of synthetic EMG, as an amplifier's program might export it. Nobody was recorded.

Rest with two efforts of the wrist extensors, at 4.5 s and at 8 s; 12-bit counts at 1 kHz.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

RATE_HZ, SECONDS = 1000, 13.0
EFFORTS_S = ((4.5, 6.1), (8.0, 9.6))
REST_MV, EFFORT_MV = 0.004, 0.15
#: The amplifier's: 4096 counts over 3 mV, 0 mV in the middle.
COUNTS_PER_MV, MIDDLE = 4096 / 3, 2048


def text() -> str:
    """The file."""
    time_s = np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ
    level_mv = np.full(len(time_s), REST_MV)
    for begin_s, end_s in EFFORTS_S:
        level_mv += EFFORT_MV * np.clip(np.minimum(time_s - begin_s, end_s - time_s) / 0.1, 0.0, 1.0)
    rng = np.random.Generator(np.random.PCG64(20))
    noise = np.fft.rfft(rng.standard_normal(len(time_s)))
    hz = np.fft.rfftfreq(len(time_s), 1 / RATE_HZ)
    # The spectrum of surface EMG, as Stulen and De Luca shape it: up from 60 Hz, down from 120 Hz.
    shaped = np.fft.irfft(noise * (hz / 60) ** 2 / ((1 + (hz / 60) ** 2) * (1 + (hz / 120) ** 2)), len(time_s))
    counts = np.clip(np.rint(shaped / shaped.std() * level_mv * COUNTS_PER_MV + MIDDLE), 0, 4095).astype(int)
    lines = ["# SYNTHETIC: made by make_emg.py, nobody was recorded", "sample,ext"]
    lines += [f"{number},{count}" for number, count in enumerate(counts.tolist())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("emg.csv")
    out.write_text(text(), encoding="utf-8")
