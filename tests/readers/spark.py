"""Computes dim_customer's SCD 2 rows from staging in Spark SQL and compares them with Weir's table.

usage: spark.py LAKE

Spark reads the Parquet files that the Delta logs name, so it needs no jar of its own. Prints JSON: rows of each
side, and how many of one side the other lacks.
"""

import json
import pathlib
import sys

from deltalake import DeltaTable
from pyspark.sql import SparkSession


def main() -> None:
    lake = pathlib.Path(sys.argv[1])
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )

    def read(table):
        return spark.read.parquet(*DeltaTable(str(lake / table)).file_uris())

    read("staging/customer").createOrReplaceTempView("customer")
    query = pathlib.Path(__file__).with_name("scd2.sql").read_text()
    computed = spark.sql(query).cache()
    stored = read("curated/dim_customer").where("customer_key <> -1 AND NOT is_inferred").select(computed.columns).cache()
    print(
        json.dumps(
            {
                "spark": computed.count(),
                "weir": stored.count(),
                "keys": computed.select("customer_id").distinct().count(),
                "missing": stored.exceptAll(computed).count(),
                "strange": computed.exceptAll(stored).count(),
            }
        )
    )


main()
