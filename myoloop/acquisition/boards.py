"""BrainFlow's boards: what each one has, without opening it, and a rig file to begin with."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from myoloop.acquisition.counter import CounterRule
from myoloop.acquisition.source import SourceError, SourceMistake

_CHANNELS = {"accelerometer": "accel_channels", "gyroscope": "gyro_channels"}

#: Boards whose package counter is known. Of the others none is assumed: many count radio packets of several samples.
COUNTERS = {
    "SYNTHETIC_BOARD": CounterRule(256, 1),
    "CYTON_BOARD": CounterRule(256, 1),
    "CYTON_WIFI_BOARD": CounterRule(256, 1),
    "FREEEEG32_BOARD": CounterRule(256, 1),
    # two radio packets of eight channels make one sample
    "CYTON_DAISY_BOARD": CounterRule(256, 2),
}

#: Boards that stand for another one, named by `master_board`.
STAND_INS = ("PLAYBACK_FILE_BOARD", "STREAMING_BOARD")


@dataclass(frozen=True, slots=True)
class Preset:
    """One of the streams a board sends, in BrainFlow's row numbers.

    Attributes
    ----------
    number
        BrainFlow's preset: 0 default, 1 auxiliary, 2 ancillary.
    rate_hz
        Nominal rate.
    rows
        How many rows an array of this preset has.
    emg, exg, accelerometer, gyroscope
        Rows of the channels; `exg` are those that BrainFlow calls EEG.
    counter, timestamp
        Rows of the package counter and of BrainFlow's stamp; None where there is none.
    """

    number: int
    rate_hz: float
    rows: int
    emg: tuple[int, ...]
    exg: tuple[int, ...]
    accelerometer: tuple[int, ...]
    gyroscope: tuple[int, ...]
    counter: int | None
    timestamp: int | None


def load_brainflow() -> ModuleType:
    """Import BrainFlow and load its native library, quietly.

    Raises
    ------
    SourceError
        If it is not installed, or has no library for this machine.
    """
    with warnings.catch_warnings():
        # it finds its library through pkg_resources on Python < 3.12
        warnings.filterwarnings("ignore", message=".*pkg_resources.*")
        try:
            import brainflow
        except (ImportError, OSError) as error:
            raise SourceError(f"brainflow cannot be loaded on this machine: {error}") from None
        try:
            brainflow.BoardShim.disable_board_logger()
        except (brainflow.BrainFlowError, OSError) as error:
            raise SourceError(f"brainflow has no native library for this machine: {error}") from None
    found: ModuleType = brainflow
    return found


def board_names() -> list[str]:
    """Every board that BrainFlow knows."""
    return [board.name for board in load_brainflow().BoardIds if board.name != "NO_BOARD"]


def board_id(name: str) -> int:
    """BrainFlow's number of a board.

    Raises
    ------
    SourceMistake
        If it knows none of that name.
    """
    names = board_names()
    if name not in names:
        near = difflib.get_close_matches(name.upper(), names, n=3, cutoff=0.5)
        raise SourceMistake(
            f"brainflow knows no board {name!r}; "
            + (f"did you mean {' or '.join(near)}?" if near else "`CYTON_BOARD` is how they are written"),
            setting="board",
        )
    return int(load_brainflow().BoardIds[name].value)


def presets(name: str) -> list[Preset]:
    """The streams of a board, default first.

    Raises
    ------
    SourceMistake
        If BrainFlow does not know the board, or has no description of it.
    """
    if name in STAND_INS:
        raise SourceMistake(f"{name} stands for another board: name that as master_board", setting="board")
    number = board_id(name)
    brainflow = load_brainflow()
    try:
        found = sorted(brainflow.BoardShim.get_board_presets(number))
        return [_preset(preset, brainflow.BoardShim.get_board_descr(number, preset)) for preset in found]
    except brainflow.BrainFlowError as error:
        raise SourceMistake(f"brainflow has no description of {name}: {error}", setting="board") from None


def describe_board(name: str) -> dict[str, Any]:
    """What a board has, for people and JSON.

    Returns
    -------
    dict
        ``board``, ``rate_hz``, ``emg``, ``exg``, ``accelerometer``, ``gyroscope`` (numbers of channels),
        ``imu_rate_hz`` (None without), ``counter`` (``wrap`` and ``step``, None where not known).

    Raises
    ------
    SourceError
        As `presets`.
    """
    first, *others = presets(name)
    inertial = next((preset for preset in (first, *others) if preset.accelerometer or preset.gyroscope), None)
    rule = COUNTERS.get(name)
    return {
        "board": name,
        "rate_hz": first.rate_hz,
        "emg": len(first.emg),
        "exg": len(first.exg),
        "accelerometer": len(inertial.accelerometer) if inertial else 0,
        "gyroscope": len(inertial.gyroscope) if inertial else 0,
        "imu_rate_hz": inertial.rate_hz if inertial else None,
        "counter": {"wrap": rule.wrap, "step": rule.step} if rule else None,
    }


def board_rig(name: str, rig_id: str = "my_rig") -> str:
    """A rig file for a board, to be edited: a BENCH rig, and a virtual subject that lends its simulated stimulator.

    It runs as it is: EMG comes from the board, nobody is stimulated.

    Raises
    ------
    SourceError
        As `presets`, or if the board has no channel that can carry EMG.
    """
    board = describe_board(name)
    count = board["emg"] or board["exg"]
    if not count:
        raise SourceMistake(f"{name} has no channel that can carry EMG", setting="board")
    settings = [f"      board: {name}", *(f"      {line}" for line in _connection(name))]
    if not board["emg"]:
        settings.append(
            "      signals: exg   # the board calls them EEG channels; its rate and filters may not suit EMG"
        )
    sensors = [
        f"{board[what]} {what} channels" for what in ("emg", "exg", *_CHANNELS) if board[what]
    ]  # exg and emg are often the same electrodes
    muscles = ["ext", "flex"][:count]
    imu = ["imu: {source: forearm}"] if board["accelerometer"] or board["gyroscope"] else []
    return "\n".join(
        [
            f"# {name}: {board['rate_hz']:g} Hz; {', '.join(sensors)}",
            f"rig: {{id: {rig_id}, class: BENCH}}      # SIM | BENCH | HUMAN",
            "nodes:",
            "  forearm:",
            "    role: acquisition",
            "    source: brainflow",
            "    settings:",
            *settings,
            "      mains_hz: 50",
            "  controller: {role: controller}",
            "  # A simulated stimulator, on the body of a virtual subject: no current flows anywhere. With a device",
            "  # of your own take its driver, and leave out body, and stimulated_person below.",
            "  stimulator: {role: stimulator, driver: simulated, settings: {}}",
            "  body: {role: subject}",
            "  director: {role: director}",
            "  recorder: {role: recorder}",
            f"emg:                                  # the protocol's muscle -> channel, emg1 to emg{count}",
            *(f"  {muscle}: {{source: forearm, channel: emg{number}}}" for number, muscle in enumerate(muscles, 1)),
            *imu,
            "stimulation:                          # the protocol's channel -> output and pad",
            *(f"  {muscle}: {{output: {number}, pad: 5x5 cm}}" for number, muscle in enumerate(muscles)),
            "stimulated_person: false              # whose EMG it is gets no current: no artifact in it",
            "",
        ]
    )


def _preset(number: int, description: dict[str, Any]) -> Preset:
    def rows(key: str) -> tuple[int, ...]:
        return tuple(int(row) for row in description.get(key, ()))

    return Preset(
        number=number,
        rate_hz=float(description["sampling_rate"]),
        rows=int(description["num_rows"]),
        emg=rows("emg_channels"),
        exg=rows("eeg_channels"),
        accelerometer=rows("accel_channels"),
        gyroscope=rows("gyro_channels"),
        counter=description.get("package_num_channel"),
        timestamp=description.get("timestamp_channel"),
    )


def _connection(name: str) -> list[str]:
    """The settings that say where the board is."""
    if name == "SYNTHETIC_BOARD":
        return []
    if "WIFI" in name or name.startswith(("GALEA", "NOTION", "CROWN", "EMOTIBIT")):
        return ["ip_address: 192.168.4.1", "ip_port: 6677"]
    if name.startswith(("CYTON", "FREEEEG", "NEUROPAWN", "BIOLISTENER", "GANGLION_BOARD")) or "BLED" in name:
        return ["serial_port: /dev/ttyUSB0"]
    return [
        "# serial_port: /dev/ttyUSB0        # or one of these, as the board is reached",
        "# mac_address: 00:00:00:00:00:00",
    ]
