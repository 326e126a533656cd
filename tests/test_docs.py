"""The documentation: its pages are of the walkthroughs as they are, its links lead somewhere, and
the site builds without a warning, without a network, with every public name in its reference."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from inspect import isclass, isfunction
from pathlib import Path

import pytest

import pellucid
from pellucid.walkthroughs import as_notebook, load, names, run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
PACKAGES = [
    "layers", "losses", "initializers", "optimizers", "schedules", "training", "data", "formats",
    "estimators", "insight", "insight.plots", "ladder", "walkthroughs",
]  # fmt: skip


def pages_module():
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_of(text: str) -> list[str]:
    """A page without the numbers, which may differ from machine to machine."""
    return re.sub(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?|[\s\[\]]+|nan|inf", " ", text).split()


@pytest.mark.parametrize("name", names())
def test_page_has_the_text_of_its_walkthrough(name: str) -> None:
    page = (DOCS / "walkthroughs" / f"{name}.md").read_text(encoding="utf-8")
    at = 0
    for part in load(name).parts:
        texts = part.text.split("\n\n", 1) if part.text.startswith("# ") else [part.text]
        for text in texts:
            at = page.find(text, at)
            assert at >= 0, f"run `python docs/pages.py {name}`: its page lacks {text[:60]!r}"
    notebook = (DOCS / "walkthroughs" / f"{name}.ipynb").read_text(encoding="utf-8")
    assert notebook == as_notebook(load(name)), f"run `python docs/pages.py {name}`"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(DOCS)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert ":" in target or (path.parent / target).exists(), target


@pytest.mark.long
@pytest.mark.parametrize("name", names())
def test_page_is_what_comes_out(name: str, tmp_path: Path) -> None:
    kept = DOCS / "walkthroughs"
    (tmp_path / "figures").mkdir()
    text = pages_module().page(load(name), run(load(name), long=True), tmp_path / "figures")
    assert words_of(text) == words_of((kept / f"{name}.md").read_text(encoding="utf-8"))
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == sorted(path.name for path in (kept / "figures").glob(f"{name}-*.png"))


@pytest.mark.long
@pytest.mark.parametrize("name", names())
def test_notebook_runs(name: str, tmp_path: Path) -> None:
    """The code cells, in order, in one process, as a notebook's kernel would take them."""
    import json

    notebook = json.loads((DOCS / "walkthroughs" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    code = "\n\n".join(
        "".join(c["source"]) for c in cells if "long" not in c["metadata"].get("tags", [])
    )
    (tmp_path / "cells.py").write_text("import matplotlib\nmatplotlib.use('agg')\n" + code + "\n")
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason='the site needs: pip install "pellucid[docs]"')
    pytest.importorskip("furo")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html",
               "-d", str(folder / "trees"), str(DOCS), str(folder / "html")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.long
def test_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", text):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{page.name}: {tag}"
    for style in site.rglob("*.css"):
        fetched = r"(?:url\(|@import)\s*[\"']?(?:https?:)?//"
        assert not re.search(fetched, style.read_text(encoding="utf-8")), style.name


@pytest.mark.long
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in (site / "reference").glob("*.html"))
    there = set(re.findall(r'id="(pellucid[\w.]*)"', text))
    ends = {name.rpartition(".")[2] for name in there}
    assert set(pellucid.__all__) <= ends, sorted(set(pellucid.__all__) - ends)
    for package in PACKAGES:
        module = importlib.import_module(f"pellucid.{package}")
        missing = {
            n
            for n in module.__all__
            if (isclass(x := getattr(module, n)) or isfunction(x)) and n not in ends
        }
        assert not missing, (package, missing)
