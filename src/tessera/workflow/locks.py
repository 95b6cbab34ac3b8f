"""Which run has locked a project, so that the lock of a killed run is recognised."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

# Where Snakemake has its locks. It removes the folder when a run ends, and with `--unlock`.
LOCKS = Path(".snakemake", "locks")


def record_run() -> None:
    """Write beside the locks of Snakemake which process holds them. A run goes on without it if the disk cannot take it."""
    process = psutil.Process()
    record = {"machine": _machine(), "pid": process.pid, "started": process.create_time()}
    with suppress(OSError):
        (LOCKS / f"{process.pid}.json").write_text(json.dumps(record), encoding="utf-8")


def explain_lock(unlock: str) -> str:
    """Return the message that the working folder is locked, and by which run if that is known.

    `unlock`: the command that removes the lock.
    """
    records = list(_records())
    remedy = f"run this once, and then try again: {unlock}"
    for record in records:
        if _is_running(record):
            since = datetime.fromtimestamp(record["started"]).astimezone().strftime("%Y-%m-%d %H:%M")
            return f"another run is at work in {Path.cwd()} since {since}, process {record['pid']}; wait for its end"
    if records and all(_is_running(record) is False for record in records):
        return f"a run in {Path.cwd()} was killed, and no process holds its lock any more; {remedy}"
    of_others = "".join(f" (on {record['machine'][0]}, process {record['pid']})" for record in records[:1])
    return f"another run is at work in {Path.cwd()}{of_others}; wait for its end. If it was killed, {remedy}"


def _machine() -> list[str]:
    """Return the name of the machine, since when it has been up, and which of its processes can be seen, such as a container's.

    The latter two are known on Linux, and empty elsewhere.
    """
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return [platform.node(), boot, namespace]


def _records() -> Iterator[dict[str, Any]]:
    for file in sorted(LOCKS.glob("*.json")):
        with suppress(OSError, ValueError):
            yield json.loads(file.read_text(encoding="utf-8"))


def _is_running(record: dict[str, Any]) -> bool | None:
    """Return whether the run of `record` goes on, or None if this cannot be known here."""
    (name, boot, namespace), (own_name, own_boot, own_namespace) = record["machine"], _machine()
    if (name, namespace) != (own_name, own_namespace):
        return None
    if boot != own_boot:
        return False
    try:
        process = psutil.Process(record["pid"])
        # Another process may have got the number. The clock of the machine may have been set since, but hardly by this much.
        is_same: bool = abs(process.create_time() - record["started"]) < 60
        return is_same and process.status() != str(psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
