"""What processes have used, as Linux counts it."""

import os
import pathlib
import time


def used(pids):
    """CPU seconds and bytes given to `write` of these processes since they began."""
    cpu, written = 0.0, 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
        written += int(io["wchar"])
    return cpu, written


def reset_peak(pids):
    for pid in pids:
        try:
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            pass  # the peak is that of the whole process then: higher, never lower


def peak_mb(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) // 1024
    return total


def timed(work, pids):
    cpu, written = used(pids)
    start = time.monotonic()
    work()
    seconds = time.monotonic() - start
    cpu_after, written_after = used(pids)
    return {"seconds": seconds, "cpu_seconds": cpu_after - cpu, "bytes_written": written_after - written}
