"""The command `train`: from its options to a run, and what is left when it ends or is stopped."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.cli.check import is_file_of_layers, list_in, train_own
from pellucid.cli.datasets import features_of, read_data
from pellucid.cli.inputs import layers_for, loss_for, targets_for
from pellucid.cli.notes import check_words, notes_on, put_scaling, scaling_for, spare_outputs
from pellucid.cli.shared import how_of, print_json, stored
from pellucid.cli.signals import Signals
from pellucid.data.dataset import Dataset
from pellucid.errors import CheckpointError, Interrupted, OptionError, ResumeError
from pellucid.events import Observer
from pellucid.formats.atomic import check_writable
from pellucid.formats.safetensors import checked_config, load_state, save_state
from pellucid.layers.base import Layer
from pellucid.losses import Loss, as_loss
from pellucid.network.network import Network
from pellucid.notation import format_layers
from pellucid.optimizers import Optimizer
from pellucid.penalties import L1, L2
from pellucid.schedules import WarmUp
from pellucid.training.averaging import AveragedWeights
from pellucid.training.callbacks import Checkpoint, EarlyStopping
from pellucid.training.plateau import ReduceLROnPlateau
from pellucid.training.record import Record

Array = NDArray[Any]
PICTURES = (".png", ".svg", ".pdf")


def train(args: Namespace) -> int | None:
    """Trains a network and saves it."""
    layers: str | list[Layer] | None = args.layers
    if is_file_of_layers(args.layers):
        layers = list_in(args.layers.strip())
        if layers is None:
            return train_own(args)
    if args.output is None:
        raise OptionError("-o FILE is missing, where to save it\nsee pellucid train --help")
    signals: Signals = args.signals
    checkpoint = args.checkpoint or args.resume
    _check_options(args)
    for path in filter(None, (args.output, checkpoint, args.plot)):
        try:
            check_writable(path)
        except CheckpointError as error:  # before anything was done: a matter of usage
            raise OptionError(str(error)) from None
    draw = _drawing(args.plot)
    state = stored(load_state, args.resume) if args.resume else None
    data = read_data(args.data, "train", how_of(args))
    net, data = _network(args, data, layers)
    validation: Any = args.validation
    if isinstance(validation, str):
        validation = targets_for(net, read_data(validation, "test", how_of(args), net=net))
    try:
        record = net.fit(
            data, epochs=args.epochs, batch_size=args.batch_size,
            validation=None if validation == 0 else validation,
            validation_rows=args.validation_rows, metrics=args.metrics,
            class_weight=args.class_weight, shuffle=not args.no_shuffle,
            shuffle_seed=args.shuffle_seed, accumulate=args.accumulate,
            callbacks=[*_callbacks(args, checkpoint), signals],
            progress=not args.quiet, resume=state,
        )  # fmt: skip
    except ResumeError as error:
        raise ResumeError(f"{error}\n--resume goes with the command of that run") from None
    except Interrupted:
        if not checkpoint:
            checkpoint = str(Path(args.output).with_suffix(".checkpoint.safetensors"))
            with signals.held():
                save_state(net, checkpoint, _state(net))
        raise Interrupted(
            f"stopped after update {net.updates}; go on with\n  {_resuming(args.words, checkpoint)}"
        ) from None
    with signals.held():
        net.save(args.output)
    draw(record)
    if not args.quiet:
        weighted = args.class_weight is not None
        for note in notes_on(net, data, record, scaled=args.scale_target, weighted=weighted):
            print(f"note: {note}", file=sys.stderr)
    if args.json:
        size = net.parameters.vector.size
        print_json({"model": args.output, "parameters": size, "updates": net.updates,
                    "stopped": record.stopped, "record": record.rows})  # fmt: skip
    elif not args.quiet:
        print(f"saved {args.output}")
    return None


def _check_options(args: Namespace) -> None:
    """Refuses options that say nothing without another."""
    needs = [
        ("--monitor", args.monitor is not None, "--patience or --plateau"),
        ("--min-delta", args.min_delta != 0, "--patience or --plateau"),
    ]
    for option, given, other in needs:
        if given and args.patience is None and args.plateau is None:
            raise OptionError(f"{option} goes with {other}")
    if args.checkpoint_every is not None and not (args.checkpoint or args.resume):
        raise OptionError("--checkpoint-every goes with --checkpoint")
    if args.penalty_l1 is not None and args.penalty_l2 is not None:
        raise OptionError("a network has one penalty: --penalty-l1 or --penalty-l2")


def _callbacks(args: Namespace, checkpoint: str | None) -> list[Observer]:
    """The observers that the options ask for."""
    found: list[Observer] = []
    if args.average is not None:
        found.append(AveragedWeights())
    if args.plateau is not None:
        found.append(
            ReduceLROnPlateau(
                args.monitor, patience=args.plateau, factor=args.plateau_factor,
                min_delta=args.min_delta,
            )
        )  # fmt: skip
    if args.patience is not None:
        found.append(EarlyStopping(args.monitor, patience=args.patience, min_delta=args.min_delta))
    if checkpoint:
        found.append(Checkpoint(checkpoint, every=args.checkpoint_every))
    return found


def _network(
    args: Namespace, data: Dataset, line: str | list[Layer] | None
) -> tuple[Network, Dataset]:
    """The network that the options describe, built for the data."""
    if data.y is None:
        raise OptionError(f"{args.data} has nothing to predict")
    loss: Loss = args.loss if args.loss is not None else as_loss(loss_for(data.y))
    check_words(data, loss, args.data)
    optimizer = _optimizer(args)
    layers = layers_for(data, line, loss)
    scaling = scaling_for(data.y, loss) if args.scale_target else None
    layers += [] if scaling is None else [scaling[0]]
    penalty = None if args.penalty_l2 is None else L2(args.penalty_l2)
    net = Network(
        layers, loss=loss, optimizer=optimizer, seed=args.seed, dtype=args.dtype,
        engine=args.engine, penalty=penalty if args.penalty_l1 is None else L1(args.penalty_l1),
    )  # fmt: skip
    net.inputs_for(data.x)
    _check_savable(net)
    if scaling is not None:
        put_scaling(net, *scaling[1:])
    net.classes, net.features = data.names, features_of(args.data, how_of(args))
    if not args.quiet:
        _tell(args, net, data, layers)
    return net, targets_for(net, data)


def _check_savable(net: Network) -> None:
    """Refuses layers that no file could name before they are trained."""
    try:
        checked_config(net)
    except CheckpointError as error:
        raise OptionError(str(error)) from None


def _tell(args: Namespace, net: Network, data: Dataset, layers: list[Layer]) -> None:
    """What is about to be trained, on stderr."""
    lines = [
        f"{len(data):,} rows of {data.x.shape[1:]}; {net.loss!r}, {net.optimizer!r}",
        f"{format_layers(layers)}: {net.parameters.vector.size:,} parameters",
    ]
    if args.loss is None and _may_be_classes(data.y):
        lines.append(
            "y holds few whole numbers, but as floats, and is taken for quantities; for classes "
            "store y.astype(int)"
        )
    note = spare_outputs(net, data)
    print("\n".join([*lines, *([f"note: {note}"] if note else [])]), file=sys.stderr)


def _optimizer(args: Namespace) -> Optimizer:
    """The optimizer with what further options say of it."""
    optimizer: Optimizer = args.optimizer
    options = ("learning_rate", "clip_norm", "weight_decay", "average")
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    optimizer = optimizer.replace(**given)
    if args.warm_up is not None:
        optimizer = optimizer.replace(learning_rate=WarmUp(optimizer.learning_rate, args.warm_up))
    return optimizer


def _drawing(path: str | None) -> Any:
    """A function that draws a record into a file; what it lacks is said before training."""
    if path is None:
        return lambda _record: None
    if not path.lower().endswith(PICTURES):
        raise OptionError(f"--plot draws {', '.join(PICTURES)}, not {path}")
    os.environ.setdefault("MPLBACKEND", "Agg")  # into a file: no window is wanted
    from pellucid.insight.plots import learning_curves
    from pellucid.insight.plots.canvas import pyplot

    plt = pyplot()

    def draw(record: Record) -> None:
        if not len(record):
            print(f"no epoch was completed: {path} is not drawn", file=sys.stderr)
            return
        figure: Any = learning_curves(record).figure
        try:
            figure.savefig(path, dpi=150)
        finally:
            plt.close(figure)

    return draw


def _may_be_classes(y: Array) -> bool:
    """Whether targets are floats in type alone: 0.0, 1.0 and their like."""
    if y.ndim != 1 or y.dtype.kind != "f" or not np.isfinite(y).all():
        return False
    return bool((y >= 0).all() and (y == np.floor(y)).all() and len(np.unique(y)) <= 10)


def _state(net: Network) -> Any:
    assert net.training is not None, "a run that was interrupted leaves its state"
    return net.training


def _resuming(words: list[str], checkpoint: str) -> str:
    """The same command, going on from a checkpoint."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "--resume":
            kept.pop()
        elif not word.startswith("--resume="):
            kept.append(word)
    return shlex.join(["pellucid", *kept, "--resume", checkpoint])
