"""Random numbers that belong to a place and a moment, not to a global generator.

Every number is made from Philox words keyed by (seed, purpose, node) and counted by (draw, step,
part). Nothing is carried from call to call, so a resumed run, a repeated step or another engine
gets the same numbers by asking for the same key. Philox is a bijection of a counter: Salmon et
al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, log, pi, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import OptionError
from pellucid.special import polynomial

Array = NDArray[Any]
_MASK64 = 2**64 - 1
_BLOCK = 8192  # pairs of normals made together: their arrays stay in the cache


@lru_cache(maxsize=4096)
def philox_key(seed: int, purpose: str, node: str) -> NDArray[np.uint64]:
    """The 128-bit Philox key of a place: the seed's words and a hash of purpose and node."""
    from hashlib import blake2b  # loads OpenSSL, which importing the package need not wait for

    label = f"{seed >> 64}/{purpose}/{node}".encode()
    digest = blake2b(label, digest_size=8).digest()
    return np.array([seed & _MASK64, int.from_bytes(digest, "little")], np.uint64)


def seed_of(seed: int | np.random.Generator | None) -> int:
    """A seed as an int ≥ 0; a Generator is asked for one, None asks the operating system."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    if seed is None:
        return int(np.random.SeedSequence().entropy) & _MASK64  # type: ignore[arg-type]
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise OptionError(f"seed must be an int of 0 or more or a NumPy Generator, not {seed!r}")
    return int(seed)


class Stream:
    """An endless row of Philox words for one place and moment.

    The 256-bit counter is (block, draw, step, part), block counting from 1, so the first word of
    `Stream(seed, purpose, node)` is Philox4x64-10 of counter (1, 0, 0, 0).

    >>> Stream(0, "example").uniform((2,)).round(3)
    array([0.254, 0.774])
    """

    def __init__(
        self,
        seed: int,
        purpose: str,
        node: str = "",
        *,
        draw: int = 0,
        step: int = 0,
        part: int = 0,
    ) -> None:
        self._philox = np.random.Philox(
            key=philox_key(seed, purpose, node),
            counter=np.array([0, draw, step, part], np.uint64),
        )

    @classmethod
    def from_key(cls, key: tuple[int, int], draw: int, step: int, part: int) -> Stream:
        """The stream of a key that `philox_key` made."""
        stream = cls.__new__(cls)
        counter = np.array([0, draw, step, part], np.uint64)
        stream._philox = np.random.Philox(key=np.array(key, np.uint64), counter=counter)
        return stream

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words of 64 bits; four are one block, and a block is used up whole."""
        blocks = -(-count // 4)
        return self._philox.random_raw(4 * blocks)[:count]

    def bits32(self, shape: tuple[int, ...]) -> NDArray[np.uint32]:
        """Words of 32 bits, the low half of each 64-bit word before its high half."""
        count = prod(shape)
        halves = self.words(-(-count // 2)).astype("<u8", copy=False).view("<u4")
        return halves[:count].reshape(shape)

    def keep(self, shape: tuple[int, ...], rate: float) -> NDArray[np.bool_]:
        """A mask that is False with probability `rate`, the same for every float type."""
        return self.bits32(shape) >= np.uint32(min(round(rate * 2**32), 2**32 - 1))

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
        """Uniform float64 in [low, high), from the top 53 bits of each word."""
        unit = (self.words(prod(shape)) >> np.uint64(11)) * 2.0**-53
        return (low + (high - low) * unit).reshape(shape)

    def normal(self, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> Array:
        """Normal float64 by Box and Muller's transform (1958) of pairs of uniforms.

        ::

            z₁ = √(−2 log(1 − u)) cos 2πv        z₂ = √(−2 log(1 − u)) sin 2πv

        The logarithm, cosine and sine below are made of +, −, ×, ÷ and √ alone, which are rounded
        alike everywhere: so the bits are those of any other engine and machine.
        """
        count = prod(shape)
        half = -(-count // 2)
        u, v = self.uniform((half,)), self.uniform((half,))
        z = np.empty((2, half))
        for start in range(0, half, _BLOCK):
            block = slice(start, start + _BLOCK)
            radius = np.sqrt(-2.0 * _log(1.0 - u[block]))
            z[:, block] = _circle(v[block])
            z[:, block] *= radius
        return (mean + std * z.reshape(-1)[:count]).reshape(shape)

    def permutation(self, count: int) -> NDArray[np.int64]:
        """0 … count-1 in random order: the order of `count` random words."""
        return np.argsort(self.words(count)).astype(np.int64, copy=False)


_LOG = [1 / (2 * k + 1) for k in range(10, -1, -1)]
_SIN = [(-1) ** k / factorial(2 * k + 1) for k in range(8, -1, -1)]
_COS_QUARTERS, _SIN_QUARTERS = np.array([[1.0, 0, -1, 0, 1], [0.0, 1, 0, -1, 0]])
_COS = [(-1) ** k / factorial(2 * k) for k in range(8, -1, -1)]


def _log(x: Array) -> Array:
    """Log x for normal x in (0, 1].

    With x = m 2ᵉ and m in [√½, √2), and s = (m − 1)/(m + 1) in ±0.1716::

        log x = e log 2 + 2 artanh s        artanh s = s (1 + s²/3 + s⁴/5 + …)
    """
    m, e = np.frexp(x)  # m in [½, 1)
    low = m < sqrt(0.5)
    m = m + m * low
    s = (m - 1.0) / (m + 1.0)
    y: Array = polynomial(_LOG, s * s)
    y *= s
    y *= 2.0
    y += (e - low) * log(2.0)
    return y


def _circle(turns: Array) -> Array:
    """Cos 2πv and sin 2πv for v in [0, 1): (2, n).

    4v = q + r with a whole q and r in [−½, ½], exactly; with φ = rπ/2 in ±π/4 the angle is
    φ + qπ/2, and cos qπ/2 and sin qπ/2 are 0 and ±1::

        cos 2πv = cos φ cos qπ/2 − sin φ sin qπ/2
        sin 2πv = sin φ cos qπ/2 + cos φ sin qπ/2
    """
    quarters = 4.0 * turns
    q = np.floor(quarters + 0.5)  # 0 … 4
    angle = (quarters - q) * (pi / 2)
    square = angle * angle
    sine, cosine = polynomial(_SIN, square) * angle, polynomial(_COS, square)
    whole = q.astype(np.intp)
    x, y = _COS_QUARTERS[whole], _SIN_QUARTERS[whole]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y])
