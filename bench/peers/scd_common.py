"""What the peers of `bench/run scd` share: what a process has used, and the sum of a table as Weir's generator has it."""

import json
import os
import pathlib
import time

START_US = 1_704_067_200_000_000
OPEN = "9999-12-31 00:00:00+00"
COLUMNS = ["customer_id", "name", "note", "amount", "city", "segment", "level", "plan"]
TYPE_1 = ["name", "note", "amount"]


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


def run(folder, load, batch, relation, pids=None, late="dropped"):
    """Runs a peer: `load()`, then `batch(file)` for each; `relation()` gives (DuckDB connection, SQL of the table)."""
    pids = pids or [os.getpid()]
    folder = pathlib.Path(folder)
    expected = json.loads((folder / "input.json").read_text())["expected_without_late"]
    loaded = timed(load, pids)
    reset_peak(pids)
    batches = [timed(lambda: batch(str(file)), pids) for file in sorted((folder / "changes").glob("batch-*.parquet"))]
    peak = peak_mb(pids)
    connection, table = relation()
    found, overlaps = summed(connection, table)
    print(json.dumps({
        "load": loaded, "batches": batches, "peak_rss_mb": peak, "ok": found == expected and overlaps == 0,
        "overlaps": overlaps, "late": late, "found": found, "expected": expected,
    }))


def summed(connection, table):
    number = "cast(split_part({}, '-', -1) as bigint)"
    values = " + ".join(
        f"{weight} * {number.format(name)}"
        for name, weight in [("name", 3), ("note", 5), ("city", 11), ("segment", 13), ("plan", 19)]
    )
    row = connection.execute(f"""
        with rows as (
            select customer_id as id, is_current,
                (epoch_us(effective_from) - {START_US}) // 1000 as f,
                case when effective_to = timestamptz '{OPEN}' then 0
                     else (epoch_us(effective_to) - {START_US}) // 1000 end as u,
                {values} + 7 * cast(amount * 100 as bigint) + 17 * level as v
            from {table} where customer_id is not null)
        select count(*), count(*) filter (is_current),
            sum((id % 1009 + 1) * (v % 10007) + (f % 1009 + 1) * (u % 10007 + id % 10007)) from rows""").fetchone()
    overlaps = connection.execute(f"""
        select count(*) from (
            select effective_to > lead(effective_from) over (partition by customer_id order by effective_from) as o
            from {table} where customer_id is not null) where o""").fetchone()[0]
    return {"versions": row[0], "current": row[1], "content": int(row[2])}, overlaps


def active_files(table):
    """The files of a Delta table's newest version, from its log alone; none may have a deletion vector."""
    files = {}
    for commit in sorted(pathlib.Path(table, "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                assert not action["add"].get("deletionVector"), "a deletion vector"
                files[action["add"]["path"]] = True
            elif "remove" in action:
                files.pop(action["remove"]["path"], None)
    return [str(pathlib.Path(table, path)) for path in files]


def delta_relation(table):
    import duckdb

    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    names = ", ".join("'" + file + "'" for file in active_files(table))
    return connection, f"read_parquet([{names}])"
