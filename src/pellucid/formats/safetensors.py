"""Networks in safetensors files: arrays as they are, everything else as JSON under one key.

The metadata key ``pellucid`` holds one JSON object: the format's version, the network's
description, the training state if there is one, and a SHA-256 checksum of it all. Arrays are
named ``parameters/dense_1/W``, ``state/...`` and ``training/...``. Nothing is ever unpickled, and
everything is checked before a network is made: sizes against the file, shapes against the
description.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import Description, is_registered
from pellucid.engine.base import Tally
from pellucid.errors import CheckpointError, FileFormatError, PellucidError
from pellucid.formats.atomic import previous_of, write_atomic
from pellucid.losses.functions import FunctionLoss
from pellucid.network.graph import Graph, graph_from_config
from pellucid.network.network import Network
from pellucid.optimizers import Optimizer
from pellucid.training.state import TrainingState

Array = NDArray[Any]
FORMAT = 1
_KEY = "pellucid"
_LARGEST_HEADER = 100_000_000
_TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32), "F64": np.dtype(np.float64), "F16": np.dtype(np.float16),
    "I64": np.dtype(np.int64), "I32": np.dtype(np.int32), "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8), "U64": np.dtype(np.uint64), "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16), "U8": np.dtype(np.uint8), "BOOL": np.dtype(np.bool_),
}  # fmt: skip
_MALFORMED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


def save(net: Network, path: str | os.PathLike[str], *, training: bool = True) -> None:
    """Writes a network, atomically and synced to disk.

    With `training` (the default) also the optimizer's vectors and counters, so that a later `fit`
    goes on where this one stopped. Raises CheckpointError where the file cannot be written.
    """
    arrays = _model_arrays(net.parameters, net.state)
    document: dict[str, Any] = {"network": checked_config(net), "updates": net.updates}
    if training:
        arrays |= {f"slots/{k}": v for k, v in net.slots.items()}
        if net.training is not None:
            document["training"] = _state_document(net.training, arrays, vectors=True)
    write_atomic(path, _encode(document, arrays))


def save_state(net: Network, path: str | os.PathLike[str], state: TrainingState) -> None:
    """Writes a checkpoint: the network as it was when `state` was taken, and that state."""
    then = net.parameters.like(), net.state.like()
    then[0].vector[...], then[1].vector[...] = state.parameters, state.state
    arrays = _model_arrays(*then)
    arrays |= {f"slots/{k}": v for k, v in state.slots.items()}
    document = {"network": checked_config(net), "updates": state.updates}
    document["training"] = _state_document(state, arrays, vectors=False)
    write_atomic(path, _encode(document, arrays), keep_previous=True)


def load(path: str | os.PathLike[str]) -> Network:
    """The network in a file that `save` or a `Checkpoint` wrote.

    Where a checkpoint is damaged, the one kept before it is loaded, with a warning. Raises
    FileFormatError naming what is wrong with the file, CheckpointError where it cannot be read;
    nothing is loaded in part.
    """
    used, document, arrays = _newest_whole(path)
    return _network_of(used, document, arrays)


def load_state(path: str | os.PathLike[str]) -> TrainingState:
    """The training state in a checkpoint."""
    used, document, arrays = _newest_whole(path)
    state = _network_of(used, document, arrays).training
    if state is None:
        raise FileFormatError(
            f"{path} has a network but no training state to go on from: resume from a file that "
            "a Checkpoint wrote, or start a new run with Network.load(path).fit(...)"
        )
    return state


# ---- writing ----------------------------------------------------------------------------------


def _model_arrays(parameters: Mapping[str, Array], state: Mapping[str, Array]) -> dict[str, Array]:
    named = {f"parameters/{k}": v for k, v in parameters.items()}
    return named | {f"state/{k}": v for k, v in state.items()}


def checked_config(net: Network) -> dict[str, Any]:
    """The description, refusing classes that no file could name."""
    parts: list[Any] = [node.layer for node in net.graph.nodes if node.layer is not None]
    parts += list(net.losses.values()) if net.loss is not None else []
    parts += [part for part in (net.optimizer, net.penalty) if part is not None]
    for part in parts:
        for piece in _pieces(part):
            if not is_registered(piece):
                name = type(piece).__name__
                if isinstance(piece, FunctionLoss):
                    raise CheckpointError(
                        f"{name} is a loss of two functions that files cannot name yet: "
                        f'Loss.of(..., name="yourname.{name}")'
                    )
                raise CheckpointError(
                    f"{name} is a class of your own that files cannot name yet: put "
                    f'@pellucid.register("yourname.{name}") above it'
                )
    return net.to_config()


def _pieces(part: Any) -> list[Description]:
    """A description and all that stand in it: a schedule in a warm-up in an optimizer."""
    values = [getattr(part, field.name) for field in dataclasses.fields(part)]
    inner = [value for value in values if isinstance(value, Description)]
    return [part, *(piece for value in inner for piece in _pieces(value))]


def _state_document(
    state: TrainingState, arrays: dict[str, Array], *, vectors: bool
) -> dict[str, Any]:
    """The JSON part of a training state; its arrays are added to `arrays`."""
    if vectors and state.parameters is not None and state.state is not None:
        arrays["training/parameters"], arrays["training/state"] = state.parameters, state.state
        arrays |= {f"training/slots/{k}": v for k, v in state.slots.items()}
    for i, totals in enumerate(state.tally.metrics):
        arrays[f"training/tally/{i}"] = totals
    observers: dict[str, dict[str, Any]] = {}
    for key, kept in state.observers.items():
        observers[key] = {k: v for k, v in kept.items() if not isinstance(v, np.ndarray)}
        for name, value in kept.items():
            if isinstance(value, np.ndarray):
                arrays[f"training/observers/{key}/{name}"] = value
    return {
        "updates": state.updates, "epoch": state.epoch, "batch": state.batch,
        "first_epoch": state.first_epoch, "seconds": state.seconds, "stopped": state.stopped,
        "rows": state.rows,
        "setting": state.setting, "observers": observers,
        "tally": {"weight": state.tally.weight, "losses": state.tally.losses},
    }  # fmt: skip


def _encode(document: dict[str, Any], arrays: Mapping[str, Array]) -> bytes:
    from safetensors.numpy import save as to_bytes

    from pellucid import __version__

    plain = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    for name, array in plain.items():
        if array.dtype.newbyteorder("=") not in _TYPES.values():
            raise CheckpointError(
                f"{name} has dtype {array.dtype}, which files do not hold: use plain numbers"
            )
        plain[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    try:  # as it will be read back: the checksum is taken of exactly that
        document = json.loads(json.dumps({"format": FORMAT, "version": __version__, **document}))
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"the record or an observer's state holds what JSON cannot: {error}. Observer.state "
            "returns numbers, strings, lists, dicts and arrays"
        ) from None
    document["checksum"] = _checksum(document, plain)
    return to_bytes(plain, {_KEY: json.dumps(document)})


def _checksum(document: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    rest = {key: value for key, value in document.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"\0{name}\0{arrays[name].dtype.str}\0{arrays[name].shape}\0".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


# ---- reading ----------------------------------------------------------------------------------


class _Damaged(FileFormatError):
    """A file that was cut short or changed after it was written."""


_Damaged.__name__ = _Damaged.__qualname__ = "FileFormatError"  # what users see and catch


def _newest_whole(
    path: str | os.PathLike[str],
) -> tuple[Path, dict[str, Any], dict[str, Array]]:
    """What `path` holds; where it is damaged and the generation before it is whole, that."""
    try:
        return Path(path), *read_file(Path(path))
    except _Damaged as error:
        older = previous_of(Path(os.path.realpath(path)))
        try:
            document, arrays = read_file(older)
        except PellucidError:
            raise error from None
        warnings.warn(f"{error}; {older} was used instead", UserWarning, stacklevel=_callers())
        return older, document, arrays


def _callers() -> int:
    """The `stacklevel` of whoever called into the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("pellucid."):
        level, frame = level + 1, frame.f_back
    return level


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The JSON document and the arrays of a file, checked as far as the file itself goes."""
    try:
        data = _bytes_of(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist: check its name{_beside(path)}") from None
    except PellucidError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be read: {reason}. Check its permissions") from None
    try:
        return _decode(path, data)
    except PellucidError:
        raise
    except _MALFORMED as error:
        raise _Damaged(f"{path} is damaged, or no safetensors file: {error}") from None


def _beside(path: Path) -> str:
    older = previous_of(Path(os.path.realpath(path)))
    return f", or load {older}, which does" if older.is_file() else ""


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise FileFormatError(f"{path} is not a regular file: give the file that save wrote")
    size = path.stat().st_size
    with path.open("rb") as file:
        head, first = file.read(8), file.read(1)
        length = int.from_bytes(head, "little")
        if len(head) == 8 and 2 <= length <= min(size - 8, _LARGEST_HEADER):
            file.seek(0)
            return file.read()
    foreign = {b"PK": "a zip archive (npz or .pt)", b"\x80": "a pickle", b"\x1f\x8b": "gzip"}
    for magic, what in foreign.items():
        if head.startswith(magic) and len(head) == 8 and length > _LARGEST_HEADER:
            raise FileFormatError(
                f"{path} is {what}, which is not opened: networks are read from safetensors only. "
                "Copy the arrays in by hand: net.parameters[name] = values"
            )
    if first in (b"", b"{") and size < 8 + min(length, _LARGEST_HEADER):
        raise _Damaged(f"{path} is damaged: it ends after {size} bytes, inside its header")
    raise _Damaged(
        f"{path} is damaged, or no file that net.save or `pellucid train` wrote: its header would "
        f"be {length:,} bytes long, the file has {size:,} and {_LARGEST_HEADER:,} is the most"
    )


def _decode(path: Path, data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    from safetensors import SafetensorError, deserialize

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = header.get("__metadata__", {}).get(_KEY)
    if text is None:
        raise FileFormatError(
            f"{path} holds tensors but no network (no {_KEY!r} metadata): read them with "
            "safetensors.numpy.load_file and copy them in: net.parameters[name] = values"
        )
    document = json.loads(text)
    if not isinstance(document, dict):
        raise _Damaged(f"{path} is damaged: its {_KEY!r} metadata is no JSON object")
    written = document.get("format")
    if not isinstance(written, int) or isinstance(written, bool) or written < 1:
        raise _Damaged(f"{path} is damaged: its format version is {written!r}")
    if written > FORMAT:
        raise FileFormatError(
            f"{path} has format {written}, of version {document.get('version')}; "
            f"this version reads up to {FORMAT}: pip install --upgrade pellucid"
        )
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise _Damaged(f"{path} is damaged: {error}") from None
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in _TYPES:
            raise FileFormatError(
                f"{path}: {name} has dtype {tensor['dtype']}; files of networks hold "
                f"{', '.join(_TYPES)}"
            )
        flat = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]])
        arrays[name] = flat.reshape(tensor["shape"])
    if document.get("checksum") != _checksum(document, arrays):
        raise _Damaged(f"{path} is damaged: its checksum does not match its contents")
    return document, arrays


def _network_of(path: Path, document: dict[str, Any], arrays: dict[str, Array]) -> Network:
    """The network that a whole file describes; nothing is made before everything fits."""
    try:
        config = document["network"]
        graph = graph_from_config(config["graph"])
        optimizer = config["optimizer"] and Description.from_config(config["optimizer"])
        slots = optimizer.slot_names() if isinstance(optimizer, Optimizer) else ()
        _check_arrays(path, graph, np.dtype(config["dtype"]), slots, arrays)
        updates = _count(document, "updates")
        net = Network.from_config(config)
        for kind, vector in (("parameters", net.parameters), ("state", net.state)):
            for name in vector:
                vector[name] = arrays[f"{kind}/{name}"]
        net.updates = updates
        for name in net.slots:
            if f"slots/{name}" in arrays:
                net.slots[name][...] = arrays[f"slots/{name}"]
        if document.get("training") is not None:
            net.training = _state_of(document["training"], arrays, net)
    except PellucidError as error:
        if isinstance(error, FileFormatError) and str(path) in str(error):
            raise
        raise FileFormatError(f"{path}: {error}") from error
    except _MALFORMED as error:
        raise FileFormatError(f"{path} does not describe a network: {error!r}") from error
    return net


def _check_arrays(
    path: Path,
    graph: Graph,
    dtype: np.dtype[Any],
    slots: Sequence[str],
    arrays: Mapping[str, Array],
) -> None:
    """Every array that the description asks for is there, and nothing else: before allocation."""
    wanted = {f"parameters/{k}": s.shape for k, s in graph.parameter_specs().items()}
    size = sum(prod(shape) for shape in wanted.values())
    wanted |= {f"state/{k}": s.shape for k, s in graph.state_specs().items()}
    state = sum(prod(shape) for name, shape in wanted.items() if name.startswith("state/"))
    if any(name.startswith("slots/") for name in arrays):  # a file may leave the training out
        wanted |= {f"slots/{name}": (size,) for name in slots}
    if any(name.startswith(("training/parameters", "training/slots/")) for name in arrays):
        wanted |= {"training/parameters": (size,), "training/state": (state,)}
        wanted |= {name: (size,) for name in arrays if name.startswith("training/slots/")}
    free = ("training/tally/", "training/observers/")
    found = {k: a for k, a in arrays.items() if not k.startswith(free)}
    lines = [f"  {k}: missing, expected {s}" for k, s in wanted.items() if k not in found]
    lines += [f"  {k}: not expected, has {a.shape}" for k, a in found.items() if k not in wanted]
    for name, shape in wanted.items():
        if name in found and found[name].shape != shape:
            lines.append(f"  {name}: has {found[name].shape}, expected {shape}")
        elif name in found and found[name].dtype != dtype:
            lines.append(f"  {name}: has {found[name].dtype}, the network computes in {dtype}")
    if lines:
        raise FileFormatError(
            f"{path} does not match its own description, so nothing was loaded:\n"
            + "\n".join(lines)
        )
    bad = [k for k in wanted if not np.isfinite(arrays[k]).all()]
    if bad:
        warnings.warn(
            f"{path}: NaN or infinity in {', '.join(bad)}. An earlier checkpoint may be better, "
            "or net.reset()",
            UserWarning,
            stacklevel=_callers(),
        )


def _state_of(saved: Mapping[str, Any], arrays: Mapping[str, Array], net: Network) -> TrainingState:
    count = sum(name.startswith("training/tally/") for name in arrays)
    metrics = [arrays[f"training/tally/{i}"].copy() for i in range(count)]
    losses = {str(name): float(value) for name, value in saved["tally"]["losses"].items()}
    tally = Tally(float(saved["tally"]["weight"]), losses, metrics)
    observers = {key: dict(kept) for key, kept in saved["observers"].items()}
    for name, array in arrays.items():
        if name.startswith("training/observers/"):
            key, short = name.removeprefix("training/observers/").split("/", 1)
            observers[key][short] = array.copy()
    apart = "training/parameters" in arrays
    prefix = "training/slots/" if apart else "slots/"
    return TrainingState(
        updates=_count(saved, "updates"), epoch=_count(saved, "epoch"),
        batch=_count(saved, "batch"), first_epoch=_count(saved, "first_epoch"),
        seconds=float(saved["seconds"]), stopped=str(saved["stopped"]), tally=tally,
        rows=[dict(row) for row in saved["rows"]], observers=observers,
        setting=dict(saved["setting"]),
        parameters=arrays["training/parameters"].copy() if apart else net.parameters.vector.copy(),
        state=arrays["training/state"].copy() if apart else net.state.vector.copy(),
        slots={k.removeprefix(prefix): v.copy() for k, v in arrays.items() if k.startswith(prefix)},
    )  # fmt: skip


def _count(saved: Mapping[str, Any], key: str) -> int:
    value = saved[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise FileFormatError(f"{key} is {value!r}, not a count")
    return value
