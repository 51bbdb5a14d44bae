"""Open the operator's page in the browser of this desktop."""

from __future__ import annotations

import threading
import webbrowser

from myoloop.experiments.console.security import ENTER_PATH, Origin, Role, Tokens, now_s


def open_browser(origin: Origin, tokens: Tokens) -> None:
    """Open it, without waiting for the browser; where there is none, the printed address is there."""
    # The address stands in the list of processes, which every user of this host may read: good for one use only.
    token = tokens.to_enter_once(Role.OPERATOR, now_s())
    address = f"{origin.url}{ENTER_PATH}?token={token}"
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
