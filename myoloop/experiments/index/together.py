"""What keeps a session from being used that only shows beside the others, or in what the study knows of people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from myoloop.experiments.index.facts import Exclusion, SessionFacts
from myoloop.experiments.studies.audit import AUDIT_FILE
from myoloop.experiments.studies.chained import check_chained
from myoloop.experiments.studies.participants import Participant, participants
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace


class Together:
    """The sessions of a study beside one another.

    Attributes
    ----------
    problems
        What is wrong with the study as a whole, one line each.
    """

    def __init__(self, study: Path, facts: Mapping[AttemptPlace, SessionFacts]) -> None:
        self.problems: list[str] = []
        self._facts = facts
        self._participants = self._known_people(study)
        self._reassigned = self._known_reassignments(study)
        self._by_head: dict[str, list[AttemptPlace]] = defaultdict(list)
        for place, each in facts.items():
            if each.head and each.status != "refused":
                self._by_head[each.head].append(place)
        counts = {
            population: sum(each.population == population and each.status != "refused" for each in facts.values())
            for population in ("person", "simulated")
        }
        self._mixed = all(counts.values())
        if self._mixed:
            self.problems.append(
                f"{counts['person']} sessions of people and {counts['simulated']} simulated ones in one study: the "
                "simulated ones are excluded"
            )

    def exclusions(self, place: AttemptPlace) -> tuple[Exclusion, ...]:
        """What the study adds to a session's own exclusions."""
        facts = self._facts[place]
        found: list[tuple[str, str]] = []
        if self._participants is None:
            found.append(("participants", "nobody knows who has withdrawn: the list of participants cannot be read"))
        elif (row := self._participants.get(place.subject)) is not None and row.status == "withdrawn":
            found.append(("withdrawn", "the person has withdrawn"))
        if facts.subject and facts.subject != place.subject and facts.subject not in self._of(place.subject):
            found.append(
                ("wrong_person", f"was recorded as {facts.subject}, and no audit says that it was given to another")
            )
        if self._mixed and facts.population == "simulated":
            found.append(("mixed", "simulated, in a study with sessions of people"))
        others = [each for each in self._by_head.get(facts.head, ()) if each != place]
        if others:
            first = others[0]
            named = f"sub-{first.subject}/ses-{first.session:02d}/att-{first.attempt}"
            found.append(("duplicate", f"holds the same recording as {named}"))
        return tuple(Exclusion(code=code, what="session", reason=reason) for code, reason in found)

    def _of(self, person: str) -> set[str]:
        """Under whom sessions were recorded that an audit gave to this person."""
        return self._reassigned.get(person, set())

    def _known_people(self, study: Path) -> dict[str, Participant] | None:
        try:
            return participants(study)
        except (UserError, OSError, ValueError) as error:
            self.problems.append(" ".join(str(error).split()))
            return None

    def _known_reassignments(self, study: Path) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        path = study / AUDIT_FILE
        if not path.is_file():
            return found
        checked = check_chained(path)
        self.problems += checked.problems
        for row in checked.entries:
            if row.get("act") == "reassign" and isinstance(row.get("old"), dict) and isinstance(row.get("new"), dict):
                found[str(row["new"].get("person"))].add(str(row["old"].get("person")))
        return found
