"""How long things take with a RehaStim2, and how long they may."""

from __future__ import annotations

MS = 1_000_000
#: Without a valid packet for this long the device stops and forgets everything.
WATCHDOG_NS = 1200 * MS
#: Signs of life are not closer together.
FEED_NS = 400 * MS
#: The device answers within 100 ms; the line and this host may add to it.
ANSWER_NS = 150 * MS
#: An order that was not given again for this long is not carried out any more.
ORDER_NS = 100 * MS
#: For so long a stop that is not confirmed is said again; then silence lets the device's watchdog act.
STOP_SAID_NS = 200 * MS
SILENCE_NS = WATCHDOG_NS + 100 * MS
#: Only a fresh Init is acknowledged: the next one, 500 ms later, must not cross the answer.
INIT_FRESH_NS = 300 * MS
#: An Init so soon after its acknowledgement has crossed it, or the acknowledgement was lost.
INIT_AGAIN_NS = 600 * MS
#: A device that announces itself this much sooner than its watchdog allows has restarted by itself.
LAPSE_MARGIN_NS = 50 * MS
#: A device that has nothing to say announces itself every 500 ms; one that does not is not there.
ANNOUNCE_NS = 1000 * MS
