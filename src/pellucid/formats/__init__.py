"""Files: safetensors with the network's description inside; written atomically."""

from pellucid.formats.safetensors import load, load_state, save, save_state

__all__ = ["load", "load_state", "save", "save_state"]
