"""One session in BIDS: EMG as BDF with its sidecars, IMU as motion-BIDS, force beside the EMG."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import myoloop
from myoloop.experiments.analysis.mne_raw import Laid, Mark, lay_out, marks_of, unusable
from myoloop.experiments.exports.about import About
from myoloop.experiments.exports.bdf import labels_of, write_piece
from myoloop.experiments.exports.bids_events import write_events
from myoloop.experiments.exports.bidsfiles import ABSENT, label, write_json, write_table
from myoloop.experiments.exports.opened import Opened, Piece

_TYPES = {"m/s^2": "ACCEL", "rad/s": "GYRO", "T": "MAGN"}
_AXES = ("x", "y", "z")
#: As a channel's unit is written in BIDS, where it is another.
_UNITS = {"V": "uV", "1": ABSENT}


class BidsSession:
    """Writes one session into a data set.

    Parameters
    ----------
    root
        Folder of the data set.
    opened
        The session.
    about
        What the lab says of its recordings.

    Attributes
    ----------
    written
        The files, in order.
    """

    def __init__(self, root: Path, opened: Opened, about: About) -> None:
        self._opened, self._about = opened, about
        place = opened.place
        self.subject = label(opened.person or "unknown")
        self.session = f"{place.session:02d}" if place else "01"
        self.task = label(opened.session.metadata.get("protocol", "") or "recording")
        self.folder = root / f"sub-{self.subject}" / f"ses-{self.session}"
        self._begin = f"sub-{self.subject}_ses-{self.session}_task-{self.task}"
        self._end = f"_acq-att{place.attempt if place else 1}"
        self.written: list[Path] = []

    def write(self) -> list[Path]:
        """Write everything.

        Raises
        ------
        OSError, RecordingError
            If it cannot be written.
        """
        emg = [piece for piece in self._opened.pieces if piece.track.topic.startswith("emg/")]
        sources = {piece.track.topic for piece in emg}
        for piece in self._opened.pieces:
            kind = piece.track.topic.partition("/")[0]
            if kind == "emg":
                self._emg(piece, several=len(sources) > 1)
            elif kind == "imu":
                self._motion(piece)
            else:
                beside = next((each for each in emg if (each.number, each.of) == (piece.number, piece.of)), None)
                self._force(piece, "emg" if emg else "beh", beside)
        return self.written

    def _emg(self, piece: Piece, *, several: bool) -> None:
        stem = self._named(piece)
        if several:
            stem += f"_recording-{label(piece.track.topic.partition('/')[2])}"
        folder = self.folder / "emg"
        folder.mkdir(parents=True, exist_ok=True)
        laid = lay_out(piece.track)
        file = folder / f"{stem}_emg.bdf"
        padded = write_piece(self._opened, piece, laid, file)
        self.written.append(file)
        marks = self._marks(piece, laid)
        length = laid.samples.shape[1]
        if padded:
            rate_hz = piece.track.rate_hz
            marks.append(Mark(length / rate_hz, padded / rate_hz, "BAD_padding"))
        channels = [self._channel(piece, column, name) for column, name in enumerate(labels_of(piece))]
        self.written += [
            write_json(folder / f"{stem}_emg.json", self._emg_sidecar(piece, channels, length)),
            write_table(folder / f"{stem}_channels.tsv", list(channels[0]), channels),
            write_events(folder / f"{stem}_events.tsv", marks),
        ]
        electrodes = [_electrode(channel["name"]) for channel in channels if channel["type"] == "EMG"]
        if electrodes:
            self.written.append(write_table(folder / f"{stem}_electrodes.tsv", list(electrodes[0]), electrodes))

    def _channel(self, piece: Piece, column: int, name: str) -> dict[str, Any]:
        descriptor, bad = piece.track.record.descriptor, unusable(piece.track)
        plain, unit = descriptor.channels[column], descriptor.units[column]
        kind = "TRIG" if plain == descriptor.sync_channel else "EMG" if unit == "V" else "MISC"
        muscle = next(
            (s.muscle for s in self._opened.session.sites if (s.topic, s.channel) == (piece.track.topic, plain)), ""
        )
        invalid = float(bad[:, column].mean()) if len(bad) else 0.0
        return {
            "name": name,
            "type": kind,
            "units": _UNITS.get(unit, unit),
            "description": plain if plain != name else "",
            "signal_electrode": name if kind == "EMG" else "",
            "target_muscle": muscle if kind == "EMG" else "",
            "status": "bad" if invalid > 0.5 else "good",
            "status_description": f"{100 * invalid:.2g} % of the samples must not be used" if invalid else "",
        }

    def _emg_sidecar(self, piece: Piece, channels: list[dict[str, Any]], length: int) -> dict[str, Any]:
        descriptor = piece.track.record.descriptor
        kinds = [channel["type"] for channel in channels]
        return {
            **self._common(piece, "the EMG"),
            "EMGPlacementScheme": "Other",
            "EMGPlacementSchemeDescription": self._about.emg_placement or self._placement(),
            "EMGReference": self._about.emg_reference or self._reference(),
            "EMGGround": self._about.emg_ground,
            "SamplingFrequency": descriptor.rate_hz,
            "PowerLineFrequency": descriptor.mains_hz,
            "RecordingType": "continuous",
            "RecordingDuration": length / descriptor.rate_hz,
            "SoftwareFilters": ABSENT,
            "HardwareFilters": ABSENT,
            "EMGChannelCount": kinds.count("EMG"),
            "TriggerChannelCount": kinds.count("TRIG"),
            "MISCChannelCount": kinds.count("MISC"),
        }

    def _placement(self) -> str:
        if self._of_a_virtual_body():
            return "None: the EMG was simulated, electrodes and their places are parameters of a virtual subject."
        return "Not said by the recording; target_muscle in channels.tsv names the muscle that each channel is for."

    def _reference(self) -> str:
        if self._of_a_virtual_body():
            return "Bipolar"
        return "Not said by the recording"

    def _of_a_virtual_body(self) -> bool:
        origins = self._opened.session.origins
        return bool(self._opened.session.simulated) and (origins is None or origins.emg == "simulated")

    def _motion(self, piece: Piece) -> None:
        tracked = label(piece.track.topic.partition("/")[2])
        stem = self._named(piece, f"_tracksys-{tracked}")
        folder = self.folder / "motion"
        folder.mkdir(parents=True, exist_ok=True)
        laid = lay_out(piece.track)
        descriptor = piece.track.record.descriptor
        rows = [
            self._moved(name, unit, tracked) for name, unit in zip(descriptor.channels, descriptor.units, strict=True)
        ]
        kinds = [row["type"] for row in rows]
        file = folder / f"{stem}_motion.tsv"
        with file.open("x", encoding="ascii", newline="\n") as table:
            table.write(_numbers(with_holes(laid)))
        sidecar = {
            **self._common(piece, "the movement"),
            "SamplingFrequency": descriptor.rate_hz,
            "TrackingSystemName": piece.track.topic,
            "MissingValues": ABSENT,
            "RecordingDuration": laid.samples.shape[1] / descriptor.rate_hz,
            "TrackedPointsCount": 1,
            "MotionChannelCount": len(rows),
            **{f"{kind}ChannelCount": kinds.count(kind) for kind in ("ACCEL", "GYRO", "MAGN", "MISC")},
        }
        self.written += [
            file,
            write_json(folder / f"{stem}_motion.json", sidecar),
            write_table(folder / f"{stem}_channels.tsv", list(rows[0]), rows),
            write_events(folder / f"{stem}_events.tsv", self._marks(piece, laid)),
        ]

    @staticmethod
    def _moved(name: str, unit: str, tracked: str) -> dict[str, str]:
        axis = name[-1:].lower()
        kind = _TYPES.get(unit, "MISC")
        return {
            "name": name,
            "component": axis if kind != "MISC" and axis in _AXES else ABSENT,
            "type": kind,
            "tracked_point": tracked,
            "units": _UNITS.get(unit, unit),
        }

    def _force(self, piece: Piece, datatype: str, beside: Piece | None) -> None:
        named = f"{self._named(piece)}_recording-{label(piece.track.topic)}_physio"
        folder = self.folder / datatype
        folder.mkdir(parents=True, exist_ok=True)
        laid = lay_out(piece.track)
        descriptor = piece.track.record.descriptor
        file = folder / f"{named}.tsv.gz"
        # Neither a date nor a name in the head, so that the same input gives the same bytes.
        with file.open("xb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
            packed.write(_numbers(with_holes(laid)).encode("ascii"))
        columns = {
            name: {"Units": _UNITS.get(unit, unit)}
            for name, unit in zip(descriptor.channels, descriptor.units, strict=True)
        }
        sidecar = {
            **self._common(piece, "the force"),
            "SamplingFrequency": descriptor.rate_hz,
            "StartTime": float(piece.track.t_s[0] - beside.track.t_s[0]) if beside is not None else 0.0,
            "Columns": list(descriptor.channels),
            **columns,
        }
        self.written += [file, write_json(folder / f"{named}.json", sidecar)]

    def _named(self, piece: Piece, tracked: str = "") -> str:
        """Name its files; BIDS wants the tracking system before the attempt."""
        return f"{self._begin}{tracked}{self._end}" + (f"_run-{piece.number}" if piece.of > 1 else "")

    def _marks(self, piece: Piece, laid: Laid) -> list[Mark]:
        return marks_of(self._opened.session, [piece.track], [laid])

    def _common(self, piece: Piece, what: str) -> dict[str, Any]:
        session, made = self._opened.session, self._opened.provenance
        said: Mapping[str, str] = session.metadata
        step_s = piece.segment.step_s
        return {
            "TaskName": self.task,
            "TaskDescription": " ".join(
                ("Protocol", said.get("protocol") or "unknown", said.get("protocol_version", ""))
            ).strip(),
            "Manufacturer": self._about.manufacturer,
            "ManufacturersModelName": piece.track.record.descriptor.device,
            "SoftwareVersions": f"myoloop {said['version.myoloop']}" if said.get("version.myoloop") else "",
            "InstitutionName": self._about.institution,
            "Simulated": self._opened.simulated or "no",
            "SessionOutcome": made.get("outcome"),
            "ElectricalStimulation": bool(session.delivered()),
            "ClockSegment": f"{piece.number} of {piece.of}: {piece.segment.cause}" if piece.of > 1 else None,
            "ClockStepSeconds": step_s,
            "GeneratedBy": f"myoloop {myoloop.__version__}, {what} of {made['input']}",
            "InputSHA256": made["input_sha256"],
        }


def _electrode(name: str) -> dict[str, Any]:
    """What a channel's pair of electrodes is known by: its name, which `signal_electrode` tells; nobody measures where.

    The muscle that it is on stands in ``channels.tsv``.
    """
    return {"name": name, **dict.fromkeys(("x", "y", "z", "type", "material"), ABSENT)}


def with_holes(laid: Laid) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples (n, n_channels) with NaN where they were lost."""
    samples = laid.samples.T.copy()
    for begin, length, _ in laid.gaps:
        samples[begin : begin + length] = np.nan
    return samples


def _numbers(samples: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    """Write rows without a head, each float32 so that it reads back as itself, ``n/a`` for no finite number."""
    out = io.StringIO()
    np.savetxt(out, np.where(np.isfinite(samples), samples, np.nan), fmt="%.9g", delimiter="\t", newline="\n")
    return out.getvalue().replace("nan", ABSENT)
