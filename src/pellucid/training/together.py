"""fit_together: one pass over the data feeds many networks.

The rows of some batches are gathered once, every network makes its updates from them, and the next
rows follow. Each network keeps a run of its own (program, counters, record, observers), as in
`fit`; only the order of rows is common to all. So each ends with the bits it would have alone.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from pellucid.description import checked_options
from pellucid.errors import DivergenceError, DivergenceWarning, Interrupted, OptionError
from pellucid.events import Observer, RunStart
from pellucid.network.network import Network
from pellucid.optimizers import LBFGS
from pellucid.random import seed_of
from pellucid.training.feeds import Feed, ItemFeed, RowFeed, naming
from pellucid.training.fit import (
    all_or_nothing,
    checked_observers,
    run_of,
    set_training,
    whole_number,
)
from pellucid.training.interrupts import interrupts
from pellucid.training.loop import Run, advance, divergence, end_epoch, end_run
from pellucid.training.progress import ProgressTogether
from pellucid.training.record import Record
from pellucid.training.sources import is_stream


@checked_options("fit_together", targets="Targets are the third argument, y")
def fit_together(
    networks: Sequence[Network], x: Any, y: Any = None, *, epochs: int = 10, batch_size: int = 32,
    validation: Any = None, validation_rows: str = "random", loss: Any = None,
    optimizer: Any = None, metrics: Any = None, sample_weight: Any = None,
    class_weight: Any = None, shuffle: bool = True, shuffle_seed: Any = None, accumulate: int = 1,
    steps_per_epoch: int | None = None, callbacks: Sequence[Sequence[Observer]] = (),
    progress: bool = True, resume: bool = False,
) -> list[Record]:  # fmt: skip
    """Trains several networks in one pass over the data and returns the record of each.

    Every batch is gathered once and fed to all, so data on disk, or from a generator, is read once
    an epoch. The networks may differ in everything but the shape of their inputs: layers, losses,
    optimizers, seeds, float types, engines. Each ends with the bits that
    ``net.fit(x, y, shuffle_seed=..., ...)`` alone would give it; `seconds` in its record is the
    time of all.

    Parameters
    ----------
    networks : list of Network
    x : arrays, Dataset, or batches, as in `fit`
    y : arrays, or a function of the inputs of some rows that gives their targets
        A network is such a function: ``y=teacher`` has all learn its raw outputs, and
        ``y=teacher.predict`` its probabilities, computed once for all of them. A Dataset's own
        targets then do not matter, and a generator gives ``x`` alone or ``(x, y)``.
    callbacks : list of lists
        The observers of each network, in the order of the networks.
    shuffle_seed : int or numpy.random.Generator, optional
        Where the order of rows, the same for all, and the rows held out come from; the first
        network's seed unless given.
    resume : bool
        Go on with interrupted runs; a network whose run was over already stays as it is.

    The other options are those of `fit`, for every network; `loss`, `optimizer` and `metrics`
    replace each network's own.

    A network whose loss becomes NaN or infinite stops with a `DivergenceWarning` (its record's
    `stopped` is "diverged"), and the others go on. Networks that have a different number of epochs
    behind them each begin with their own next epoch, and share the passes that coincide.

    Raises
    ------
    DataError, ShapeError, OptionError : before anything is changed, naming the network
    DivergenceError : where the last of the networks diverges, too
    Interrupted : after Ctrl-C, with every network whole

    >>> import numpy as np
    >>> from pellucid import Dense, MSE, Network, SGD, fit_together
    >>> nets = [
    ...     Network([Dense(1)], loss=MSE(), optimizer=SGD(rate), seed=0) for rate in (0.01, 0.1)
    ... ]
    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> slow, fast = fit_together(nets, x, 2 * x, epochs=5, progress=False)
    >>> fast["loss"][-1] < slow["loss"][-1]
    True
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("accumulate", accumulate)):
        whole_number(name, value, 0 if name == "epochs" else 1)
    if steps_per_epoch is not None:
        whole_number("steps_per_epoch", steps_per_epoch, 1)
    nets = _checked(networks, y)
    observers = _observers(callbacks, len(nets))
    seed = nets[0].seed if shuffle_seed is None else seed_of(shuffle_seed)
    runs: list[Run] = []
    with ExitStack() as stack:
        for net in nets:
            stack.enter_context(all_or_nothing(net))
        given = nets, x, y, sample_weight, class_weight, lambda n: set_training(n, loss, optimizer)
        if is_stream(x, None):
            feed: Feed = (items := ItemFeed(*given))
            items.open(validation, steps_per_epoch, accumulate)
        else:
            if steps_per_epoch is not None:
                raise OptionError("steps_per_epoch is for generators: an epoch is all rows")
            feed = (rows := RowFeed(*given))
            rows.open(validation, validation_rows, batch_size, shuffle, accumulate, seed)
        for i, (net, source) in enumerate(zip(nets, feed.sources, strict=True)):
            with naming(i):
                run = run_of(
                    net, source, observers[i], epochs=epochs, metrics=metrics, resume=resume,
                    batch_size=batch_size, accumulate=accumulate, shuffle=bool(shuffle),
                    shuffle_seed=seed,
                )  # fmt: skip
            runs.append(run)
    _Together(runs, feed, ProgressTogether(runs) if progress else None).train()
    return [run.record for run in runs]


