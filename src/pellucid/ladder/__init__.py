"""The ladder: six exercises on which readers build their own network, and what checks them.

`write_starters` writes the files with the blanks, `check_file` says in words what is right and
wrong in one, `train_digits` trains the embedded digits with the reader's own layers.
"""

from pellucid.ladder.digits import train_digits
from pellucid.ladder.rungs import RUNGS, Rung, write_starters
from pellucid.ladder.runner import Report, check_file
from pellucid.ladder.verdict import Verdict

__all__ = ["RUNGS", "Report", "Rung", "Verdict", "check_file", "train_digits", "write_starters"]
