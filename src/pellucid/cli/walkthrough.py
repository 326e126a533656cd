"""The command `walkthrough`: a lesson in the terminal, or as a notebook."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pellucid.walkthroughs import Done, as_notebook, load, names, run

_BAR = "│ "


def walkthrough(args: Namespace) -> None:
    """Lists the walkthroughs, runs one, or writes it as a notebook."""
    if args.name is None:
        for name in names():
            print(f"{name:20} {load(name).title.partition('. ')[2]}")
        return
    lesson = load(args.name)
    if args.notebook is not None:
        Path(args.notebook).write_text(as_notebook(lesson), encoding="utf-8")
        print(f"wrote {args.notebook}")
        return
    folder = None if args.figures is None else Path(args.figures)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for done in run(lesson, long=args.long):
        _show(done)
        for figure in done.figures:
            drawn += 1
            if folder is None:
                print("[a figure: --figures FOLDER keeps it]\n")
            else:
                path = folder / f"{lesson.name}-{drawn}.png"
                figure.savefig(path)
                print(f"[a figure: {path}]\n")


def _show(done: Done) -> None:
    """Prose as it is, code behind a bar, and what it printed."""
    if done.part.kind == "prose":
        print(done.part.text, flush=True)
        return
    print("\n".join((_BAR + line).rstrip() for line in done.part.text.splitlines()), end="\n\n")
    if done.skipped:
        print("[takes longer: --long runs it]\n")
    elif done.output:
        print(done.output.rstrip("\n"), end="\n\n", flush=True)
