"""Values of Ding's model of 2003 by an independent integrator at 0.05 ms, which agrees with cocofest's own tests.

``tests/data/ding_golden.json`` has them all; these are the ones that the benchmark tells of.
"""

from __future__ import annotations

TWITCH_PEAK_N = 99.47469
#: Of a train of 1 s by its rate in Hz: mean of the last 200 ms, N.
FORCE_FREQUENCY_N = {
    5.0: 68.78355,
    10.0: 153.81207,
    12.5: 177.61738,
    20.0: 234.17865,
    25.0: 251.35651,
    33.0: 269.01141,
    40.0: 279.23537,
    50.0: 289.33284,
    80.0: 305.32621,
    100.0: 310.86901,
}
#: Trains of 1 s on, 1 s off at 33 Hz: peak by number of the train, N.
NINETY_TRAINS_N = {
    1: 270.89042,
    2: 272.06737,
    5: 270.15446,
    10: 252.76789,
    20: 196.87875,
    30: 150.21681,
    45: 114.04333,
    60: 101.13969,
    75: 96.93166,
    90: 95.59704,
}
#: The same after so many seconds of rest, N.
RECOVERY_N = {30: 163.40492, 60: 206.59896, 120: 250.23401, 300: 272.24419}
#: Sixty trains of 1 s on, 1 s off by rate: peak of the first and of the last one, N.
SIXTY_TRAINS_N = {
    20.0: (236.4496, 101.37843),
    33.0: (270.89042, 101.13969),
    50.0: (291.69603, 100.69252),
    100.0: (314.06288, 99.6847),
}
#: 60 s at 33 Hz: mean over the second about this one, N.
SUSTAINED_N = {2: 271.79666, 5: 269.72762, 10: 250.69009, 20: 185.61149, 30: 127.25435, 45: 79.5752, 59: 62.61796}
