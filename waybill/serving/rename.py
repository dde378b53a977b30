"""A staged folder -> its final name, unless something bears that name already."""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def rename_new(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a folder to a name that is free.

    A plain `rename` silently replaces an empty folder. Linux's renameat2 with RENAME_NOREPLACE does not, and asks and renames in one step.
    Where the file system lacks it (some network file systems), the name is checked first: safe among publishers, which hold a lock.

    Raises:
      FileExistsError: if the name is taken.
    """
    code = _renameat2(source, target)
    if code in _UNSUPPORTED:
        if os.path.lexists(target):
            code = errno.EEXIST
        else:
            source.rename(target)
            return
    if code == errno.EEXIST:
        raise FileExistsError(code, os.strerror(code), str(target))
    if code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def _renameat2(source: pathlib.Path, target: pathlib.Path) -> int:
    """Calls renameat2 and returns its errno, 0 for success, ENOSYS where the C library has no such function."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        call = libc.renameat2
    except AttributeError:
        return errno.ENOSYS
    done = call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE))
    return 0 if done == 0 else ctypes.get_errno()
