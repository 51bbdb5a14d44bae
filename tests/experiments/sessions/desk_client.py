"""A console without pages: a process that attaches to a running rig, looks on, and serves it when it is told to.

Run by a test as ``python desk_client.py RUNTIME NAME``; each line on standard input is an order (``serve``, ``stop``),
each on standard output one thing seen: a phase as it changes, or the answer to an act.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

from myoloop.platform.bus import Bus
from myoloop.platform.messages import Answer, Command, Phase
from myoloop.platform.process import read_rig_file
from myoloop.platform.runtime import RuntimeFolder

#: A held button is said again so often.
AGAIN_NS = 100_000_000
#: What is pressed sooner is taken for an answer to the step before.
REACTION_NS = 250_000_000
WORDS = {3.0: "sensory", 6.0: "motor", 9.0: "tolerance"}


class Client:
    """One person at one page, and the person with the pads beside them."""

    def __init__(self, runtime: Path, name: str) -> None:
        rig = read_rig_file(runtime)
        self.bus = Bus(RuntimeFolder(runtime), "console", session=rig["session"])
        self.bus.subscribe(rig["nodes"], ["phase"])
        self.name, self.phase, self.serving = name, None, False
        self.numbers = itertools.count()
        self.asked = {}
        self.raised_ns = self.again_ns = 0
        self.done = set()

    def turn(self) -> None:
        self.bus.wait(0.02, (0,))
        for received in self.bus.heard():
            if isinstance(received.message, Phase):
                self.see(received.message)
        for received in self.bus.answers():
            if isinstance(received.message, Answer):
                kind = self.asked.pop(received.message.id)
                if kind == "serve" and not received.message.ok:
                    # What is refused for now is pressed again after a while.
                    self.done.clear()
                    self.again_ns = time.monotonic_ns() + REACTION_NS
                self.say(answer=kind, ok=received.message.ok, reason=received.message.reason)
        now_ns = time.monotonic_ns()
        if self.serving and self.phase is not None and not self.asked and now_ns >= self.again_ns:
            self.act(self.phase, now_ns)

    def see(self, phase: Phase) -> None:
        self.phase = phase
        self.say(
            state=phase.state, waiting_for=phase.waiting_for, kind=phase.kind, trial_state=phase.trial_state,
            trial=phase.trial, t_ns=phase.t_ns,
        )  # fmt: skip

    def act(self, phase: Phase, now_ns: int) -> None:
        wait = (phase.waiting_for, phase.index, phase.trial)
        if phase.waiting_for == "form":
            self.ask("form", form=phase.forms[0], values={"current": 2})
        elif phase.kind == "calibration" and phase.arm_id:
            self.calibrate(phase, now_ns)
        elif phase.waiting_for in ("confirm", "arm", "arm_calibration", "approve_envelope") and wait not in self.done:
            self.done.add(wait)
            self.ask("serve", waiting_for=phase.waiting_for)

    def calibrate(self, phase: Phase, now_ns: int) -> None:
        level_ma = phase.targets[0].current_ma
        felt = phase.trial_state == "hold" and now_ns - phase.t_state_ns > REACTION_NS and level_ma not in self.done
        if felt and level_ma in WORDS:
            self.done.add(level_ma)
            self.ask("felt", who="subject", what=WORDS[level_ma])
        elif now_ns - self.raised_ns >= AGAIN_NS:
            self.raised_ns = now_ns
            self.ask("raise", channel=phase.targets[0].channel)

    def ask(self, kind: str, *, who: str = "", **arguments) -> None:
        identity = f"{self.name}-{next(self.numbers)}"
        self.asked[identity] = kind
        self.bus.ask(
            Command(
                t_ns=time.monotonic_ns(), id=identity, kind=kind, target="supervisor",
                who=who or f"operator {self.name}", arguments=arguments,
            )
        )  # fmt: skip

    def say(self, **seen) -> None:
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


def main() -> None:
    client = Client(Path(sys.argv[1]), sys.argv[2])
    os.set_blocking(0, False)
    while client.phase is None or client.phase.state != "ended":
        client.turn()
        try:
            order = os.read(0, 64)
        except BlockingIOError:
            continue
        if not order:
            break
        if order.startswith(b"stop"):
            client.ask("stop", who="subject")
        client.serving = client.serving or order.startswith(b"serve")
    client.bus.close()


if __name__ == "__main__":
    main()
