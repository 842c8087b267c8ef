"""A Spark with Delta on 2 cores, set up alike for every case."""

import os

from pyspark.sql import SparkSession

DELTA = "io.delta:delta-spark_2.13:4.0.1"


def session(work, settings, packages=()):
    """The session with these settings besides, and the ids of its two processes."""
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars.packages", ",".join([DELTA, *packages]))
        .config("spark.jars.ivy", os.environ["WEIR_BENCH_IVY"])
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.local.dir", work)
    )
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    jvm = spark.sparkContext._gateway.jvm.java.lang.ProcessHandle.current().pid()
    return spark, [os.getpid(), jvm]
