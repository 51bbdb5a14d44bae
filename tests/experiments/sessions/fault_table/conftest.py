"""A session with one fault in the middle of a train, and what its record says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from myoloop.experiments.sessions.run import SessionEnd, prepare, run_lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.platform.messages import DeviceReport, Event, Message, StimReport, Vital
from myoloop.platform.recording.reader import Recording
from myoloop.platform.yamlfile import parse_yaml

TABLE = Path(__file__).parent / "table.yaml"
#: In the middle of the train.
IN_TRAIN = "when: {phase: train, trial: 1, state: hold, after: 2 s}"


def script_of(text: str) -> Script:
    return Script.model_validate(parse_yaml(text)[0])


@dataclass
class Played:
    """A session that is over."""

    end: SessionEnd
    recording: Recording
    _read: dict[str, list[Message]] = field(default_factory=dict)

    def messages(self, topic: str) -> list[Message]:
        if topic not in self._read:
            self._read[topic] = [each.received.message for each in self.recording.messages({topic})]
        return self._read[topic]

    @property
    def events(self) -> list[Event]:
        return [each for each in self.messages("event") if isinstance(each, Event)]

    def told(self, kind: str, why: str = "") -> list[Event]:
        return [each for each in self.events if each.kind == kind and why in f"{each.why} {each.values}"]

    @property
    def struck_ns(self) -> int:
        """When the fault was brought in, as the body has told."""
        return next(each.t_ns for each in self.events if each.kind == "injected")

    def began_pausing_ms(self) -> tuple[float, float]:
        """From the fault to when what was missing began, and to the pause, by the one event that tells of it."""
        (paused,) = self.told("paused")
        zero_ns = self.messages("phase")[0].t_ns
        began_ns = zero_ns + round(float(paused.values["began_session_s"]) * 1e9)
        return (began_ns - self.struck_ns) * 1e-6, (paused.t_ns - self.struck_ns) * 1e-6

    def pulses_ns(self) -> list[int]:
        """What the person was given, by the body's own account."""
        return [t_ns for each in self.messages("truth/pulse") for t_ns in each.pulses_ns]

    def ms_to_zero(self, since_ns: int | None = None) -> float:
        """From the fault to the last pulse before a pause of half a second at least."""
        begin_ns = self.struck_ns if since_ns is None else since_ns
        pulses = [t_ns for t_ns in self.pulses_ns() if t_ns > begin_ns - 100_000_000]
        last_ns = begin_ns
        for t_ns in pulses:
            if t_ns - last_ns > 500_000_000:
                break
            last_ns = max(last_ns, t_ns)
        return (last_ns - begin_ns) * 1e-6

    def reports_after(self, after_ms: float = 0.0) -> list[StimReport]:
        begin_ns = self.struck_ns + round(after_ms * 1e6)
        return [each for each in self.messages("report") if isinstance(each, StimReport) and each.t_ns > begin_ns]

    def vitals(self, topic: str = "vital/amplifier") -> list[Vital]:
        return [each for each in self.messages(topic) if isinstance(each, Vital) and each.t_ns > self.struck_ns]

    def device(self) -> list[DeviceReport]:
        return [each for each in self.messages("device") if isinstance(each, DeviceReport)]


@pytest.fixture
def play(tmp_path) -> Callable[..., Played]:
    """Play the table's protocol (or another) with a script."""

    def played(script: str, protocol: Path = TABLE, subject: str = "SIM:able_bodied") -> Played:
        acts = script_of(script)
        setup = prepare(str(protocol), subject=subject, rig=None, study=tmp_path / "study", seed=1, script=acts)
        end = run_lockstep(setup, script=acts)
        return Played(end, Recording.open(end.folder))

    return played


@pytest.fixture
def strike(play) -> Callable[[str], Played]:
    """Bring in a fault in mid train."""
    return lambda fault, **more: play(f"acts: [{{{IN_TRAIN}, do: {{fault: {{{fault}}}}}}}]", **more)
