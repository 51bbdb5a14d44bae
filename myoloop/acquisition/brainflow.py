"""Any board that BrainFlow can reach: EMG, accelerometer and gyroscope.

Values travel as the doubles BrainFlow hands over (microvolt, g, degrees per second); what makes them SI stands in
the descriptor. Its stamps are the times at which the host's library had a sample: kept as `device_t`, not believed.
The package counter is followed where it is known how the board counts, so that a loss is a jump of `first_sample`;
it travels as the channel ``package``.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from myoloop.acquisition.blocks import BlockMaker
from myoloop.acquisition.boards import COUNTERS, STAND_INS, Preset, board_id, load_brainflow, presets
from myoloop.acquisition.counter import CounterRule
from myoloop.acquisition.source import Block, Ended, Foreseen, Origin, Reading, SourceError, SourceMistake
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import SampleDescriptor

_VOLT_PER_MICROVOLT = 1e-6
_STANDARD_GRAVITY = 9.80665
_RADIAN_PER_DEGREE = math.pi / 180.0
_BUFFER_SAMPLES = 450_000
#: What is no board but makes its samples up, or has them from a file.
_NOT_LIVE: dict[str, Origin] = {"SYNTHETIC_BOARD": "simulated", "PLAYBACK_FILE_BOARD": "recorded"}


@dataclass(frozen=True, slots=True)
class BoardCounter:
    """How a board's package counter counts; `wrap` 0 where it is of no use."""

    wrap: int = 256
    step: int = 1


@dataclass(frozen=True, slots=True)
class BrainFlowSettings:
    """Which board, and where it is.

    Attributes
    ----------
    board
        As BrainFlow writes it: ``CYTON_BOARD``, ``SYNTHETIC_BOARD``, …
    serial_port, mac_address, ip_address, ip_port, ip_protocol, serial_number, other_info, timeout_s
        How to reach it, as far as the board needs it; `ip_protocol` is ``udp`` or ``tcp``.
    file, file_aux, master_board
        For ``PLAYBACK_FILE_BOARD`` (what BrainFlow wrote, and the board that did) and ``STREAMING_BOARD``.
    signals
        ``emg``: the channels BrainFlow knows as EMG; ``exg``: those it knows as EEG, on a board without EMG.
    channels
        Which of them, from 1, in order; all if empty.
    imu
        Whether accelerometer and gyroscope are wanted, where there are any.
    counter
        How the package counter counts; None takes the board's known rule, ``wrap: 0`` ignores the counter.
    commands
        Sent to the board before it streams, in the board's own language.
    rail_uv
        Amplitude at which the amplifier saturates, microvolt.
    mains_hz
        Mains frequency here.
    block_ms
        Length of a block.
    silent_s
        The board is gone when nothing has come for so long.
    """

    board: str
    serial_port: str = ""
    mac_address: str = ""
    ip_address: str = ""
    ip_port: int = 0
    ip_protocol: Literal["", "udp", "tcp"] = ""
    serial_number: str = ""
    other_info: str = ""
    timeout_s: int = 0
    file: str = ""
    file_aux: str = ""
    master_board: str = ""
    signals: Literal["emg", "exg"] = "emg"
    channels: tuple[int, ...] = ()
    imu: bool = True
    counter: BoardCounter | None = None
    commands: tuple[str, ...] = ()
    rail_uv: float | None = None
    mains_hz: float = 50.0
    block_ms: float = 10.0
    silent_s: float = 5.0


@dataclass(slots=True)
class _Stream:
    """One of the source's streams: rows of a preset."""

    descriptor: SampleDescriptor
    preset: Preset
    rows: tuple[int, ...]
    maker: BlockMaker


@dataclass(slots=True)
class _Poll:
    """A preset that is asked for data, and the streams in it."""

    preset: Preset
    streams: list[_Stream] = field(default_factory=list)


