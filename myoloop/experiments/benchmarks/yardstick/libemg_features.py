"""RMS, MNF and MDF of windows by LibEMG, timed: ``python libemg_features.py signal.npy window step``.

It stands alone, because LibEMG needs a NumPy below 2 and so mostly an environment of its own: whatever Python has it
runs this file, on the signal that ours was timed on in the same run, and prints what it found as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

FEATURES = ("RMS", "MNF", "MDF")
REPEATS = 3


def main(path: str, window: int, step: int) -> None:
    """Print the quickest time in seconds and each feature's mean."""
    from libemg.feature_extractor import FeatureExtractor
    from libemg.utils import get_windows

    signal = np.load(path)
    extractor, best_s = FeatureExtractor(), float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        windows = get_windows(signal, window, step)
        told = extractor.extract_features(list(FEATURES), windows)
        best_s = min(best_s, time.perf_counter() - began)
    # One window of each channel at a time, as it would be asked online.
    newest = windows[:1]
    steps = []
    for _ in range(200):
        began = time.perf_counter()
        extractor.extract_features(list(FEATURES), newest)
        steps.append(time.perf_counter() - began)
    means = {name: float(np.mean(told[name])) for name in FEATURES}
    found = {"seconds": best_s, "step_us": 1e6 * float(np.median(steps)), "windows": len(windows), "means": means}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
