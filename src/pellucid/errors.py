"""Every error of Pellucid: what went wrong, where, and what to do.

Each derives from `PellucidError` and from the built-in a user would catch::

    PellucidError
    ├── OptionError       (ValueError, TypeError) an unknown option, or a senseless value
    ├── ShapeError        (ValueError)     arrays or layers that do not fit together
    ├── DataError         (ValueError)     NaN, labels out of range, lengths that differ, no rows
    ├── GraphError        (ValueError)     a network that cannot be built as described
    ├── ExpressionError   (ValueError)     a text to be explained that is no arithmetic of arrays
    ├── UnknownNameError  (KeyError)       a node, parameter or column that is not there
    ├── TooLargeError     (MemoryError)    a network that does not fit in memory
    ├── NotBuiltError     (RuntimeError)   asked for something that only a built network has
    ├── StepError         (RuntimeError)   the phases of a step out of order
    ├── GradientError     (AssertionError) a gradient check that failed
    ├── DivergenceError   (ArithmeticError) a loss, gradient or parameter not finite
    ├── FileFormatError   (ValueError)     a file that is not what it should be
    ├── CheckpointError   (OSError)        a file that cannot be written or read
    ├── ResumeError       (ValueError)     a training state that belongs to another run
    ├── EngineError       (RuntimeError)   an engine that cannot do what was asked
    ├── MissingExtraError (ImportError)    an optional package that is not installed
    └── Interrupted       (KeyboardInterrupt) a run stopped by Ctrl-C between two steps

and two warnings: `EngineWarning`, for what the compiled engine leaves to Python, and
`DivergenceWarning`, for one of several networks trained together that diverged.
"""

from __future__ import annotations

from collections.abc import Iterable


class PellucidError(Exception):
    """Base of every error that Pellucid raises on purpose."""


class OptionError(PellucidError, ValueError, TypeError):
    """An option that does not exist, or whose value makes no sense."""


class ShapeError(PellucidError, ValueError):
    """Arrays or layers that do not fit together."""


class DataError(PellucidError, ValueError):
    """Data that cannot be learnt from: NaN, labels out of range, no rows."""


class GraphError(PellucidError, ValueError):
    """A network that cannot be built as described."""


class TooLargeError(PellucidError, MemoryError):
    """A network that does not fit in memory."""


class ExpressionError(PellucidError, ValueError):
    """A text to be explained that is no arithmetic of arrays."""


class UnknownNameError(PellucidError, KeyError):
    """A node, parameter or column that is not there; the message says which are near."""

    @classmethod
    def of(cls, name: object, known: Iterable[str]) -> UnknownNameError:
        """The error for `name`, with the nearest of the `known` names."""
        return cls(f"there is no {name!r} here. {did_you_mean(str(name), known)}")

    def __str__(self) -> str:
        return str(self.args[0])


class NotBuiltError(PellucidError, RuntimeError):
    """Something was asked that only a built network can answer."""


class StepError(PellucidError, RuntimeError):
    """The phases of a step were called out of order."""


class GradientError(PellucidError, AssertionError):
    """An analytic gradient that differs from the numeric one."""


class DivergenceError(PellucidError, ArithmeticError):
    """A loss, gradient or parameter that became NaN or infinite."""


class FileFormatError(PellucidError, ValueError):
    """A file that is not what it should be."""


class CheckpointError(PellucidError, OSError):
    """A file that cannot be written or read."""


class ResumeError(PellucidError, ValueError):
    """A training state that belongs to another network, optimizer or run."""


class EngineError(PellucidError, RuntimeError):
    """An engine that cannot do what was asked."""


class EngineWarning(UserWarning):
    """Something in a network runs in Python although the compiled engine was to be used."""


class DivergenceWarning(UserWarning):
    """One of several networks trained together became NaN or infinite; the others go on."""


class MissingExtraError(PellucidError, ImportError):
    """An optional package that is not installed; the message has the command."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingExtraError:
        """The error for `package`, which the extra `extra` brings."""
        return cls(f'this needs {package}: pip install "pellucid[{extra}]"')


class Interrupted(PellucidError, KeyboardInterrupt):
    """Ctrl-C between two steps: the network is whole and `fit(..., resume=True)` goes on."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: ``" Did you mean 'units'?"``, else what there is to choose from.

    >>> did_you_mean("unit", ["units", "name"])
    "Did you mean 'units'?"
    """
    from difflib import get_close_matches

    known = list(known)
    same = [name for name in known if name.casefold() == word.casefold()]
    close = same or get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else ""
