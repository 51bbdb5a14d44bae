"""Which parts of a session were simulated: as its rig tells beforehand, as the record keeps it, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIMULATED = "simulated"
#: Begins the keys of the record's metadata.
PREFIX = "origin."
_EMG = {"live": "measured live", "recorded": "recorded from a file", "simulated": "simulated"}
_STIMULATION = {"device": "stimulation by a device", "simulated": "stimulation simulated", "none": "no stimulation"}
EVERYTHING = "No person was on the electrodes: everything here was simulated."


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the parts of a session came from.

    Attributes
    ----------
    emg
        Of the sources: ``live``, ``recorded`` or ``simulated``; several joined by ``+``.
    stimulation
        ``device``, ``simulated``, or ``none`` where nothing could stimulate.
    body
        Whose body was stimulated, or heard where none was: ``person`` (rigs of class HUMAN), ``simulated`` (a virtual
        subject), or ``none`` (a dummy load, or nothing).
    """

    emg: str
    stimulation: str
    body: str

    @property
    def simulated(self) -> bool:
        """Whether any part was."""
        return SIMULATED in (*self.emg.split("+"), self.stimulation, self.body)

    @property
    def everything(self) -> bool:
        """Whether every part was, as far as there was one."""
        rest = {self.stimulation, self.body} - {"none"}
        return self.emg == SIMULATED and rest <= {SIMULATED}

    def metadata(self) -> dict[str, str]:
        """What the record says of it."""
        return {
            "simulated": "true" if self.simulated else "false",
            f"{PREFIX}emg": self.emg,
            f"{PREFIX}stimulation": self.stimulation,
            f"{PREFIX}body": self.body,
        }

    def in_words(self) -> str:
        """One sentence; empty where there is nothing that a reader would not expect."""
        if self.everything:
            return EVERYTHING
        if self.emg == "live" and not self.simulated:
            return ""
        text = ", ".join(self._parts())
        return f"{text[:1].upper()}{text[1:]}."

    def stamp(self) -> str:
        """A word or two for whatever shows a part of the session; empty where nothing was simulated."""
        if not self.simulated:
            return ""
        return "SIMULATED" if self.everything else "PARTLY SIMULATED"

    def stamp_in_full(self) -> str:
        """The same with which parts, for what may be shown alone, as a figure."""
        partly = self.simulated and not self.everything
        return f"{self.stamp()}: {', '.join(self._parts())}" if partly else self.stamp()

    def _parts(self) -> tuple[str, str]:
        emg = " and ".join(_EMG.get(part, part) for part in self.emg.split("+"))
        return _STIMULATION.get(self.stimulation, self.stimulation), f"EMG {emg}"


def origins_in(metadata: Mapping[str, str]) -> Origins | None:
    """Read it from a record's metadata; None where it is not there."""
    found = [metadata.get(f"{PREFIX}{part}") for part in ("emg", "stimulation", "body")]
    emg, stimulation, body = found
    return Origins(emg, stimulation, body) if emg and stimulation and body else None
