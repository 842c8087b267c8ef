"""What the peers of `bench/run scd` share: the batches, and the sum of a table as Weir's generator has it."""

import json
import os
import pathlib

from process import peak_mb, reset_peak, timed

START_US = 1_704_067_200_000_000
OPEN = "9999-12-31 00:00:00+00"
COLUMNS = ["customer_id", "name", "note", "amount", "city", "segment", "level", "plan"]
TYPE_1 = ["name", "note", "amount"]


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
