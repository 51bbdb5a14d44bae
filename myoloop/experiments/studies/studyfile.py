"""The optional ``study.yaml`` of a study folder: its time zone, who may override, and the station's devices."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, Field

from myoloop.experiments.protocols.fields import Strict, Text
from myoloop.experiments.screening.equipment import Device
from myoloop.platform.yamlfile import load_model

STUDY_FILE = "study.yaml"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("allowed is the IANA name of a time zone, like Europe/Berlin") from None
    return name


class RegisteredDevice(Strict):
    """A stimulator of the station.

    Attributes
    ----------
    safety_test_until
        Last day on which its safety test is in force.
    self_test_at, self_test_passed
        Its last self-test on the dummy load.
    """

    serial: Text
    model: Text
    standard: Text
    safety_test_until: date | None = None
    self_test_at: AwareDatetime | None = None
    self_test_passed: bool = False

    def device(self) -> Device:
        """As screening takes it."""
        tested: datetime | None = self.self_test_at
        until = self.safety_test_until
        return Device(self.serial, self.model, self.standard, until, tested, self.self_test_passed)


class StudyFile(Strict):
    """What holds for a whole study.

    Attributes
    ----------
    zone
        Whose days the course counts.
    override_roles
        Who may lift the gap between sessions and the week's cap for one session.
    """

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    override_roles: tuple[Text, ...] = Field(default=())
    devices: tuple[RegisteredDevice, ...] = ()


def load_study(study: Path | str) -> StudyFile:
    """Read it; a study without one has the defaults.

    Raises
    ------
    FileError
        With every mistake in it.
    """
    path = Path(study) / STUDY_FILE
    return load_model(path, StudyFile) if path.exists() else StudyFile()
