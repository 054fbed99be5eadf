"""Reads masks that MATLAB has saved: SBD's, NYUDv2's, SIFT Flow's. H W: rows and columns."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcn_lab.data.pictures.unreadable import Limit, Unreadable, open_regular

SUFFIX = ".mat"
REMEDY = "Restore it from the archive it came from"


def read_matlab_mask(path: Path, limit: Limit) -> NDArray[Any]:
    """Returns the only map of integers that the file holds, (H,W), also from inside a struct.

    Raises:
        Unreadable: there is none or more than one, or the file is corrupt or of version 7.3.
    """
    # imported here: it takes a quarter of a second, and most data sets do not need it
    from scipy.io import loadmat, whosmat

    with open_regular(path) as file:
        try:
            # an array in a struct has no size before it is decoded
            for _, shape, _ in whosmat(file):
                if 0 not in shape:
                    limit.check(path, shape[-1], prod(shape[:-1]))
            content = loadmat(file)
        except Unreadable:
            raise
        except NotImplementedError as error:
            raise Unreadable(path, "is of MATLAB's version 7.3", "Save it with -v7") from error
        except Exception as error:
            # scipy raises any kind of error for a damaged file
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise Unreadable(path, f"is truncated or corrupt ({reason})", REMEDY) from error
    variables = {name: value for name, value in content.items() if not name.startswith("__")}
    maps = dict(_find_maps(variables))
    if len(maps) != 1:
        text = f"{len(maps)} ({', '.join(maps)})" if maps else "none"
        raise Unreadable(path, f"holds {text} where one map of integers was expected", REMEDY)
    (values,) = maps.values()
    # floating point is MATLAB's default for numbers
    if values.dtype.kind == "f":
        values = values.astype(np.int32)
    limit.check(path, values.shape[1], values.shape[0])
    return values


def _find_maps(variables: dict[str, Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the two-dimensional arrays of integers among these and in the structs of them."""
    for name, value in variables.items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.names and value.size == 1:
            record = value.reshape(-1)[0]
            yield from _find_maps({f"{name}.{part}": record[part] for part in value.dtype.names})
        elif value.ndim == 2 and min(value.shape) > 1 and _are_whole(value):
            yield name, value


def _are_whole(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "ui" or (
        values.dtype.kind == "f" and bool((values == np.round(values)).all())
    )
