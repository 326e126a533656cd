"""Writes the pages of the walkthroughs: their text with what it printed and drew, and notebooks.

``python docs/pages.py`` runs all of them, the long parts too, in some minutes; with a name, one.
The pages are kept beside this file, so that they can be read where they lie and the site can be
built without running anything; a test runs everything anew and compares.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from pellucid.walkthroughs import Done, Walkthrough, as_notebook, load, names, run

PAGES = Path(__file__).parent / "walkthroughs"


def page(walkthrough: Walkthrough, done: Iterable[Done], figures: Path) -> str:
    """The Markdown of a page; its figures are written into a folder, which is there."""
    blocks: list[str] = []
    drawn = 0
    for step in done:
        if step.part.kind == "prose":
            blocks.append(step.part.text)
            if len(blocks) == 1:
                blocks.append(
                    f"*[This page as a notebook]({walkthrough.name}.ipynb), or in a terminal: "
                    f"`pellucid walkthrough {walkthrough.name[2:]}`.*\n"
                )
                title, _, rest = blocks[0].partition("\n\n")
                blocks[:2] = [title + "\n", blocks[1], rest]
            continue
        blocks.append(f"```python\n{step.part.text}```\n")
        if step.output:
            printed = "\n".join(line.rstrip() for line in step.output.rstrip("\n").splitlines())
            blocks.append(f"```text\n{printed}\n```\n")
        for figure in step.figures:
            drawn += 1
            name = f"{walkthrough.name}-{drawn}.png"
            figure.savefig(figures / name, metadata={"Software": None})
            blocks.append(f"![{alternative(figure, walkthrough)}]({figures.name}/{name})\n")
    return "\n".join(blocks)


def alternative(figure: object, walkthrough: Walkthrough) -> str:
    """What a figure shows, for those who cannot see it: its titles, or the labels of its axes."""
    axes = figure.get_axes()  # type: ignore[attr-defined]
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in axes)]  # type: ignore[attr-defined]
    labels = [f"{ax.get_ylabel()} by {ax.get_xlabel()}" for ax in axes if ax.get_xlabel()]
    found = [text for text in titles if text] or labels[:1] or [f"of {walkthrough.title}"]
    return ("Figure: " + ", ".join(found)).replace("\n", " ").replace("[", "").replace("]", "")


def write(name: str) -> None:
    """Runs one walkthrough and writes its page, its figures and its notebook."""
    walkthrough, figures = load(name), PAGES / "figures"
    with TemporaryDirectory() as folder:  # what is there stays, should a block fail
        made = Path(folder) / figures.name
        made.mkdir()
        text = page(walkthrough, run(walkthrough, long=True), made)
        for old in figures.glob(f"{walkthrough.name}-*.png"):
            old.unlink()
        shutil.copytree(made, figures, dirs_exist_ok=True)
    (PAGES / f"{walkthrough.name}.md").write_text(text, encoding="utf-8")
    (PAGES / f"{walkthrough.name}.ipynb").write_text(as_notebook(walkthrough), encoding="utf-8")
    print(f"wrote docs/walkthroughs/{walkthrough.name}.md")


if __name__ == "__main__":
    for each in sys.argv[1:] or names():
        write(each)
