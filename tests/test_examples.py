"""Every numbered script in examples/: short, alone in a fresh process, silent on stderr."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NUMBERED = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
SAYS = {
    "01": r"validation_price/loss +0\.0\d+\n(.*\n)*price +\[",
    "02": r"sine_1/omega .* ok\n(.*\n)*y_pred .* ok\n(.*\n)*.*LogCosh\(\)\}?\n.*bit for bit\n$",
    "03": r"read at once: Unable to allocate 2.00 GiB.*\ntrained on 2 GB with 1?\d?\d MB of memory\n",
    "04": r"all 2,474 parameters are the same, bit for bit\n$",
    "05": r"stopped after update 25, in epoch 2;(.*\n)* +4 +60 (.*\n)*.*bit for bit\n$",
    "06": r"tower_2 .* = tower\n(.*\n)*named right: \d\d\.\d% on the tower, \d\d\.\d% from scratch\n$",
    "07": r"d/input +\(32, 8, 8\)(.*\n)*[\d,]+ numbers in .*'update': 171\}\n$",
    "08": r"(seed \d: accuracy (0\.9\d+) alone, \2 beside the other\n){2}the same bits",
    "09": r"(epoch \d: loss [\d.]+, .* \d\.\de-0[67] apart\n){5}.*100\.00%",
    "10": r"^(>>> .*\n\w+Error: .*\n((?!>>>).*\n)*){10}$",
    "11": r"held out: 9[89]\.\d\d %\n$",
}


def test_every_example_has_its_number_and_is_short():
    assert [path.name[:2] for path in NUMBERED] == sorted(SAYS)
    for path in [*NUMBERED, EXAMPLES / "own_pieces.py"]:
        assert len(path.read_text("utf-8").splitlines()) < 40, path.name


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    if path.name.startswith("03") and not sys.platform.startswith("linux"):
        pytest.skip("limits the address space, which only Linux keeps to")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    if not path.name.startswith("08"):  # networks so small gain nothing from a second thread
        environment.setdefault("PELLUCID_NUM_THREADS", "1")
    if path.name.startswith("02"):  # its own layer is called in Python, which Pellucid says once
        environment["PYTHONWARNINGS"] = "error,ignore:no instructions"
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.search(SAYS[path.name[:2]], done.stdout), done.stdout
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"
