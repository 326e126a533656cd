"""What a run shows while it goes on, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from pellucid import SGD, CrossEntropy, Network, mlp
from pellucid.events import EpochEnd, Observer


class Screen(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


def trained(epochs: int, **options: object) -> Network:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)
    net = mlp([4, 3, 2], loss=CrossEntropy(), optimizer=SGD(0.1))
    net.fit(x, y, epochs=epochs, batch_size=10, **options)
    return net


def test_elsewhere_one_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    trained(12, validation=0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    pattern = (
        r"epoch  1/12 +\d+\.\d s  loss 0\.\d{4}   accuracy 0\.\d{4}   validation: loss 0\.\d+ .*"
    )
    assert re.fullmatch(pattern, lines[0])
    assert lines[-1].startswith("epoch 12/12")
    assert len({line.index("validation") for line in lines}) == 1  # columns stand below each other


def test_a_second_fit_counts_its_own_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    net = trained(2)
    capsys.readouterr()
    net.fit(np.zeros((10, 4)), np.zeros(10, int), epochs=3)
    assert capsys.readouterr().err.startswith("epoch 1/3 ")


def test_a_terminal_shows_a_bar_and_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    trained(300)
    shown = screen.getvalue()
    assert "steps/s" in shown
    assert "left" in shown
    lines = re.findall(r"epoch +\d+/300 +\d+\.\d s .*\n", shown)
    assert lines[-1].startswith("epoch 300/300")
    assert len(lines) < 100  # a few a second, whatever an epoch takes


def test_why_a_run_ended_early_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    class Enough(Observer):
        def on_epoch(self, event: EpochEnd) -> None:
            event.run.stop("enough")

    trained(5, callbacks=[Enough()])
    assert capsys.readouterr().err.splitlines()[-1] == "stopped: enough"


def test_watching_changes_no_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Screen())
    watched, alone = trained(5), trained(5, progress=False)
    assert np.array_equal(watched.parameters.vector, alone.parameters.vector)
