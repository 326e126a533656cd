"""Frozen descriptions: what layers, losses, optimizers, schedules, initialisers and metrics are.

A description is a frozen dataclass whose fields are JSON values, tuples of them, or further
descriptions; it holds no arrays. That makes it comparable, printable, picklable and savable by
name, and lets one object be used in many networks. This module gives all of them three things:
option names that are checked ("did you mean"), a JSON form and back, and a registry of names.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from abc import ABCMeta
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from pellucid.errors import FileFormatError, OptionError, did_you_mean

_registry: dict[str, type[Description]] = {}
T = TypeVar("T", bound="type[Description]")
P = ParamSpec("P")
R = TypeVar("R")


class _CheckedOptions(ABCMeta):
    """Translates well-known aliases and names the nearest option when one is unknown."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """The options, for `help` and editors, which would otherwise see those of `__call__`."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if dataclasses.is_dataclass(cls):
            known = [field.name for field in dataclasses.fields(cls) if field.init]
            aliases: dict[str, str] = cls.aliases  # type: ignore[attr-defined]
            for word in list(options):
                if word in known:
                    continue
                if word not in aliases:
                    remedies: dict[str, str] = cls.remedies  # type: ignore[attr-defined]
                    raise unknown_option(cls.__name__, word, known, remedies, _forgotten(cls))
                if aliases[word] in options:
                    raise OptionError(f"{cls.__name__}: {word} and {aliases[word]} are one option")
                options[aliases[word]] = options.pop(word)
        try:
            return _plain(super().__call__(*args, **options))
        except TypeError as error:
            if isinstance(error, OptionError) or "__init__()" not in str(error):
                raise
            what = re.sub(r"\S*__init__\(\)", cls.__name__, str(error))
            raise OptionError(f"{what}.{_forgotten(cls)}") from None


def _plain(made: Any) -> Any:
    """The new description with NumPy's scalars as Python's, and True or False where it must be."""
    for field in dataclasses.fields(made) if dataclasses.is_dataclass(made) else ():
        value = getattr(made, field.name)
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            value = value.item()
            object.__setattr__(made, field.name, value)
        if field.type in ("bool", bool) and not isinstance(value, bool):
            raise OptionError(
                f"{type(made).__name__}: {field.name} must be True or False, not {value!r}"
            )
    return made


def unknown_option(
    owner: str, word: str, known: list[str], remedies: dict[str, str], more: str = ""
) -> OptionError:
    """The error for an option that `owner` does not have: its remedy, else the nearest name."""
    hint = f"{remedies[word]}." if word in remedies else did_you_mean(word, known)
    return OptionError(f"{owner} has no option {word!r}. {hint}{more}")


