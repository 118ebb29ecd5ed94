"""Private folders for sockets, and file locks. The mode of an existing folder is never changed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path

from vigie.encoding import digest
from vigie.errors import ConflictError, SettingsError

# The path of a unix socket is limited to 107 characters on Linux and 103 on macOS. The longest file
# name in the folder is "supervisor.sock.PID", the name under which supervisord creates its socket.
_LONGEST_FOLDER = 80


def socket_folder(owner: Path) -> Path:
    """Return a short path for the sockets of the programs in ``owner``.

    The path is below ``/tmp``, or below the system's temporary folder if ``/tmp`` is not writable.
    ``/tmp`` is preferred because ``$TMPDIR`` and ``$XDG_RUNTIME_DIR`` may differ between the shells
    of a user.

    Examples
    --------
    >>> socket_folder(Path("/a b/data")) == socket_folder(Path("/a b/../a b/data"))
    True
    """
    base = Path("/tmp")
    if not os.access(base, os.W_OK | os.X_OK):
        base = Path(tempfile.gettempdir())
    name = f"vigie-{os.getuid()}-{digest(str(owner.resolve()))[:12]}"
    if len(str(base / name)) > _LONGEST_FOLDER:
        raise SettingsError(f"{base} is too long for unix sockets; set TMPDIR to a shorter folder")
    return base / name


def private_folder(folder: Path) -> Path:
    """Create ``folder`` with mode 0700, or check the owner and mode of an existing folder.

    Raises
    ------
    SettingsError
        If the path is not a folder, belongs to another user, or has another mode.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SettingsError(f"{folder} is not a folder; remove it")
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise SettingsError(
            f"{folder}: expected owner {os.getuid()} and mode 0700, found owner {found.st_uid} "
            f"and mode {stat.S_IMODE(found.st_mode):04o}; remove it"
        )
    return folder


def take_lock(path: Path) -> int:
    """Lock ``path`` without waiting; return a file descriptor that holds the lock.

    The lock is released when every process that inherited the descriptor has closed it.

    Raises
    ------
    ConflictError
        If another process holds the lock.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConflictError(f"{path} is locked by another process") from None
    return handle
