"""Copy tensors and arrays of other libraries to numpy arrays in the memory of the host.

given                                   result
a tensor of torch, on any device        copied to the CPU; gradients are ignored
bfloat16, float8                        float32: numpy has no such dtype
an array on a GPU (CuPy, numba, cuDF)   copied by its own `get`, `copy_to_host` or `to_numpy`
a list of such, one for each row        each is copied
JAX, TensorFlow, anything else          what `numpy.asarray` makes of it
on the meta device, sparse, quantized   refused, with the remedy
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_array", "native", "on_host"]

_COPIES = ("get", "copy_to_host", "to_numpy")  # of CuPy, of numba, of cuDF
_FOREIGN = "__cuda_array_interface__"


def on_host(name: str, values: Any) -> Any:  # anything
    """Return tensors and arrays on a device as numpy arrays, also in a list; the rest unchanged."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, list | tuple):
        if not any(hasattr(kind, "detach") or hasattr(kind, _FOREIGN) for kind in _kinds(values)):
            return values
        rows = [on_host(f"row {row} of {name}", each) for row, each in enumerate(values)]
        return [each[()] if isinstance(each, np.ndarray) else each for each in rows]
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        return _of_torch(name, values)
    if hasattr(values, _FOREIGN) and not hasattr(values, "iloc"):
        return _of_device(name, values)
    return values


def as_array(name: str, values: Any) -> NDArray[Any]:  # an array-like
    """Return what `numpy.asarray` makes of an array-like; refuse by name what it cannot read."""
    try:
        return native(np.asarray(values))
    except (TypeError, RuntimeError, BufferError) as error:  # of an array of another library
        kind = type(values).__name__
        raise TypeError(f"{name} must be what numpy can read, got a {kind}: {error}") from error


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of a dtype that numpy has itself, in native byte order; copy only if not.

    JAX has bfloat16 and float8, which are widened to float32, and int4, which is to int8.
    """
    kind = array.dtype
    if kind.kind == "V" and kind.names is None and kind.name.startswith(("bfloat", "float")):
        return array.astype(np.float32)
    if kind.kind == "V" and kind.names is None and kind.name in {"int2", "int4"}:
        return array.astype(np.int8)
    return array if kind.isnative else array.astype(kind.newbyteorder("="))


def _kinds(values: list[Any] | tuple[Any, ...]) -> set[type]:
    return set(map(type, values))


def _of_torch(name: str, tensor: Any) -> NDArray[Any]:
    refused = {
        "on the meta device, which has no values: load the values first": tensor.is_meta,
        "of a sparse layout: give tensor.to_dense()": str(tensor.layout) != "torch.strided",
        "of quantized values: give tensor.dequantize()": tensor.is_quantized,
    }
    for why, wrong in refused.items():
        if wrong:
            raise ValueError(f"{name} must hold values, got a tensor {why}")
    found = tensor.detach().cpu().resolve_conj().resolve_neg()
    if found.is_floating_point() and _NUMPYS.get(str(found.dtype)) is None:
        found = found.float()
    array: NDArray[Any] = found.numpy()
    return array


_NUMPYS = {f"torch.float{bits}": f"float{bits}" for bits in (16, 32, 64)}


def _of_device(name: str, values: Any) -> Any:
    for each in _COPIES:
        copy = getattr(values, each, None)
        if callable(copy):
            return copy()
    raise TypeError(
        f"{name} must be in the memory of the host, got a {type(values).__name__} on a GPU: copy "
        "it there first"
    )