def checked_options(owner: str, **remedies: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Lets a function name the nearest option when one is unknown, as descriptions do.

    `remedies` are sentences for words that users of other libraries would try.

    >>> @checked_options("paint", color="Say which with pigment=")
    ... def paint(pigment: str, *, coats: int = 1) -> str:
    ...     return pigment * coats
    >>> paint("red", coat=2)
    Traceback (most recent call last):
        ...
    pellucid.errors.OptionError: paint has no option 'coat'. Did you mean 'coats'?
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            for word in options:
                if word not in known:
                    choices = [name for name in known if name not in ("self", "net", "x", "y")]
                    raise unknown_option(owner, word, choices, remedies)
            return function(*args, **options)

        return checked

    return decorate


def _forgotten(cls: type) -> str:
    """The remedy where a class has annotated options of its own, but no @dataclass above it."""
    if "__dataclass_params__" in vars(cls) or not inspect.get_annotations(cls):
        return ""
    return f" Its fields become options by @dataclass(frozen=True, repr=False) above {cls.__name__}"


class Description(metaclass=_CheckedOptions):
    """Base of everything that describes and holds no arrays."""

    aliases: ClassVar[dict[str, str]] = {}
    remedies: ClassVar[dict[str, str]] = {}  # what to do instead of options others have
    registered_name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.registered_name = cls.__name__
        if cls.__module__.startswith("pellucid."):
            _registry[cls.__name__] = cls

    def to_config(self) -> dict[str, Any]:
        """The description as JSON values: its registered name under "type", then its fields."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        config = {field.name: _to_json(getattr(self, field.name)) for field in fields}
        return {"type": self.registered_name, **config}

    @staticmethod
    def from_config(config: dict[str, Any]) -> Description:
        """The description that `to_config` wrote; a FileFormatError for an unknown type."""
        options = dict(config)
        name = options.pop("type", None)
        if not isinstance(name, str) or name not in _registry:
            raise FileFormatError(
                f"unknown type {name!r}: if it is your own class, import the module that holds it "
                f"and its @register({name!r}) first. {did_you_mean(str(name), _registry)}"
            )
        return _registry[name](**{key: _from_json(value) for key, value in options.items()})

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def __repr__(self) -> str:
        """The call that makes it, without the options left at their defaults."""
        shown: list[str] = []
        named: list[str] = []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            required = field.default is dataclasses.MISSING
            if required and not field.kw_only:
                shown.append(repr(value))
            elif required or value != field.default:
                named.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown + named)})"


def register(name: str) -> Callable[[T], T]:
    """Names a class of yours, so that networks that use it can be saved and loaded.

    It becomes a frozen dataclass, where it is not one yet.

    >>> from pellucid.layers import Activation
    >>> @register("example.Power")
    ... class Power(Activation):
    ...     exponent: int = 2
    ...     def value(self, z):
    ...         return z**self.exponent
    ...     def slope(self, z, a):
    ...         return self.exponent * z ** (self.exponent - 1)
    >>> Power(3)
    Power(exponent=3)
    """

    def decorate(cls: T) -> T:
        if not (isinstance(cls, type) and issubclass(cls, Description)):
            raise OptionError(f"register is for layers, losses and their like, not {cls!r}")
        if "__dataclass_params__" not in vars(cls):
            dataclasses.dataclass(frozen=True, repr=False)(cls)  # the same class, completed
        other = _registry.get(name)
        if other is not None and (other.__module__, other.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise OptionError(f"{name!r} is already registered, for {other.__qualname__}")
        cls.registered_name = name
        _registry[name] = cls
        return cls

    return decorate


def is_registered(description: Description) -> bool:
    """Whether a file can name this description's class."""
    return _registry.get(description.registered_name) is type(description)


def _to_json(value: Any) -> Any:
    if isinstance(value, Description):
        return value.to_config()
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    raise OptionError(f"a description holds JSON values, not {type(value).__name__}: {value!r}")


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return Description.from_config(value)
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    return value


def number(
    owner: object, option: str, *, above: float | None = None, at_least: float | None = None,
    below: float | None = None, at_most: float | None = None, integer: bool = False,
) -> None:  # fmt: skip
    """Checks that an option of a description is a finite number in its range.

    Raises OptionError naming the class, the option, its range and its value.
    """
    value = getattr(owner, option)
    kinds = (int,) if integer else (int, float)
    bounds: list[tuple[float | None, str, Callable[[Any, Any], bool]]] = [
        (above, "above", lambda v, b: v > b),
        (at_least, "at least", lambda v, b: v >= b),
        (below, "below", lambda v, b: v < b),
        (at_most, "at most", lambda v, b: v <= b),
    ]
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    fine = isinstance(value, kinds) and not isinstance(value, bool)
    fine = fine and abs(value) < float("inf")
    fine = fine and all(bound is None or test(value, bound) for bound, _, test in bounds)
    if not fine:
        wanted = " and ".join(f"{word} {bound:g}" for bound, word, _ in bounds if bound is not None)
        kind = "a whole number" if integer else "a finite number"
        raise OptionError(
            f"{type(owner).__name__}: {option} must be {kind} {wanted}".rstrip()
            + f", not {getattr(owner, option)!r}"
        )


def one_of(owner: object, option: str, choices: tuple[Any, ...]) -> None:
    """Checks that an option is one of `choices`; the OptionError names them and the nearest."""
    value = getattr(owner, option)
    if value not in choices:
        hint = did_you_mean(value, choices) if isinstance(value, str) else f"Known: {choices}."
        raise OptionError(f"{type(owner).__name__}: {option} cannot be {value!r}. {hint}")
