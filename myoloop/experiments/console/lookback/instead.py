"""What another controller would have asked for, step by step, kept beside what was asked.

``myoloop replay ATTEMPT --controller FILE --out FOLDER`` makes it, a job of the console's or anybody's. Kept under
``derivatives/instead`` in the study as a Parquet table (``t_s``, then of each channel what was asked and what would
have been, mA) whose metadata say of which session and controller it is, and that the EMG would have differed.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from myoloop.experiments.console.lookback.overview import TRACK_BIN_S
from myoloop.experiments.console.lookback.pyramid import Bins, Column, bin_values
from myoloop.experiments.replaying import NOT_CAUSAL
from myoloop.platform.errors import UserError
from myoloop.platform.messages import StimRequest
from myoloop.platform.recording.folder import AttemptPlace, place_of
from myoloop.platform.recording.layout import RecordingError

INSTEAD_FOLDER: Final = "derivatives/instead"
_KEY: Final = b"myoloop"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Instead:
    """What another controller would have asked for.

    Attributes
    ----------
    name
        Of its table, without its ending.
    controller, summary
        Its file's name; counts and means over the session.
    channels
        Stimulation channels.
    bins
        By channel: columns ``asked`` and ``instead``, mA.
    """

    name: str
    controller: str
    summary: dict[str, Any]
    channels: tuple[str, ...]
    bins: dict[str, Bins]


class Steps:
    """Collects the steps of a comparison."""

    def __init__(self) -> None:
        self._t_ns = array("q")
        self._asked: list[dict[str, float]] = []
        self._instead: list[dict[str, float]] = []

    def see(self, now_ns: int, recorded: StimRequest, other: StimRequest) -> None:
        """Take in a step."""
        self._t_ns.append(now_ns)
        self._asked.append({each.channel: each.current_ma for each in recorded.channels})
        self._instead.append({each.channel: each.current_ma for each in other.channels})

    def write(self, session: Path | str, controller: Path, out: Path, summary: dict[str, Any]) -> Path:
        """Write the table into a folder, under the name of the controller's file and the hash of what is in it.

        Raises
        ------
        UserError
            If the session is blinded, or the table cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from myoloop.experiments.analysis.reading import load

        recording = load(session)
        if recording.metadata.get("blinded") == "true":
            raise UserError(f"{recording.path}: blinded; what a controller asks for follows the EMG and tells the arm")
        channels = sorted({name for step in (*self._asked, *self._instead) for name in step})
        columns: dict[str, Any] = {"t_s": (np.array(self._t_ns, np.int64) - recording.zero_ns) * 1e-9}
        for channel in channels:
            for name, steps in (("asked", self._asked), ("instead", self._instead)):
                columns[f"{channel}.{name}_ma"] = np.array([step.get(channel, 0.0) for step in steps], np.float32)
        content = controller.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        said = {
            "session": recording.session_id, "controller": controller.name, "controller_sha256": sha256,
            "channels": channels, "note": NOT_CAUSAL, "summary": summary,
        }  # fmt: skip
        table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(said).encode()})
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", controller.stem)[:60]
        file = out / f"{plain}_{sha256[:8]}.parquet"
        try:
            out.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            pq.write_table(table, part, compression="zstd")
            part.replace(file)
        except OSError as error:
            raise RecordingError(f"{file}: cannot be written: {error.strerror}") from None
        return file


def instead_folder(place: AttemptPlace) -> Path:
    """Where the comparisons of an attempt are kept."""
    return place.study / INSTEAD_FOLDER / f"sub-{place.subject}" / f"ses-{place.session:02d}_att-{place.attempt}"


def default_folder(session: Path | str) -> Path | None:
    """Where those of a recording are kept; None where it stands in no study."""
    place = place_of(session)
    return None if place is None else instead_folder(place)


def names_of(place: AttemptPlace) -> list[str]:
    """Comparisons that there are of an attempt."""
    return sorted(path.stem for path in instead_folder(place).glob("*.parquet"))


def read_instead(place: AttemptPlace, name: str) -> Instead:
    """Read a comparison, in bins as fine as those of what was decided.

    Raises
    ------
    UserError
        If there is none of that name, or it is not one of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = instead_folder(place) / f"{name}.parquet"
    if not _NAME.fullmatch(name) or not file.is_file():
        raise UserError(f"comparison: found {name[:80]!r}, there is: {', '.join(names_of(place)) or 'none'}")
    try:
        table = pq.read_table(file)
        said = json.loads(table.schema.metadata[_KEY])
        t_s = table["t_s"].to_numpy()
        begin_s = float(np.floor(t_s[0] / TRACK_BIN_S) * TRACK_BIN_S) if len(t_s) else 0.0
        n = int((t_s[-1] - begin_s) / TRACK_BIN_S) + 1 if len(t_s) else 0
        bins = {}
        for channel in said["channels"]:
            columns: list[Column] = [table[f"{channel}.{what}_ma"].to_numpy for what in ("asked", "instead")]
            bins[channel] = bin_values(t_s, columns, begin_s, TRACK_BIN_S, n)
        return Instead(name, str(said["controller"]), said["summary"], tuple(said["channels"]), bins)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file.name}: is not a comparison of ours: {error}") from None
