"""The site: Markdown by MyST, the reference from docstrings, in Furo's clothes. ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pellucid

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "Pellucid"
author = "Pellucid developers"
project_copyright = author
version = release = pellucid.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "py:obj"  # `name` in a docstring: a link where it is one of ours, else plain
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = [
    "ref.python"  # attributes in docstrings, `values`, are names of several classes
]

autodoc_default_options = {"members": True, "imported-members": True, "show-inheritance": False}
autodoc_inherit_docstrings = False  # forward and backward are described where they are declared
autodoc_typehints = "none"  # the docstrings say them in words
autodoc_member_order = "groupwise"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_use_ivar = True

highlight_language = "text"
html_theme = "furo"
html_title = f"Pellucid {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5d8a", "color-brand-content": "#0b5d8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ee", "color-brand-content": "#7cc4ee"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"


def quickstart() -> str:
    """The middle of README.md, so that there is one quick start and not two."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index("\n## Train on your own arrays")
    return "# Quick start\n" + text[start : text.index("\n## Where things are")] + "\n"


def read(_app: Any, docname: str, source: list[str]) -> None:
    """Pages made of files outside docs/; links that lead out of it lose their target."""
    if docname == "quickstart":
        source[0] = quickstart()
    elif docname == "changelog":
        source[0] = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    elif docname == "ladder/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\nrung_*\n```\n"
    text = source[0].replace("](docs/", "](").replace("](../docs/", "](../")
    folder = (HERE / docname).parent

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        path = (folder / target).resolve()
        if not target or ":" in target or (path.is_relative_to(HERE) and not path.is_dir()):
            return match[0]
        return f"`{match[2].lstrip('./')}`" if match[1] == match[2] else match[1]

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", kept, text)


def docstring(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Three habits of the docstrings, told to Sphinx.

    Prose goes on after the parameters, and examples stand there, both without a heading; and |x| is
    a modulus, not a substitution.
    """
    literal = None  # the indent of what announced a literal block
    section = ""
    found: list[str] = []
    lines[:] = _fields(lines)
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        if line == "Args:" or re.fullmatch("-{4,}", "".join(lines[i + 1 : i + 2])):
            section = line
        elif line.startswith(":r"):  # a field, which ends the section by itself
            section = section and "Raises"
        elif section and line.strip() and not indent and not lines[i - 1].strip():
            heading = "Examples" if line.startswith(">>>") else "Notes"
            listed = " : " in line or section not in ("Parameters", "Attributes", "Args:")
            if heading != section and (heading == "Examples" or not listed):
                found += [heading, "-" * len(heading)]
                section = heading
        plain = literal is None and not line.lstrip().startswith((">>>", "..."))
        found.append(_escaped(line) if plain else line)
        if line.rstrip().endswith("::"):
            literal = indent
    lines[:] = found


def _fields(lines: list[str]) -> list[str]:
    """Returns and Raises whose text is indented under the heading, as the fields that they are."""
    found: list[str] = []
    kind = ""
    for i, line in enumerate(lines):
        if re.fullmatch("Returns|Raises", line) and re.match(
            r" {4,}\S", "".join(lines[i + 2 : i + 3])
        ):
            kind = line.lower()
            found.append("")
        elif kind and re.fullmatch("-{4,}", line):
            continue
        elif kind and line.strip() and not line.startswith("    "):
            kind = ""
            found += ["", line]
        elif kind == "returns" and line.strip():
            first = not lines[i - 1].startswith(" ")
            found.append((":returns: " if first else "    ") + line.strip())
        elif kind == "raises" and (error := re.match(r" +(\w+): (.*)", line)):
            found.append(f":raises {error[1]}: {error[2]}")
        else:
            found.append("    " + line.strip() if kind and line.strip() else line)
    return found


def _escaped(line: str) -> str:
    return "`".join(
        part.replace("|", r"\|") if i % 2 == 0 else part for i, part in enumerate(line.split("`"))
    )


def skip(
    _app: Any, _what: str, name: str, _object: Any, _skipped: bool, _options: Any
) -> bool | None:
    """What scikit-learn writes into every estimator is not ours to describe."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", skip)
    app.connect("source-read", read)
