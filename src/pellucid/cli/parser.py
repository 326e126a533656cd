"""What may stand on the command line, and the help that explains it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from pellucid.errors import OptionError, PellucidError, did_you_mean

_MODEL = "a network that `pellucid train` or `net.save` wrote"
_DATA = """\
DATA is one of
  digits                 8,000 handwritten digits of 28×28 to train on, 2,000 held out
  digits_8x8             1,797 small ones of 8×8, of which a fifth is held out
  FILE.npz               arrays x and y, rows first; np.savez("mine.npz", x=x, y=y)
  images.idx,labels.idx  a pair of IDX files as MNIST and Fashion-MNIST have them, .gz or not
`train` takes the embedded digits to train on, every other command those held out."""

_OVERVIEW = """\
from nothing to a network that reads handwriting, and what it sees in an image:
  pellucid train digits -o digits.safetensors
  pellucid evaluate digits.safetensors digits
  pellucid predict digits.safetensors photo.png

look inside:
  pellucid summary digits.safetensors
  pellucid trace digits.safetensors digits --rows 2
  pellucid gradcheck digits.safetensors digits
  pellucid diagnose digits.safetensors digits

`pellucid COMMAND --help` explains each, with examples. Results go to stdout, progress and messages
to stderr. The exit status is 0 when all went well, 1 after a failure, 2 for wrong usage or input,
130 after Ctrl-C and 143 after SIGTERM."""

_TRAIN = """\
examples:
  pellucid train digits -o digits.safetensors
  pellucid train digits -o cnn.safetensors --epochs 8 --optimizer adamw \\
      --layers "conv2d 16 5 2, relu, conv2d 32 3, relu, max_pool2d, dropout 0.4, dense 10"
  pellucid train mine.npz -o mine.safetensors --loss mse --patience 5

go on after Ctrl-C, a kill or a power cut, with the weights of a run that never stopped:
  pellucid train digits -o d.safetensors --epochs 50 --checkpoint run.safetensors
  pellucid train digits -o d.safetensors --epochs 50 --resume run.safetensors

layers, with the numbers that may follow each:
{words}
Where the line does not say it: bytes are rescaled to 0 … 1 and other numbers standardized in front,
images get an axis of channels before a convolution, and rows of several axes are flattened before
the first dense layer. The last layer needs an output for each class, or for each column of y.

{data}"""

_EVALUATE = """\
examples:
  pellucid evaluate digits.safetensors digits
  pellucid evaluate digits.safetensors digits --report
  pellucid evaluate mine.safetensors test.npz --json

{data}"""

_PREDICT = """\
examples:
  pellucid predict digits.safetensors photo.png scan.jpg
  pellucid predict digits.safetensors note.png --invert
  pellucid predict mine.safetensors new.npz --json

INPUT is an image, an .npz file with an array x, or any other DATA. Images are resized to what the
network takes, and their brightness is brought to the range it was trained on. The embedded digits
are bright ink on dark paper: --invert reads dark ink on bright paper. A classifier answers with the
three most probable classes, others with their values; --json gives all of them."""

_TRACE = """\
examples:
  pellucid trace digits.safetensors digits
  pellucid trace mine.safetensors mine.npz --rows 4 --few 40

One step on the first rows of the data, in a copy of the network: forward, loss, backward, update,
with the shape of every array, and its numbers where they are few.

{data}"""

_SUMMARY = """\
examples:
  pellucid summary digits.safetensors
  pellucid summary digits.safetensors --json"""

_GRADCHECK = """\
examples:
  pellucid gradcheck digits.safetensors digits
  pellucid gradcheck mine.safetensors mine.npz --rows 4 --json

Compares the gradient of every parameter, and of the input, with central differences in float64, and
shows both numbers. The exit status is 1 where they do not agree.

{data}"""

_DIAGNOSE = """\
examples:
  pellucid diagnose digits.safetensors digits
  pellucid diagnose mine.safetensors mine.npz --json

Says in words what is wrong with a network or its data: what was found where, why it matters, and
what to try. The exit status is 0 whatever is found; --json tells a program.

