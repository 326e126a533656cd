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
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.description import Description, is_registered
from pellucid.engine.base import Tally
from pellucid.errors import CheckpointError, FileFormatError, PellucidError
from pellucid.formats.atomic import previous_of, write_atomic
from pellucid.network.graph import Graph, graph_from_config
from pellucid.network.network import Network
from pellucid.training.state import TrainingState

Array = NDArray[Any]
FORMAT = 1
_KEY = "pellucid"
_LARGEST_HEADER = 100_000_000


def save(net: Network, path: str | os.PathLike[str], *, training: bool = True) -> None:
    """Writes a network, atomically and synced to disk.

    With `training` (the default) also the optimizer's vectors and counters, so that a later `fit`
    goes on where this one stopped. Raises CheckpointError where the file cannot be written.
    """
    arrays = _model_arrays(net.parameters, net.state)
    document: dict[str, Any] = {"network": _checked_config(net), "updates": net.updates}
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
    document = {"network": _checked_config(net), "updates": state.updates}
    document["training"] = _state_document(state, arrays, vectors=False)
    write_atomic(path, _encode(document, arrays), keep_previous=True)


def load(path: str | os.PathLike[str]) -> Network:
    """The network in a file that `save` or a `Checkpoint` wrote.

    Raises FileFormatError naming what is wrong with the file; nothing is loaded in part.
    """
    net: Network = _with_fallback(path, _load_network)
    return net


def load_state(path: str | os.PathLike[str]) -> TrainingState:
    """The training state in a checkpoint."""
    state = load(path).training
    if state is None:
        raise FileFormatError(f"{path} has a network but no training state to go on from")
    return state


# ---- writing ----------------------------------------------------------------------------------


def _model_arrays(parameters: Mapping[str, Array], state: Mapping[str, Array]) -> dict[str, Array]:
    named = {f"parameters/{k}": v for k, v in parameters.items()}
    return named | {f"state/{k}": v for k, v in state.items()}


def _checked_config(net: Network) -> dict[str, Any]:
    """The description, refusing classes that no file could name."""
    parts: list[Any] = [node.layer for node in net.graph.nodes if node.layer is not None]
    parts += list(net.losses.values()) if net.loss is not None else []
    parts += [part for part in (net.optimizer, net.penalty) if part is not None]
    for part in parts:
        for piece in [part, *_pieces(part)]:
            if not is_registered(piece):
                name = type(piece).__name__
                raise CheckpointError(
                    f"{name} is a class of your own that files cannot name yet: put "
                    f'@pellucid.register("yourname.{name}") above it'
                )
    return net.to_config()


def _pieces(part: Any) -> list[Description]:
    values = [getattr(part, field.name) for field in dataclasses.fields(part)]
    return [value for value in values if isinstance(value, Description)]


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
    document = {"format": FORMAT, "version": __version__, **document}
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


