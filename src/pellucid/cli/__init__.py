"""The command line: ``pellucid train digits -o digits.safetensors`` and its sisters.

`main` is where every command begins and ends. Results go to stdout; progress, notes and errors go
to stderr. What a run ended with is its exit status:

======  ============================================================================
0       done; `diagnose` too, whatever it finds
1       failure: training diverged, gradients are wrong, a file could not be written or fetched
2       wrong usage, or input that cannot be used; nothing was done
130     stopped by Ctrl-C (SIGINT); a training run can be resumed
143     stopped by SIGTERM; the same
141     whoever read the output stopped reading
======  ============================================================================
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from pellucid.cli.signals import Signals
from pellucid.data.downloads import DownloadError
from pellucid.errors import (
    CheckpointError,
    DivergenceError,
    EngineError,
    GradientError,
    PellucidError,
)

__all__ = ["main"]

DONE, FAILURE, USAGE, PIPE = 0, 1, 2, 141
_FAILURES = (CheckpointError, DivergenceError, DownloadError, EngineError, GradientError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; `argv` are its words, by default those of this process.

    >>> main(["version"])  # doctest: +SKIP
    pellucid 0.1.0 ...
    0
    """
    if argv is None:
        for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows `?`
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
    with warnings.catch_warnings(), Signals() as signals:
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", UserWarning)
        try:
            status = _run(list(sys.argv[1:] if argv is None else argv), signals)
            sys.stdout.flush()
        except KeyboardInterrupt as error:  # Interrupted, too
            _say(str(error) or "stopped")
            return signals.status
        except BrokenPipeError:
            _give_up_stdout()
            return PIPE
        except MemoryError as error:
            _say(f"not enough memory: {error}" if str(error) else "not enough memory")
            return FAILURE
        except PellucidError as error:
            _say(str(error))
            return FAILURE if isinstance(error, _FAILURES) else USAGE
        except OSError as error:
            name = f"{error.filename}: " if error.filename is not None else ""
            _say(f"{name}{error.strerror or error}")
            return USAGE
        except Exception as error:
            if os.environ.get("PELLUCID_TRACEBACK"):
                raise
            _say(
                f"{type(error).__name__}: {error}\nThis is a fault in Pellucid itself; with "
                "PELLUCID_TRACEBACK=1 in the environment the same command shows where"
            )
            return FAILURE
        return signals.status if signals.came else status


def _run(argv: list[str], signals: Signals) -> int:
    from pellucid.cli.parser import parse

    args = parse(argv)
    if isinstance(args, int):
        return args
    from pellucid.cli import commands

    args.signals = signals
    if getattr(args, "threads", None) is not None:
        from pellucid.engine.threads import set_threads

        set_threads(args.threads)
    run: Any = getattr(commands, args.command)
    status: int | None = run(args)
    return DONE if status is None else status


def _say(text: str) -> None:
    print(f"pellucid: {text}", file=sys.stderr)


def _show_warning(message: Warning | str, *_place: Any, **_more: Any) -> None:
    print(f"pellucid: warning: {message}", file=sys.stderr)


def _give_up_stdout() -> None:
    """Lets Python flush into nothing when it ends; the reader has gone."""
    try:
        stdout = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    except (OSError, ValueError):
        return
