"""Who is at the other end of a port: questions only, nothing that could stimulate."""

from __future__ import annotations

import time
from collections.abc import Callable

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode import commands
from myoloop.stimulators.sciencemode.answers import Answer, Battery, DeviceId, StimStatus, Version, result_text
from myoloop.stimulators.sciencemode.commands import Command
from myoloop.stimulators.sciencemode.link import Asked, Link, Purpose
from myoloop.stimulators.sciencemode.profiles import PROFILES, Profile
from myoloop.stimulators.serial_port import SerialTransport
from myoloop.stimulators.transport import Transport

BAUD_RATE = 3_000_000
_LOOK_S = 0.002
#: Switching the high voltage takes the device up to 80 ms.
_ANSWER_S = 1.0
_IDENTIFY_S = 0.4


def open_port(port: str) -> Transport:
    """The port, opened exclusively as the makers say: 3 000 000 baud, 8 bits, 2 stop bits, no parity, RTS/CTS.

    Raises
    ------
    DriverError
        If there is no such port or it is taken.
    """
    return SerialTransport(port, baud_rate=BAUD_RATE, stop_bits=2, rts_cts=True)


def identify(port: str) -> str:
    """Ask what is at a port for its number, version and state; opens and closes it, changes nothing.

    Raises
    ------
    DriverError
        If the port cannot be opened, or nothing there speaks ScienceMode 3 or 4.
    """
    link = Link(open_port(port))
    try:
        serial = _serial(link, time.sleep, _IDENTIFY_S)
        for profile in PROFILES.values():
            version = _question(link, _version_command(profile), time.sleep, _IDENTIFY_S)
            if isinstance(version, Version) and version.result == 0 and version.protocol[0] == profile.protocol:
                status = _question(link, Command.GET_STIM_STATUS, time.sleep, _IDENTIFY_S)
                return f"{_name(profile, serial, version)}; {status if isinstance(status, StimStatus) else 'no status'}"
        return f"ScienceMode device {serial} of another kind (a measuring unit?)"
    except OSError as error:
        raise DriverError(f"port {port}: {error}") from None
    finally:
        link.close()


def identity_of(link: Link, profile: Profile, sleep: Callable[[float], None]) -> str:
    """Who it is, if it is what the rig says and stands still.

    Raises
    ------
    DriverError
        If it is another device, or says after a stop that it has not stopped.
    OSError
        If the port is gone.
    """
    serial = _serial(link, sleep, _ANSWER_S)
    version = _question(link, _version_command(profile), sleep, _ANSWER_S)
    if not isinstance(version, Version) or version.result:
        raise DriverError(
            f"device {serial}: the rig says {profile.name}, which tells its version; this one says "
            f"{result_text(version.result)}"
        )
    if version.protocol[0] != profile.protocol:
        raise DriverError(
            f"device {serial}: speaks ScienceMode {_dotted(version.protocol)}, "
            f"a {profile.name} speaks {profile.protocol}"
        )
    status = _question(link, Command.GET_STIM_STATUS, sleep, _ANSWER_S)
    if status.result or not isinstance(status, StimStatus) or not status.stopped:
        says = result_text(status.result) if status.result else str(status)
        raise DriverError(f"{profile.name} {serial}: stopped, but the device says {says}: pull the leads")
    name = _name(profile, serial, version)
    if profile.protocol == 3:
        battery = _question(link, Command.GET_BATTERY_STATUS, sleep, _ANSWER_S)
        if isinstance(battery, Battery) and battery.result == 0:
            name += f", battery {battery.percent} %"
    return name


def wait_for(link: Link, asked: Asked, sleep: Callable[[float], None], within_s: float = _ANSWER_S) -> Answer:
    """Wait for the answer to a command; other answers are let go.

    Raises
    ------
    DriverError
        If no answer comes in time.
    OSError
        If the port is gone.
    """
    for _ in range(round(within_s / _LOOK_S)):
        for each, answer in link.receive()[0]:
            if each is asked:
                return answer
        sleep(_LOOK_S)
    raise DriverError(f"no answer to {Command(asked.command).name} within {within_s:g} s")


def _serial(link: Link, sleep: Callable[[float], None], within_s: float) -> str:
    answer = _question(link, Command.GET_DEVICE_ID, sleep, within_s)
    if not isinstance(answer, DeviceId) or answer.result:
        raise DriverError(f"the device does not say its number: {result_text(answer.result)}")
    return answer.serial


def _question(link: Link, command: Command, sleep: Callable[[float], None], within_s: float) -> Answer:
    asked = link.ask(lambda number: commands.plain(number, command), Purpose.ASK, command, 0)
    return wait_for(link, asked, sleep, within_s)


def _version_command(profile: Profile) -> Command:
    return Command.GET_EXTENDED_VERSION if profile.protocol >= 4 else Command.GET_VERSION_MAIN


def _name(profile: Profile, serial: str, version: Version) -> str:
    return f"{profile.name} {serial}, firmware {_dotted(version.firmware)}, ScienceMode {_dotted(version.protocol)}"


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