def _with_fallback(path: str | os.PathLike[str], read: Any) -> Any:
    """Reads `path`; where it is damaged and the generation before it is whole, reads that."""
    target = Path(os.path.realpath(path))
    try:
        return read(target)
    except (FileFormatError, FileNotFoundError) as error:
        older = previous_of(target)
        if not older.is_file():
            if isinstance(error, FileNotFoundError):
                raise FileFormatError(f"{path} does not exist") from None
            raise
        result = read(older)
        warnings.warn(f"{path} is damaged ({error}); {older} was used", UserWarning, stacklevel=4)
        return result


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The JSON document and the arrays of a file, checked as far as the file itself goes."""
    data = _bytes_of(path)
    try:
        return _decode(path, data)
    except PellucidError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise FileFormatError(f"{path} is not a readable safetensors file: {error}") from None


def _bytes_of(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise FileFormatError(f"{path} is not a regular file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        foreign = {b"PK": "a zip archive (npz or .pt)", b"\x80": "a pickle", b"\x1f\x8b": "gzip"}
        for magic, what in foreign.items():
            if head.startswith(magic) and len(head) > 1 and not _plausible(head, size):
                raise FileFormatError(f"{path} is {what}; networks are read from safetensors only")
        if not _plausible(head, size):
            raise FileFormatError(
                f"{path} is not a safetensors file: its header is said to be "
                f"{int.from_bytes(head, 'little')} bytes long, the file has {size}"
            )
        return head + file.read()


def _plausible(head: bytes, size: int) -> bool:
    length = int.from_bytes(head, "little")
    return len(head) == 8 and 2 <= length <= min(size - 8, _LARGEST_HEADER)


def _decode(path: Path, data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    from safetensors import SafetensorError, deserialize

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = header.get("__metadata__", {}).get(_KEY)
    if text is None:
        raise FileFormatError(f"{path} holds tensors but no network (no {_KEY!r} metadata)")
    document = json.loads(text)
    if document.get("format", 0) > FORMAT:
        raise FileFormatError(
            f"{path} has format {document['format']}, of version {document.get('version')}; "
            f"this version reads up to {FORMAT}: pip install --upgrade pellucid"
        )
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise FileFormatError(f"{path} is damaged: {error}") from None
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64}
    arrays = {}
    for name, tensor in tensors:
        if tensor["dtype"] not in types:
            raise FileFormatError(
                f"{path}: {name} has dtype {tensor['dtype']}; networks hold {', '.join(types)}"
            )
        flat = np.frombuffer(tensor["data"], types[tensor["dtype"]])
        arrays[name] = flat.reshape(tensor["shape"])
    if document.get("checksum") != _checksum(document, arrays):
        raise FileFormatError(f"{path} is damaged: its checksum does not match its contents")
    return document, arrays


def _load_network(path: Path) -> Network:
    document, arrays = read_file(path)
    try:
        config = document["network"]
        graph = graph_from_config(config["graph"])
        _check_arrays(path, graph, config["dtype"], arrays)
        net = Network.from_config(config)
        for kind, vector in (("parameters", net.parameters), ("state", net.state)):
            for name in vector:
                vector[name] = arrays[f"{kind}/{name}"]
        net.updates = int(document["updates"])
        for name in net.slots:
            if f"slots/{name}" in arrays:
                net.slots[name][...] = arrays[f"slots/{name}"]
        if document.get("training") is not None:
            net.training = _state_of(document["training"], arrays, net)
    except PellucidError as error:
        if isinstance(error, FileFormatError) and str(path) in str(error):
            raise
        raise FileFormatError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} does not describe a network: {error!r}") from error
    return net


def _check_arrays(path: Path, graph: Graph, dtype: str, arrays: Mapping[str, Array]) -> None:
    """Every array that the description asks for is there, and nothing else: before allocation."""
    wanted = {f"parameters/{k}": s.shape for k, s in graph.parameter_specs().items()}
    wanted |= {f"state/{k}": s.shape for k, s in graph.state_specs().items()}
    found = {k: a.shape for k, a in arrays.items() if not k.startswith(("slots/", "training/"))}
    lines = [f"  {k}: missing, expected {s}" for k, s in wanted.items() if k not in found]
    lines += [f"  {k}: not expected, has {s}" for k, s in found.items() if k not in wanted]
    for name, shape in wanted.items():
        if name in found and found[name] != shape:
            lines.append(f"  {name}: has {found[name]}, expected {shape}")
        elif name in found and arrays[name].dtype != np.dtype(dtype):
            lines.append(f"  {name}: has {arrays[name].dtype}, the network computes in {dtype}")
    if lines:
        raise FileFormatError(f"{path} does not match its own description:\n" + "\n".join(lines))
    bad = [k for k in wanted if not np.isfinite(arrays[k]).all()]
    if bad:
        warnings.warn(f"{path}: NaN or infinity in {', '.join(bad)}", UserWarning, stacklevel=6)


def _state_of(saved: Mapping[str, Any], arrays: Mapping[str, Array], net: Network) -> TrainingState:
    count = sum(name.startswith("training/tally/") for name in arrays)
    metrics = [arrays[f"training/tally/{i}"].copy() for i in range(count)]
    tally = Tally(saved["tally"]["weight"], dict(saved["tally"]["losses"]), metrics)
    observers = {key: dict(kept) for key, kept in saved["observers"].items()}
    for name, array in arrays.items():
        if name.startswith("training/observers/"):
            _, _, key, short = name.split("/")
            observers[key][short] = array.copy()
    apart = "training/parameters" in arrays
    prefix = "training/slots/" if apart else "slots/"
    return TrainingState(
        saved["updates"], saved["epoch"], saved["batch"], saved["first_epoch"], saved["seconds"],
        saved["stopped"], tally, list(saved["rows"]), observers, dict(saved["setting"]),
        arrays["training/parameters"].copy() if apart else net.parameters.vector.copy(),
        arrays["training/state"].copy() if apart else net.state.vector.copy(),
        {k.removeprefix(prefix): v.copy() for k, v in arrays.items() if k.startswith(prefix)},
    )  # fmt: skip
