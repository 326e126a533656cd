"""What may stand on the command line, and the help that explains it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from pellucid.cli import help as told
from pellucid.errors import OptionError, PellucidError, did_you_mean

SHELLS = ("bash", "zsh", "fish")


class Parser(argparse.ArgumentParser):
    """Options that may not be shortened, and errors that go the way of all others."""

    def __init__(self, *args: Any, **options: Any) -> None:
        layout = partial(argparse.RawDescriptionHelpFormatter, max_help_position=26, width=100)
        super().__init__(*args, **options | {"formatter_class": layout, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """An OptionError with the message and where to read more."""
        raise OptionError(f"{message}\nsee {self.prog} --help")


def parse(argv: list[str]) -> argparse.Namespace | int:
    """The words of a command line as a namespace, or an exit status where help was asked for."""
    parser, commands = _parsers()
    if not argv:
        parser.print_help(sys.stderr)
        return 2
    name = argv[0]
    if not name.startswith("-") and name not in commands:
        parser.error(f"there is no command {name!r}. {did_you_mean(name, commands)}")
    if name in commands:
        _check_options(commands[name], argv[1:])
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # after --help or --version
        return int(stop.code or 0)
    args.words = argv
    return args


def commands_of() -> dict[str, Parser]:
    """The commands with their parsers."""
    return _parsers()[1]


def _check_options(parser: Parser, words: list[str]) -> None:
    """Names the nearest option of a command when one is unknown."""
    known = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", parser.format_usage())))
    for word in words:
        option = word.partition("=")[0]
        if option == "--":
            return
        if re.match(r"--\w", word) and option not in (*known, "--help"):
            parser.error(f"there is no option {option}. {did_you_mean(option, known)}")


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    from pellucid import __version__

    parser = Parser(
        prog="pellucid", epilog=told.OVERVIEW,
        description="Neural networks that you can read, look into, and use.",
    )  # fmt: skip
    parser.add_argument("-V", "--version", action="version", version=f"pellucid {__version__}")
    adder = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, Parser] = {}

    def command(name: str, what: str, epilog: str) -> Parser:
        commands[name] = adder.add_parser(
            name, help=what, description=what[0].upper() + what[1:] + ".",
            epilog=epilog.replace("{data}", told.DATA),
        )  # fmt: skip
        return commands[name]

    train = command("train", "train a network on data and save it", told.TRAIN)
    evaluate = command("evaluate", "measure a network on data", told.EVALUATE)
    predict = command("predict", "say what a network sees in images or rows", told.PREDICT)
    trace = command("trace", "show one training step, phase by phase", told.TRACE)
    summary = command("summary", "list a network's layers, shapes and parameters", told.SUMMARY)
    gradcheck = command("gradcheck", "check every gradient of a network", told.GRADCHECK)
    diagnose = command("diagnose", "say what is wrong with a network or its data", told.DIAGNOSE)
    check = command("check", "say what is right and wrong in layers of your own", told.CHECK)
    lesson = command("walkthrough", "run a lesson in prose and code", told.WALKTHROUGH)
    completion = command("completion", "print a script that completes commands", told.COMPLETION)
    version = command("version", "say which version this is", told.VERSION)

    _train(train)
    for sub in (evaluate, predict, trace, summary, gradcheck, diagnose):
        sub.add_argument("model", metavar="MODEL", help=told.MODEL)
    for sub in (evaluate, trace, gradcheck, diagnose):
        sub.add_argument("data", metavar="DATA", help="what to look at; see below")
    predict.add_argument("input", metavar="INPUT", nargs="+", help="images, or rows; see below")
    predict.add_argument("--invert", action="store_true", help="read images as negatives")
    evaluate.add_argument("--report", action="store_true", help="every class by itself, too")
    evaluate.add_argument("--metrics", type=_words, metavar="NAMES", help="f1,top_3_accuracy, …")
    for sub, rows in ((trace, 2), (gradcheck, 16)):
        sub.add_argument(
            "--rows", type=_whole(1), default=rows, metavar="N", help=f"rows to take ({rows})"
        )
    trace.add_argument(
        "--few", type=_whole(0), default=12, metavar="N", help="print up to N numbers whole (12)"
    )
    check.add_argument("file", metavar="FILE", nargs="?", help="a Python file of the ladder")
    check.add_argument("--start", metavar="FOLDER", help="write the files to begin with there")
    _walkthrough(lesson)
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    for sub in (train, evaluate, predict, trace, gradcheck, diagnose):
        _reading(sub)
    for sub in (train, evaluate, predict, trace, summary, gradcheck, diagnose):
        sub.add_argument("--threads", type=_whole(1), metavar="N", help="threads to use")
    for sub in (train, evaluate, predict, summary, gradcheck, diagnose, check, version):
        sub.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    return parser, commands


def _walkthrough(sub: Parser) -> None:
    sub.add_argument("name", metavar="NAME", nargs="?", help="its name or number; none: a list")
    sub.add_argument("--figures", metavar="FOLDER", help="keep its figures there")
    sub.add_argument("--long", action="store_true", help="run what takes longer, too")
    sub.add_argument("--notebook", metavar="FILE", help="write it as a Jupyter notebook instead")


def _reading(sub: Parser) -> None:
    """How data is read."""
    add = sub.add_argument_group("reading data").add_argument
    add("--target", type=_target, metavar="COLUMN",
        help="the column of a table to predict: its name or number (-1)")  # fmt: skip
    add("--columns", type=_columns, metavar="COLUMNS",
        help="the columns to predict it from: rooms,area (all others)")  # fmt: skip
    add("--missing", choices=["error", "drop"], default="error",
        help="drop: leave out the rows of a table that have an empty cell (error)")  # fmt: skip
    add("--weight", type=_column, metavar="COLUMN", help="the column of what each row counts for")
    add("--size", type=_size, metavar="HxW", help="resize images from a folder: 64, 48x64")
    add("--grey", action="store_true", help="read images from a folder in grey")
    add("--download", action="store_true", help="fetch a set that is not on this machine")


def _train(sub: Parser) -> None:
    from pellucid.losses import as_loss
    from pellucid.notation import describe_words
    from pellucid.optimizers import as_optimizer

    words = "\n".join(f"  {line}" for line in describe_words().splitlines())
    sub.epilog = str(sub.epilog).replace("{words}", words)
    add = sub.add_argument
    add("data", metavar="DATA", help="what to learn from; see below")
    add("-o", "--output", metavar="FILE", help="where to save the network")
    add("--quiet", action="store_true", help="no progress, no notes")
    add("--plot", metavar="FILE", help="draw the learning curves: curves.png, .svg or .pdf")

    add = sub.add_argument_group("the network").add_argument
    add("--layers", metavar="LINE",
        help="the layers, as in dense 128, relu, dense K; or a FILE.py, see below")  # fmt: skip
    add("--loss", type=_line(as_loss), metavar="LINE",
        help="cross_entropy, binary_cross_entropy, mse, mae, huber, … (what suits y)")  # fmt: skip
    add("--scale-target", action="store_true",
        help="end in a layer that scales to y's mean and spread; see below")  # fmt: skip
    add("--penalty-l2", type=float, metavar="RATE", help="keep weights small: ½·RATE·Σw²")
    add("--penalty-l1", type=float, metavar="RATE", help="let weights be zero: RATE·Σ|w|")
    add("--seed", type=_whole(0), default=0, metavar="N", help="decides all that is random (0)")
    add("--dtype", choices=["float32", "float64"], default="float32", help="(float32)")
    add("--engine", choices=["auto", "native", "numpy"], default="auto", help="(auto)")

    add = sub.add_argument_group("its training").add_argument
    add("--epochs", type=_whole(0), default=20, metavar="N", help="passes over the data (20)")
    add("--batch-size", type=_whole(1), default=64, metavar="N", help="rows of one update (64)")
    add("--accumulate", type=_whole(1), default=1, metavar="N", help="batches of one update (1)")
    add("--optimizer", type=_line(as_optimizer), default=as_optimizer("adam"), metavar="LINE",
        help="adam, adamw, sgd, rmsprop, lbfgs, … (adam)")  # fmt: skip
    add("--learning-rate", type=_rate, metavar="RATE",
        help="step size, or the LINE of a schedule (the optimizer's own)")  # fmt: skip
    add("--warm-up", type=_whole(1), metavar="N", help="let the rate grow over N updates first")
    add("--clip-norm", type=float, metavar="NORM", help="shorten gradients longer than that")
    add("--weight-decay", type=float, metavar="RATE", help="pull weights towards 0")
    add("--average", type=_line(_average), metavar="LINE",
        help="validate and end with averaged weights: ema 0.99, swa")  # fmt: skip
    add("--class-weight", type=_class_weight, metavar="WEIGHTS",
        help="balanced: rare classes count as much; or one for each: 1,2.5,1")  # fmt: skip
    add("--metrics", type=_words, metavar="NAMES", help="to measure: accuracy,f1, … (what suits)")
    add("--no-shuffle", action="store_true", help="take rows in their order in every epoch")
    add("--shuffle-seed", type=_whole(0), metavar="N", help="decides the order of rows (--seed)")

    add = sub.add_argument_group("watching and stopping it").add_argument
    add("--validation", type=_validation, default=0.1, metavar="PART",
        help="a part of the rows, or DATA, to watch the run on; 0 for none (0.1)")  # fmt: skip
    add("--validation-rows", choices=["random", "last"], default="random",
        help="which rows that part is (random)")  # fmt: skip
    add("--patience", type=_whole(0), metavar="N",
        help="put up with N epochs without a better validation loss; keep the best")  # fmt: skip
    add("--min-delta", type=float, default=0.0, metavar="D", help="better by more than D (0)")
    add("--monitor", metavar="NAME", help="what gets better, e.g. validation_accuracy")
    add("--plateau", type=_whole(0), metavar="N",
        help="lower the rate after N epochs without a better validation loss")  # fmt: skip
    add("--plateau-factor", type=float, default=0.1, metavar="F", help="to F times itself (0.1)")
    add("--checkpoint", metavar="FILE", help="write the run there after every epoch")
    add("--checkpoint-every", type=_whole(1), metavar="N", help="after every N updates instead")
    add("--resume", metavar="FILE", help="go on from a checkpoint: repeat the command with this")


# ---- types of arguments -------------------------------------------------------------------------


def _checked(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type of argument whose errors are the command line's."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except PellucidError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _line(named: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type of argument that is a line: the name of something, and its options."""
    from pellucid.notation import describe

    return _checked(lambda text: describe(text, named))