{data}"""

_VERSION = """\
examples:
  pellucid version
  pellucid version --json"""


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
        prog="pellucid", epilog=_OVERVIEW,
        description="Neural networks that you can read, look into, and use.",
    )  # fmt: skip
    parser.add_argument("-V", "--version", action="version", version=f"pellucid {__version__}")
    adder = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, Parser] = {}

    def command(name: str, what: str, epilog: str) -> Parser:
        commands[name] = adder.add_parser(
            name, help=what, description=what[0].upper() + what[1:] + ".",
            epilog=epilog.replace("{data}", _DATA),
        )  # fmt: skip
        return commands[name]

    _train(command("train", "train a network on data and save it", _TRAIN))
    evaluate = command("evaluate", "measure a network on data", _EVALUATE)
    predict = command("predict", "say what a network sees in images or rows", _PREDICT)
    trace = command("trace", "show one training step, phase by phase", _TRACE)
    summary = command("summary", "list a network's layers, shapes and parameters", _SUMMARY)
    gradcheck = command("gradcheck", "check every gradient of a network", _GRADCHECK)
    diagnose = command("diagnose", "say what is wrong with a network or its data", _DIAGNOSE)
    version = command("version", "say which version this is", _VERSION)

    for sub in (evaluate, predict, trace, summary, gradcheck, diagnose):
        sub.add_argument("model", metavar="MODEL", help=_MODEL)
    for sub in (evaluate, trace, gradcheck, diagnose):
        sub.add_argument("data", metavar="DATA", help="what to look at; see below")
    predict.add_argument("input", metavar="INPUT", nargs="+", help="images, or rows; see below")
    predict.add_argument("--invert", action="store_true", help="read images as negatives")
    evaluate.add_argument("--report", action="store_true", help="every class by itself, too")
    for sub, rows in ((trace, 2), (gradcheck, 16)):
        sub.add_argument(
            "--rows", type=_whole(1), default=rows, metavar="N", help=f"rows to take ({rows})"
        )
    trace.add_argument(
        "--few", type=_whole(0), default=12, metavar="N", help="print up to N numbers whole (12)"
    )
    for sub in (commands["train"], evaluate, predict, summary, gradcheck, diagnose, version):
        sub.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    return parser, commands


def _train(sub: Parser) -> None:
    from pellucid.losses import as_loss
    from pellucid.notation import describe_words
    from pellucid.optimizers import as_optimizer

    words = "\n".join(f"  {line}" for line in describe_words().splitlines())
    sub.epilog = str(sub.epilog).replace("{words}", words)
    add = sub.add_argument
    add("data", metavar="DATA", help="what to learn from; see below")
    add("-o", "--output", metavar="FILE", required=True, help="where to save the network")
    add("--layers", metavar="LINE", help="the layers, with commas (dense 128, relu, dense K)")
    add("--loss", type=_named(as_loss), metavar="NAME",
        help="cross_entropy, binary_cross_entropy, mse, mae, huber, … (what suits y)")  # fmt: skip
    add("--epochs", type=_whole(0), default=20, metavar="N", help="passes over the data (20)")
    add("--batch-size", type=_whole(1), default=64, metavar="N", help="rows of one update (64)")
    add("--optimizer", type=_named(as_optimizer), default=as_optimizer("adam"), metavar="NAME",
        help="adam, adamw, sgd, rmsprop, lbfgs, … (adam)")  # fmt: skip
    add("--learning-rate", type=float, metavar="RATE", help="step size (the optimizer's own)")
    add("--validation", type=_validation, default=0.1, metavar="PART",
        help="a part of the rows, or DATA, to watch the run on; 0 for none (0.1)")  # fmt: skip
    add("--patience", type=_whole(0), metavar="N",
        help="put up with N epochs without a better validation loss; keep the best")  # fmt: skip
    add("--class-weight", choices=["balanced"], help="count every class alike, rare ones too")
    add("--penalty-l2", type=float, metavar="RATE", help="keep weights small: ½·RATE·Σw²")
    add("--accumulate", type=_whole(1), default=1, metavar="N", help="batches of one update (1)")
    add("--seed", type=_whole(0), default=0, metavar="N", help="decides all that is random (0)")
    add("--dtype", choices=["float32", "float64"], default="float32", help="(float32)")
    add("--checkpoint", metavar="FILE", help="write the run there after every epoch")
    add("--resume", metavar="FILE", help="go on from a checkpoint: repeat the command with this")
    add("--quiet", action="store_true", help="no progress, no notes")


def _named(make: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type of argument that is the name of something."""

    def read(text: str) -> Any:
        try:
            return make(text)
        except PellucidError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


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