# ---- what is refused ----------------------------------------------------------------------------


def _checked(networks: Any, y: Any) -> list[Network]:
    if isinstance(networks, Network) or not isinstance(networks, list | tuple) or not networks:
        raise OptionError(f"networks is a list of at least one Network, not {networks!r}")
    nets: list[Network] = []
    for i, net in enumerate(networks):
        if not isinstance(net, Network):
            raise OptionError(f"networks[{i}] is no Network: {net!r}")
        for j, other in enumerate(nets):
            if net is other:
                raise OptionError(
                    f"networks[{j}] and networks[{i}] are the same network: each trains once, so "
                    "give net.clone(seed=1) for another one like it, or net.copy()"
                )
        if net is y or net is getattr(y, "__self__", None):
            raise OptionError(
                f"networks[{i}] is its own teacher: targets come from a network that stays as it "
                "is, teacher = net.copy()"
            )
        if isinstance(net.optimizer, LBFGS):
            raise OptionError(
                f"networks[{i}] has LBFGS, which walks over all rows as often as it needs: train "
                "it alone, with fit"
            )
        nets.append(net)
    return nets


def _observers(callbacks: Any, count: int) -> list[list[Observer]]:
    if isinstance(callbacks, list | tuple) and not callbacks:
        return [[] for _ in range(count)]
    if not isinstance(callbacks, list | tuple) or any(isinstance(c, Observer) for c in callbacks):
        raise OptionError(
            "callbacks is a list of lists, the observers of each network: an observer follows one "
            "run, so write [[EarlyStopping()] for _ in networks]"
        )
    if len(callbacks) != count:
        raise OptionError(f"callbacks has {len(callbacks)} lists for {count} networks")
    return [checked_observers(each) for each in callbacks]


# ---- the loop -----------------------------------------------------------------------------------


class _Together:
    """Several runs, epoch by epoch, block by block, network by network."""

    def __init__(self, runs: list[Run], feed: Feed, board: ProgressTogether | None) -> None:
        self._runs, self._feed, self._board = runs, feed, board
        self._going = list(runs)
        self._clocks = {id(run): time.perf_counter() - run.state.seconds for run in runs}

    def train(self) -> None:
        """Until every run is over; the networks are whole whatever happens."""
        runs = self._runs
        for run in runs:
            epochs = run.last_epoch - run.state.first_epoch
            run.emit(RunStart(run, epochs, run.steps_per_epoch), "on_run_start")
        with interrupts(runs):
            try:
                self._close_ended()
                while self._going:
                    self._pass()
                    self._close_ended()
            finally:
                for run in list(self._going):
                    self._close(run)
                if self._board is not None:
                    self._board.close()
        if all(run.diverged for run in runs):
            told = f"networks[{len(runs) - 1}], the last of them: " if len(runs) > 1 else ""
            raise DivergenceError(f"{told}{divergence(runs[-1])}")
        if any(run.record.stopped == "interrupted" for run in runs):
            made = ", ".join(str(run.state.updates) for run in runs)
            raise Interrupted(
                f"training stopped after {made} updates (network by network); all networks are "
                "whole, and fit_together with resume=True goes on from there"
            )

    def _pass(self) -> None:
        """One pass over the data, for the networks whose epoch is next."""
        epoch = min(run.state.epoch for run in self._going)
        here = [i for i, run in enumerate(self._runs)
                if run in self._going and run.state.epoch == epoch]  # fmt: skip
        start = min(self._runs[i].state.batch for i in here)
        for first, batches in self._feed.blocks(epoch, start):
            for i in here:
                advance(self._runs[i], batches[i], first)
                if self._runs[i].diverged:
                    self._close(self._runs[i])
            here = [i for i in here if self._runs[i] in self._going]
            if all(self._runs[i].flag[0] for i in here):
                break
            if self._board is not None:
                self._board.block([self._runs[i] for i in here])
        ended = [self._runs[i] for i in here if not self._runs[i].flag[0]]
        for run in ended:
            run.state.seconds = time.perf_counter() - self._clocks[id(run)]
            end_epoch(run)
        if self._board is not None:
            self._board.epoch(ended)

    def _close_ended(self) -> None:
        """Ends the runs that have had their last epoch, or were stopped."""
        for run in list(self._going):
            if run.state.epoch >= run.last_epoch or run.reason:
                self._close(run)

    def _close(self, run: Run) -> None:
        """Ends a run; one that diverged is told of where others go on."""
        self._going.remove(run)
        run.state.seconds = time.perf_counter() - self._clocks[id(run)]
        end_run(run)
        if run.diverged and not all(other.diverged for other in self._runs):
            warnings.warn(
                f"networks[{self._runs.index(run)}]: {divergence(run)}. The other networks go on",
                DivergenceWarning, stacklevel=6,
            )  # fmt: skip
