"""The analysis file: what is to be estimated, written down before the data are seen.

::

    analysis: {id: my_study, version: 1.0.0, registered: 2026-03-01, where: "osf.io/abcde"}
    sessions: 6
    arms: {test: active, reference: sham}
    primary: {outcome: mvc_force, scale: log, contrast: arms}
    secondary:
      - {outcome: spasm_count, scale: rate, contrast: arms}
    dose_response: {outcome: mvc_force, scale: log}
    missing_data: available

What it does not name is exploratory, and a report says so beside every such figure.
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.protocols.fields import Count, Name, Strict, Text
from myoloop.platform.yamlfile import load_model

#: ``raw``: as measured; ``log``: a ratio, of what is never zero; ``rate``: a ratio of counts per time, zero allowed.
Scale = Literal["raw", "log", "rate"]
#: ``arms``: difference between the arms at the last session; ``trend``: change per session within one arm, or within
#: all; ``mean``: mean over people, whatever the arm.
Contrast = Literal["arms", "trend", "mean"]
#: Statuses that an analysis may use; a refused recording is never used.
Use = Literal["complete", "interrupted", "incomplete", "recovered"]
MissingRule = Literal["available", "completers", "baseline_carried_forward"]
#: What is done with a value that its own outcome does not believe.
Doubtful = Literal["leave_out", "use"]
#: Whose labels outcomes of spasms rest on.
Labels = Literal["detected", "corrected"]
Covariate = Literal["stratum", "station"]


class Header(Strict):
    """Which file it is, and since when and where it is kept so that nobody can change it unseen."""

    id: Name
    version: Annotated[str, Field(strict=True, pattern=r"^\d+\.\d+\.\d+$")]
    registered: Annotated[str, Field(strict=True, pattern=r"^\d{4}-\d{2}-\d{2}$")]
    where: Text

    @model_validator(mode="after")
    def _is_a_day(self) -> Header:
        try:
            date.fromisoformat(self.registered)
        except ValueError:
            raise ValueError(f"registered: found {self.registered}, allowed is a day, as 2026-03-01") from None
        return self


class Arms(Strict):
    """Whose effect is looked for, against whom; names of the protocol's arms.

    Attributes
    ----------
    others
        Arms that the study has and no comparison is of.
    """

    test: Name
    reference: Name
    others: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _two(self) -> Arms:
        if self.test == self.reference:
            raise ValueError("test and reference must be two arms")
        if {self.test, self.reference} & set(self.others):
            raise ValueError(f"others: found {', '.join(self.others)}, allowed are arms that are not compared")
        return self


class Estimate(Strict):
    """One outcome and what of it is estimated.

    Attributes
    ----------
    arm
        Of a trend: within which arm; all together where none is named.
    """

    outcome: Name
    scale: Scale = "raw"
    contrast: Contrast = "arms"
    arm: Name | None = None

    @model_validator(mode="after")
    def _fits(self) -> Estimate:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome: found {self.outcome!r}, allowed are those of `myoloop outcomes`")
        if self.arm is not None and self.contrast != "trend":
            raise ValueError("arm: allowed with contrast trend only")
        return self


class DoseResponse(Strict):
    """Whose change is held against the dose."""

    outcome: Name
    scale: Literal["raw", "log"] = "raw"

    @model_validator(mode="after")
    def _known(self) -> DoseResponse:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome: found {self.outcome!r}, allowed are those of `myoloop outcomes`")
        return self


class Responder(Strict):
    """Who is called a responder: a change of so many per cent of baseline; a negative one where less is better."""

    outcome: Name
    change_pct: Annotated[float, Field(strict=True, ge=-100.0, le=1000.0)]
    source: str = ""


class Registered(Strict):
    """A whole analysis file.

    Attributes
    ----------
    sessions, baseline
        How many sessions there are, and which of them is the baseline.
    arms
        None of a study with one arm.
    covariates
        Properties of the person's place in the allocation that the models hold constant; a mean over people has none.
    protocol
        Whose sessions are analysed, where a study has those of several protocols.
    doubtful
        Values that their outcome calls not valid are left out, or used all the same.
    labels
        Whether outcomes of spasms are of what the detector found, or of the labels that a person corrected.
    use
        Which recordings are used.
    missing_data
        ``available``: all sessions that are there, missing at random; ``completers``: people with every session;
        ``baseline_carried_forward``: a missing session is as the baseline was.
    random
        What differs between people in the mixed model.
    """

    analysis: Header
    sessions: Annotated[int, Field(strict=True, ge=2, le=1000)]
    baseline: Count = 1
    arms: Arms | None = None
    primary: Estimate
    secondary: tuple[Estimate, ...] = ()
    dose_response: DoseResponse | None = None
    covariates: tuple[Covariate, ...] = ()
    use: Annotated[tuple[Use, ...], Field(min_length=1)] = ("complete",)
    protocol: Name | None = None
    doubtful: Doubtful = "leave_out"
    labels: Labels = "detected"
    missing_data: MissingRule = "available"
    random: Literal["intercept", "intercept_and_slope"] = "intercept_and_slope"
    confidence: Annotated[float, Field(strict=True, gt=0.5, lt=1.0)] = 0.95
    responder: Responder | None = None

    @model_validator(mode="after")
    def _together(self) -> Registered:
        if self.baseline >= self.sessions:
            raise ValueError(f"baseline: found {self.baseline}, allowed is a session before the last, {self.sessions}")
        for each in (self.primary, *self.secondary):
            if each.contrast == "arms" and self.arms is None:
                raise ValueError(f"arms: missing, but {each.outcome} has the contrast arms")
            if each.arm is not None and self.arms is not None and each.arm not in (self.arms.test, self.arms.reference):
                raise ValueError(f"arm: found {each.arm!r}, allowed are {self.arms.test}, {self.arms.reference}")
        return self

    def estimates(self) -> tuple[tuple[str, Estimate], ...]:
        """Every registered estimate with the part it plays."""
        return (("primary", self.primary), *(("secondary", each) for each in self.secondary))

    def outcomes(self) -> tuple[str, ...]:
        """Every outcome that is named, once."""
        named = [each.outcome for _, each in self.estimates()]
        named += [each.outcome for each in (self.dose_response, self.responder) if each is not None]
        return tuple(sorted(set(named)))


def load_registered(path: Path | str) -> tuple[Registered, str]:
    """Read an analysis file; with its SHA-256.

    Raises
    ------
    FileError
        With every mistake, each as ``file:line: key: found X, allowed Y``.
    """
    found = load_model(path, Registered)
    return found, hashlib.sha256(Path(path).read_bytes()).hexdigest()