class BrainFlowSource:
    """A board, as a source.

    Parameters
    ----------
    settings
        Which board.
    name
        Of the node; its topics are ``emg/<name>`` and ``imu/<name>``.
    clock
        What blocks are stamped with.
    """

    Settings = BrainFlowSettings

    def __init__(self, settings: BrainFlowSettings, *, name: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock or MonotonicClock()
        self._shim: Any = None
        self._polls: list[_Poll] = []
        self._rows_left: int | None = None
        self._heard = 0.0
        self._begun = False

    def open(self) -> tuple[SampleDescriptor, ...]:
        """Find the board, begin its stream and describe it."""
        settings = self._settings
        self._look()
        brainflow = load_brainflow()
        self._shim = brainflow.BoardShim(board_id(settings.board), self._parameters(brainflow))
        try:
            self._shim.prepare_session()
            for command in settings.commands:
                self._shim.config_board(command)
            if self._rows_left is None:
                self._shim.start_stream(_BUFFER_SAMPLES)
        except brainflow.BrainFlowError as error:
            self.close()
            raise self._error(self._why(brainflow, error)) from None
        self._begun = False
        return self._descriptors()

    def foresee(self) -> Foreseen:
        """What BrainFlow's description of the board says of its streams."""
        self._look()
        return Foreseen(_NOT_LIVE.get(self._settings.board, "live"), self._descriptors())

    def read(self, wait_s: float) -> list[Reading]:
        """A whole block as soon as there is one, and all that came with it; part of one only if its rest is overdue.

        The first reading begins: what a board has sent before is left out, and a file begins to play.
        """
        if self._shim is None:
            raise self._error("not open")
        brainflow = load_brainflow()
        deadline = time.monotonic() + wait_s
        try:
            self._begin()
            while (pause := self._until_block()) > 0 and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(pause, left))
            silent_s = time.monotonic() - self._heard
            readings: list[Reading] = []
            if pause <= 0 or silent_s > 2e-3 * self._settings.block_ms:
                for poll in self._polls:
                    readings += self._take(poll)
        except brainflow.BrainFlowError as error:
            raise self._error(f"the board is gone: {error}") from None
        if readings:
            self._heard = time.monotonic()
        if self._rows_left is not None and self._rows_left <= 0:
            readings.append(Ended(f"{self._settings.file}: at its end"))
        elif not readings and silent_s > self._settings.silent_s:
            raise self._error(f"nothing has come for {self._settings.silent_s:g} s")
        return readings

    def close(self) -> None:
        """Stop the stream and release the board, natively too, before Python ends."""
        shim, self._shim = self._shim, None
        if shim is not None:
            with contextlib.suppress(load_brainflow().BrainFlowError):
                shim.stop_stream()
            with contextlib.suppress(load_brainflow().BrainFlowError):
                shim.release_session()
            del shim

    def _look(self) -> None:
        """Find out what there is without touching the board."""
        settings = self._settings
        stands_in = settings.board in STAND_INS
        if stands_in and not settings.master_board:
            raise self._mistake("master_board", "missing; which board wrote the data?")
        board = settings.master_board if stands_in else settings.board
        try:
            found = presets(board)
        except SourceMistake as error:
            raise SourceMistake(*error.problems, setting="master_board" if stands_in else "board") from None
        self._polls = self._streams(board, found)
        self._rows_left = self._playback_rows(found) if settings.board == "PLAYBACK_FILE_BOARD" else None

    def _descriptors(self) -> tuple[SampleDescriptor, ...]:
        return tuple(stream.descriptor for poll in self._polls for stream in poll.streams)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._heard = time.monotonic()
        if self._rows_left is not None:
            self._shim.start_stream(_BUFFER_SAMPLES)
            return
        for poll in self._polls:
            self._shim.get_board_data(preset=poll.preset.number)

    def _streams(self, board: str, found: Sequence[Preset]) -> list[_Poll]:
        settings = self._settings
        first = found[0]
        emg = self._signal_rows(board, first)
        polls = {first.number: _Poll(first, [self._emg_stream(board, first, emg)])}
        inertial = next((preset for preset in found if preset.accelerometer or preset.gyroscope), None)
        wanted = settings.imu and inertial is not None
        if wanted and inertial is not first and settings.board in STAND_INS and not settings.file_aux:
            wanted = False
        if wanted and inertial is not None:
            polls.setdefault(inertial.number, _Poll(inertial)).streams.append(self._imu_stream(board, inertial))
        return list(polls.values())

    def _signal_rows(self, board: str, preset: Preset) -> tuple[int, ...]:
        settings = self._settings
        rows = preset.emg if settings.signals == "emg" else preset.exg
        if not rows:
            other = "; set `signals: exg` to take its EEG channels" if settings.signals == "emg" and preset.exg else ""
            raise self._mistake("signals", f"{board} has no {settings.signals.upper()} channels{other}")
        for number in settings.channels:
            if not 1 <= number <= len(rows):
                raise self._mistake("channels", f"found {number}, allowed 1 to {len(rows)}")
        return tuple(rows[number - 1] for number in settings.channels) or rows

    def _emg_stream(self, board: str, preset: Preset, rows: tuple[int, ...]) -> _Stream:
        numbers = self._settings.channels or range(1, len(rows) + 1)
        names = [f"emg{number}" for number in numbers]
        scale = [_VOLT_PER_MICROVOLT] * len(rows)
        return self._stream("emg", board, preset, rows, names, ["V"] * len(rows), scale, self._settings.rail_uv)

    def _imu_stream(self, board: str, preset: Preset) -> _Stream:
        rows = (*preset.accelerometer, *preset.gyroscope)
        acc, gyr = len(preset.accelerometer), len(preset.gyroscope)
        names = [f"acc_{axis}" for axis in "xyz"[:acc]] + [f"gyr_{axis}" for axis in "xyz"[:gyr]]
        units = ["m/s^2"] * acc + ["rad/s"] * gyr
        scale = [_STANDARD_GRAVITY] * acc + [_RADIAN_PER_DEGREE] * gyr
        return self._stream("imu", board, preset, rows, names, units, scale, None)

    def _stream(
        self,
        kind: str,
        board: str,
        preset: Preset,
        rows: tuple[int, ...],
        names: list[str],
        units: list[str],
        scale: list[float],
        rail: float | None,
    ) -> _Stream:
        rule = self._rule(board)
        counted = "" if rule else ", package counter not followed"
        if preset.counter is not None:
            rows, names = (*rows, preset.counter), [*names, "package"]
            units, scale = [*units, "1"], [*scale, 1.0]
        descriptor = SampleDescriptor(
            topic=f"{kind}/{self._name}",
            rate_hz=preset.rate_hz,
            dtype="<f8",
            channels=tuple(names),
            units=tuple(units),
            scale=tuple(scale),
            offset=(0.0,) * len(names),
            rail_low=None if rail is None else -rail,
            rail_high=rail,
            mains_hz=self._settings.mains_hz,
            device=f"BrainFlow {self._settings.board}{f' ({board})' if board != self._settings.board else ''}{counted}",
        )
        return _Stream(descriptor, preset, rows, BlockMaker(descriptor.topic, rule))

    def _rule(self, board: str) -> CounterRule | None:
        given = self._settings.counter
        if given is None:
            return COUNTERS.get(board)
        try:
            return CounterRule(given.wrap, given.step) if given.wrap else None
        except ValueError as error:
            raise self._mistake("counter", str(error).removeprefix("counter: ")) from None

    def _parameters(self, brainflow: Any) -> Any:
        settings = self._settings
        parameters = brainflow.BrainFlowInputParams()
        for key in ("serial_port", "mac_address", "ip_address", "ip_port", "serial_number", "other_info"):
            setattr(parameters, key, getattr(settings, key))
        parameters.file, parameters.file_aux = settings.file, settings.file_aux
        parameters.timeout = settings.timeout_s
        if settings.ip_protocol:
            parameters.ip_protocol = brainflow.IpProtocolTypes[settings.ip_protocol.upper()].value
        if settings.master_board:
            parameters.master_board = board_id(settings.master_board)
        return parameters

    def _playback_rows(self, found: Sequence[Preset]) -> int:
        """Rows in the file, after a look at whether the master board can have written it."""
        path = Path(self._settings.file)
        try:
            with path.open(encoding="ascii") as file:
                line = file.readline()
                columns = len(line.replace(",", "\t").strip().split("\t"))
                if columns != found[0].rows:
                    raise SourceMistake(
                        f"{path}:1: found {columns} columns, {self._settings.master_board} writes {found[0].rows}"
                    )
                return 1 + sum(1 for _ in file)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "not text"
            raise self._mistake("file", f"{path}: {why.lower()}" if self._settings.file else "missing") from None

    def _until_block(self) -> float:
        """Seconds until the first stream should have a block, by its rate; 0 when one has."""
        block_s = self._settings.block_ms / 1e3
        pauses: list[float] = []
        for poll in self._polls:
            # Rather shorter blocks than longer ones: a stream whose blocks come too rarely counts as slow.
            due = max(1, math.floor(poll.preset.rate_hz * block_s + 1e-9))
            if self._rows_left is not None and poll is self._polls[0]:
                due = min(due, max(1, self._rows_left))
            count = int(self._shim.get_board_data_count(poll.preset.number))
            if count >= due:
                return 0.0
            pauses.append(max((due - count) / poll.preset.rate_hz / 2, 0.0005))
        return min(pauses)

    def _take(self, poll: _Poll) -> list[Reading]:
        data = self._shim.get_board_data(preset=poll.preset.number)
        t_ns = self._clock.now_ns()
        n = data.shape[1]
        if n == 0:
            return []
        if self._rows_left is not None and poll is self._polls[0]:
            self._rows_left -= n
        readings: list[Reading] = []
        for stream in poll.streams:
            readings += self._blocks(stream, data, t_ns)
        return readings

    def _blocks(self, stream: _Stream, data: Any, t_ns: int) -> list[Block]:
        preset = stream.preset
        array = np.ascontiguousarray(data[list(stream.rows)].T)
        stamps = None if preset.timestamp is None else data[preset.timestamp]
        counts = None if preset.counter is None else data[preset.counter]
        return stream.maker.make(array, t_ns, stamps, counts)

    def _why(self, brainflow: Any, error: Any) -> str:
        codes = brainflow.BrainFlowExitCodes
        given = {
            key: value
            for key in ("serial_port", "mac_address", "ip_address", "ip_port", "serial_number", "file")
            if (value := getattr(self._settings, key))
        }
        said = ", ".join(f"{key} {value!r}" for key, value in given.items()) or "nothing about where it is"
        if error.exit_code == codes.UNABLE_TO_OPEN_PORT_ERROR.value:
            return f"cannot be opened ({said})"
        if error.exit_code == codes.INVALID_ARGUMENTS_ERROR.value:
            return f"needs other settings to be reached, or is not there; given is {said}"
        return f"does not stream ({said}): {error}"

    def _error(self, why: str) -> SourceError:
        return SourceError(f"brainflow {self._settings.board}: {why}")

    def _mistake(self, setting: str, why: str) -> SourceMistake:
        return SourceMistake(f"brainflow {self._settings.board}: {setting}: {why}", setting=setting)
