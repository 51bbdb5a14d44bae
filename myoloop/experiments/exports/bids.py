"""A BIDS data set of one session or of a whole study.

Written by hand, not with mne-bids: its writer goes through MNE's own BDF export, fills in what is wrong here
(``Manufacturer: Biosemi``, ``EMGReference: n/a``, a literal TODO) and knows neither motion nor phenotype files. It can
read what stands here, which the tests have it do.

No date stands in it, and no arm unless it was opened with the study's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import myoloop
from myoloop.experiments.exports import bids_events
from myoloop.experiments.exports.about import About
from myoloop.experiments.exports.bids_people import write_participants, write_phenotype, write_sessions
from myoloop.experiments.exports.bids_recording import BidsSession
from myoloop.experiments.exports.bidsfiles import write_json, write_text
from myoloop.experiments.exports.forms import FormRow
from myoloop.experiments.exports.opened import Opened
from myoloop.platform.recording.layout import RecordingError

#: Of the specification that is followed; EMG is in it.
BIDS_VERSION = "1.11.1"


class BidsDataset:
    """Writes a data set, session by session.

    Parameters
    ----------
    root
        Its folder: made, or there and empty.
    about
        What the lab says of it.
    name
        What it is called where `about` does not say.

    Raises
    ------
    RecordingError
        If something stands in the folder.
    """

    def __init__(self, root: Path, about: About, name: str) -> None:
        if root.is_file() or (root.is_dir() and any(root.iterdir())):
            raise RecordingError(f"{root}: is not empty; a data set needs a folder of its own, nothing is overwritten")
        self._root, self._about, self._name = root, about, about.name or name
        self._sessions: list[tuple[BidsSession, Mapping[str, str], Opened]] = []
        self._forms: list[FormRow] = []

    def add(self, opened: Opened, forms: Sequence[FormRow]) -> list[Path]:
        """Write a session; nothing of it is left behind where that fails.

        Raises
        ------
        OSError, RecordingError
            If it cannot be written.
        """
        session = BidsSession(self._root, opened, self._about)
        before = set(self._root.rglob("*")) if self._root.exists() else set()
        try:
            written = session.write()
        except BaseException:
            _remove(set(self._root.rglob("*")) - before)
            raise
        # Samples are not kept: a study is larger than the memory.
        self._sessions.append((session, opened.provenance, _without_samples(opened)))
        self._forms += forms
        return written

    def finish(self, arms: Mapping[str, str] | None, diaries: Sequence[FormRow], notes: Sequence[str]) -> list[Path]:
        """Write what the data set says as a whole.

        Parameters
        ----------
        arms
            By person, where they were opened; None where they are withheld.
        diaries
            Forms that were filled in between sessions.
        notes
            What was left out, for the README.
        """
        opened = [each for _, _, each in self._sessions]
        written = [
            self._description(opened),
            write_text(self._root / "README", self._readme(opened, arms, notes)),
            write_text(self._root / "CHANGES", f"1.0.0\n  - Written by myoloop {myoloop.__version__}.\n"),
            *write_participants(self._root, opened, arms),
            *write_sessions(self._root, [(each.subject, each.session, one) for each, _, one in self._sessions]),
            *write_phenotype(self._root, [*self._forms, *diaries]),
        ]
        described = bids_events.describe(
            blinded=any(each.blinded for each in opened), unsealed=any(each.unsealed for each in opened)
        )
        for task in sorted({each.task for each, _, _ in self._sessions}):
            written.append(write_json(self._root / f"task-{task}_events.json", described))
        return written

    def _description(self, opened: Sequence[Opened]) -> Path:
        about = self._about
        simulated = sorted({each.simulated for each in opened if each.simulated})
        return write_json(
            self._root / "dataset_description.json",
            {
                "Name": f"{self._name}{' (SIMULATED)' if simulated else ''}",
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "raw",
                "License": about.license,
                "Authors": list(about.authors) or None,
                "Acknowledgements": about.acknowledgements,
                "Funding": list(about.funding) or None,
                "EthicsApprovals": list(about.ethics) or None,
                "ReferencesAndLinks": list(about.references) or None,
                "GeneratedBy": [{"Name": "myoloop", "Version": myoloop.__version__, "Description": "myoloop export"}],
                "Simulated": "; ".join(simulated) or "no",
            },
        )

    def _readme(self, opened: Sequence[Opened], arms: Mapping[str, str] | None, notes: Sequence[str]) -> str:
        simulated = sorted({each.simulated for each in opened if each.simulated})
        blinded = any(each.blinded for each in opened)
        parts = [f"# {self._name}"]
        parts += [f"**{each}.**" for each in simulated]
        parts += [self._about.readme.strip()] if self._about.readme.strip() else []
        people = len({each.person for each in opened})
        parts.append(
            f"{len(opened)} session(s) of {people} participant(s) of EMG-guided electrical stimulation: EMG (BDF, "
            "24 bit), movement (motion-BIDS), what happened (events.tsv, with the parameters of the stimulation), "
            "filled-in forms (phenotype/)."
        )
        parts.append(
            "Samples are the recorded ones, to half a step of the file. Lost samples are zeros under BAD_gap in the "
            "EMG and n/a in the movement. Where a clock jumped, the recording is cut: each stretch is a run of its "
            "own, and the runs do not join. acq-att<N> is the attempt at a session. Onsets count from the first "
            "sample of the file beside which they stand. There are no dates: the date in the BDF files is none."
        )
        if blinded and arms is None:
            parts.append(
                "Blinded: arms are withheld, and stimulation is nominal (what the active arm would have had). EMG and "
                "movement are not: artifacts and evoked activity tell who was stimulated. Who is to stay blinded gets "
                "no raw data."
            )
        elif arms is not None:
            parts.append("Unblinded: participants.tsv names each participant's arm.")
        parts += ["Left out:\n\n" + "\n".join(f"- {note}" for note in notes)] if notes else []
        return "\n\n".join(parts) + "\n"


def _without_samples(opened: Opened) -> Opened:
    return replace(opened, session=replace(opened.session, samples={}), pieces=())


def _remove(paths: set[Path]) -> None:
    for path in sorted(paths, key=lambda each: -len(each.parts)):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
