"""Before whom the processes of the loop get a core, where the system lets them ask.

Under load an ordinary process waits for milliseconds each time it wakes up. From a sample to the driver three
processes wake up one after another, so those three ask for real-time scheduling: the stimulator before the others,
because it is the one that takes current away. Everybody else (recorder, director, supervisor, the operator's page)
stays ordinary. Without the right to ask (``CAP_SYS_NICE`` or a limit on ``rtprio``) all stays as it was.
"""

from __future__ import annotations

import os
import sys

#: Real-time priority by role, 1 the lowest. A process that hangs at one still leaves the stimulator its core, and the
#: system's own throttle leaves everybody else a share.
PRIORITIES = {"stimulator": 3, "acquisition": 2, "controller": 1}


def ask_for_priority(role: str) -> bool:
    """Ask for a role's scheduling, for this process and the threads it is going to start; True if it was given.

    Asked on machines with two cores and more only: on one core a controller that hangs would keep the operator's
    processes from running.
    """
    priority = PRIORITIES.get(role)
    if priority is None or sys.platform != "linux" or (os.cpu_count() or 1) < 2:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    except OSError:
        return False
    return True
