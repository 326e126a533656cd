"""Walkthroughs: lessons in prose and code that runs, each asserting what it claims.

A walkthrough is one Markdown file in this folder. Its ``python`` blocks are executed in order, in
one namespace; those marked ``python long`` take longer and are left out unless asked for. The
command ``pellucid walkthrough``, the pages of the documentation, the notebooks and the tests all
read the same files and run them with the same few lines.

>>> from pellucid.walkthroughs import names
>>> names()[2]
'3_perceptron'
"""

from __future__ import annotations

from pellucid.walkthroughs.notebook import as_notebook
from pellucid.walkthroughs.run import Done, run
from pellucid.walkthroughs.text import Part, Walkthrough, load, names

__all__ = ["Done", "Part", "Walkthrough", "as_notebook", "load", "names", "run"]
