"""myoloop: closed-loop, EMG-guided electrical stimulation for research.

Research software, not a medical device.
"""

__version__ = "0.1.0"
