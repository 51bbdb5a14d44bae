"""What a person at the command line can do something about, told from what is a bug of ours."""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """Bad input or an adverse circumstance: its text is one clear line (or `problems`, one a line) for the operator.

    Attributes
    ----------
    exit_code
        Of the command line: 2 for bad input, 3 for a fault of the rig.
    """

    exit_code: ClassVar[int] = 2
