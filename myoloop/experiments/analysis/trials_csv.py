"""The table of trials as a file of its own."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.sessions.trials import write_trials_csv
from myoloop.platform.messages import Trial
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording


def export_trials_csv(path: Path | str, out: Path) -> Path:
    """Write the trials of a session as CSV: one row each, times in ns of the recording host's monotonic clock.

    Parameters
    ----------
    path
        Session file or the folder of its attempt.
    out
        The file to write.

    Raises
    ------
    RecordingError
        If there is no recording, it is damaged, or `out` is there already: nothing is overwritten.
    """
    recording = Recording.open(path)
    trials = [each.message for each, _ in recording.messages({"trial"}) if isinstance(each.message, Trial)]
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            write_trials_csv(trials, file)
    except FileExistsError:
        raise RecordingError(f"{out}: is already there, nothing is overwritten") from None
    except OSError as error:
        raise RecordingError(f"{out}: cannot be written: {error.strerror}") from None
    return out
