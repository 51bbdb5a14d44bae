"""What a lab says of a data set that no recording knows: a YAML file given as ``--about``."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.protocols.fields import Strict, Text
from myoloop.platform.yamlfile import load_model


class About(Strict):
    """All of it may be left out; what is left out is left out of the data set, or said to be unknown.

    Attributes
    ----------
    name, authors, license, acknowledgements, funding, ethics, references
        Of ``dataset_description.json``.
    institution, manufacturer
        Where it was recorded, and who made the amplifier.
    emg_reference, emg_ground, emg_placement
        How the EMG was taken: ``Bipolar``, the electrode or an approach in words; where the ground was; how the places
        were found.
    readme
        Paragraphs that are put into the README.
    """

    name: Text | None = None
    authors: tuple[Text, ...] = ()
    license: Text | None = None
    acknowledgements: Text | None = None
    funding: tuple[Text, ...] = ()
    ethics: tuple[Text, ...] = ()
    references: tuple[Text, ...] = ()
    institution: Text | None = None
    manufacturer: Text | None = None
    emg_reference: Text | None = None
    emg_ground: Text | None = None
    emg_placement: Text | None = None
    readme: str = ""


def read_about(path: Path | str | None) -> About:
    """Read it; the default where there is none.

    Raises
    ------
    FileError
        With every mistake in it.
    """
    return About() if path is None else load_model(Path(path), About)
