"""Files that are compressed, told by their names: .gz and .zst, read in blocks and written.

A file of several members (what `cat a.gz b.gz` gives) is read to its end. A broken one ends with one line.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, cast

from collector.errors import InputError

__all__ = ["SUFFIXES", "compress", "is_compressed", "opened", "plain_name"]

SUFFIXES = (".gz", ".zst")
_COPIED = 1 << 20
_GZIP_LEVEL = 6


def is_compressed(path: Path) -> bool:
    """True when the name says so."""
    return path.suffix in SUFFIXES


def plain_name(path: Path) -> Path:
    """The name without what says how it is compressed."""
    return path.with_suffix("") if is_compressed(path) else path


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """`path` for reading, as the bytes that were compressed. Raises InputError, here or in the block that reads, when
    it cannot be read or is broken."""
    try:
        with _reader(path) as file:
            yield file
    except OSError as error:
        if not error.strerror:  # gzip's own: no such file of the system's has no reason
            raise _broken(path, error) from None
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except (EOFError, zlib.error) as error:
        raise _broken(path, error) from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise _broken(path, error) from None


def compress(source: BinaryIO, target: Path, kind: str) -> None:
    """Writes what is left of `source` to `target`; `kind` is one of SUFFIXES. The same input gives the same bytes."""
    with target.open("wb") as file:
        if kind == ".gz":
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
                shutil.copyfileobj(source, packed, _COPIED)
        else:
            with _zstd().open(file, "wb") as packed:
                packed.write(b"")  # without any write there would be no frame, and no reader takes such a file
                shutil.copyfileobj(source, packed, _COPIED)


def _reader(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return cast(BinaryIO, _zstd().open(path, "rb"))
    return path.open("rb", buffering=0)


def _zstd() -> ModuleType:
    """The standard library's since Python 3.14, and its backport before."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _broken(path: Path, error: Exception) -> InputError:
    cut = isinstance(error, EOFError)
    return InputError(
        f"{path}: {'is cut off' if cut else f'is no sound {path.suffix} file'}: {error}; unpack it by hand"
    )
