"""An audit log on a disk that fills and empties again: `full_disk.py FOLDER filler|limit`.

Prints one JSON line: what the log counted, and what its files say in the end.
"""

import asyncio
import contextlib
import io
import json
import resource
import sys
from pathlib import Path

from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.observe.logs import configure_logs


def fill_file_system(folder):
    """ENOSPC: another file takes what is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass
    return filler.unlink


def limit_file_size(folder):
    """EFBIG: no file of this process may grow beyond the audit log's size now."""
    size = max(path.stat().st_size for path in folder.glob("audit/audit-*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    return lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )


async def run(folder, squeeze):
    log = AuditLog.open(folder / "audit", segment_bytes=4_000)
    event = AuditEvent(action="model.load", actor="anna", origin="operator")
    for _ in range(5):
        await log.append(event)
    kept = log.records
    release = squeeze(folder)
    # What fits into a block that is there already may still be written.
    while log.lost_records == 0:
        kept = log.records
        await log.append(event)
    before_the_flood = log.lost_records
    await asyncio.gather(*(log.append(event) for _ in range(500)))
    lost, errors = log.lost_records, log.write_errors
    release()
    await log.append(event)
    verification = log.verify()
    stated = [
        record["after"]["records"]
        for record in map(json.loads, log.read())
        if record["action"] == "audit.lost"
    ]
    log.close()
    AuditLog.open(folder / "audit").close()
    return {
        "kept": kept, "before_the_flood": before_the_flood, "lost": lost, "errors": errors,
        "lost_after": log.lost_records, "stated": stated, "problem": verification.placed_problem,
        "records": log.records,
    }  # fmt: skip


if __name__ == "__main__":
    configure_logs(io.StringIO())
    squeeze = {"filler": fill_file_system, "limit": limit_file_size}[sys.argv[2]]
    sys.stdout.write(json.dumps(asyncio.run(run(Path(sys.argv[1]), squeeze))) + "\n")
