"""A walkthrough as a Jupyter notebook: nbformat 4.5, which is plain JSON."""

from __future__ import annotations

import json
from typing import Any

from pellucid.walkthroughs.text import Part, Walkthrough


def as_notebook(walkthrough: Walkthrough) -> str:
    """The text of an ``.ipynb`` file: prose as Markdown cells, blocks as code cells, not yet run.

    >>> import json
    >>> from pellucid.walkthroughs.text import load
    >>> json.loads(as_notebook(load("perceptron")))["cells"][0]["cell_type"]
    'markdown'
    """
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [_cell(part, f"part-{i}") for i, part in enumerate(walkthrough.parts)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _cell(part: Part, name: str) -> dict[str, Any]:
    source = part.text.rstrip("\n").splitlines(keepends=True)
    if part.kind == "prose":
        return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}
    return {
        "cell_type": "code", "id": name, "metadata": {"tags": ["long"]} if part.long else {},
        "execution_count": None, "outputs": [], "source": source,
    }  # fmt: skip