def _schedule(name: str) -> Any:
    from pellucid import schedules

    kinds = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower(): getattr(schedules, kind)
        for kind in schedules.__all__
        if kind[0].isupper() and kind not in ("Schedule", "WarmUp")
    }
    if name not in kinds:
        raise OptionError(f"no schedule {name!r}. {did_you_mean(name, kinds)}")
    return kinds[name]


def _average(name: str) -> Any:
    from pellucid.optimizers import EMA, SWA

    kinds = {"ema": EMA(), "swa": SWA()}
    if name not in kinds:
        raise OptionError(f"no average {name!r}. {did_you_mean(name, kinds)}")
    return kinds[name]


def _rate(text: str) -> Any:
    """A number, or the line of a schedule."""
    try:
        return float(text)
    except ValueError:
        return _line(_schedule)(text)


def _words(text: str) -> list[str]:
    from pellucid.metrics import as_metric

    names = [name.strip() for name in text.split(",")]
    for name in names:
        _checked(as_metric)(name)
    return names


def _class_weight(text: str) -> Any:
    try:
        return text if text == "balanced" else [float(weight) for weight in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"balanced, or a number for each class with commas, not {text!r}"
        ) from None


def _column(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d{1,6}", text) else text


def _columns(text: str) -> list[int | str]:
    return [_column(name.strip()) for name in text.split(",")]


def _target(text: str) -> Any:
    columns = _columns(text)
    return columns[0] if len(columns) == 1 else columns


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if not found or "0" in (found[1], found[2]):
        raise argparse.ArgumentTypeError(f"a size is written as 64 or 48x64, not {text!r}")
    return int(found[1]), int(found[2] or found[1])


def _whole(least: int) -> Callable[[str], int]:
    """A type of argument that is a whole number."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 18 or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"a whole number of {least} or more is needed, not {text!r}"
            )
        return int(text)

    return read


def _validation(text: str) -> float | str:
    """A part of the rows, or the name of data."""
    try:
        return float(text)
    except ValueError:
        return text
