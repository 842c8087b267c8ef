# Log groups of all parts, one table of alarms, and a dashboard drawn from that table.

locals {
  parts      = toset(["msk", "connect", "stream", "build", "udf"])
  log_groups = { for part in local.parts : part => "/weir/${var.context.name}/${part}" }

  state_machine = "arn:aws:states:${var.context.region}:${var.context.account_id}:stateMachine:${var.context.name}-build"

  # What a row below does not say. Three periods of five minutes, as AWS advises for Kafka.
  defaults = {
    statistic  = "Maximum"
    operator   = "GreaterThanOrEqualToThreshold"
    periods    = 3
    period     = 300
    missing    = "notBreaching"
    dimensions = {}
  }

  msk         = { "Cluster Name" = var.context.name }
  service     = { ClusterName = var.context.name, ServiceName = "${var.context.name}-stream" }
  builds      = { StateMachineArn = local.state_machine }
  workgroup   = { Workgroup = var.context.name }
  cluster     = { ClusterIdentifier = var.context.name }
  slow        = var.thresholds.query_seconds * 1000000
  provisioned = var.warehouse == "provisioned"

  stream_rows = concat(
    [for row in [
      { name = "msk-offline", metric = "OfflinePartitionsCount", threshold = 1, missing = "breaching", text = "Partitions without a leader: nobody can write to them" },
      { name = "msk-no-controller", metric = "ActiveControllerCount", threshold = 1, operator = "LessThanThreshold", text = "The cluster has no controller" },
    ] : merge(row, { namespace = "AWS/Kafka", dimensions = local.msk }) if var.brokers > 0],

    [for pair in setproduct(range(1, var.brokers + 1), [
      { name = "cpu", metric = "CpuUser", threshold = 60, text = "A broker is busy: larger or more brokers are a decision" },
      { name = "disk", metric = "KafkaDataLogsDiskUsed", threshold = 80, text = "A disk fills faster than storage grows, which is once in six hours at most" },
      { name = "in-sync", metric = "UnderMinIsrPartitionCount", threshold = 1, text = "Fewer than two copies are in sync: writes with acks=all fail" },
      { name = "bytes-in", metric = "BytesInPerSec", threshold = var.thresholds.broker_bytes_in, text = "A broker takes in more than it was sized for" },
      ]) : merge(pair[1], {
      name       = "msk-${pair[1].name}-${pair[0]}"
      namespace  = "AWS/Kafka"
      statistic  = "Average"
      dimensions = merge(local.msk, { "Broker ID" = tostring(pair[0]) })
    })],

    [for table in var.tables : {
      name       = "lag-${replace(table.topic, ".", "-")}"
      namespace  = "AWS/Kafka"
      metric     = "SumOffsetLag"
      threshold  = var.thresholds.lag
      missing    = "breaching"
      dimensions = merge(local.msk, { "Consumer Group" = table.consumer_group, Topic = table.topic })
      text       = "Landing is behind on ${table.topic}, or its position is unknown"
    }],

    [for pair in setproduct(var.connector_names, [
      { name = "failed", metric = "ErroredTaskCount", operator = "GreaterThanOrEqualToThreshold", missing = "notBreaching", text = "The connector's task has failed" },
      { name = "silent", metric = "RunningTaskCount", operator = "LessThanThreshold", missing = "breaching", text = "The connector's task does not run" },
    ]) : merge(pair[1], { name = "connect-${pair[1].name}-${pair[0]}", namespace = "AWS/KafkaConnect", threshold = 1, dimensions = { ConnectorName = pair[0] } })],
  )

  job_rows = [
    { name = "stream-down", namespace = "ECS/ContainerInsights", metric = "RunningTaskCount", operator = "LessThanThreshold", threshold = 1, missing = "breaching", dimensions = local.service, text = "weir stream does not run" },
    { name = "build-failed", namespace = "AWS/States", metric = "ExecutionsFailed", statistic = "Sum", threshold = 1, periods = 1, dimensions = local.builds, text = "weir build failed after its retries" },
    { name = "build-timed-out", namespace = "AWS/States", metric = "ExecutionsTimedOut", statistic = "Sum", threshold = 1, periods = 1, dimensions = local.builds, text = "weir build took longer than its limit" },
    { name = "build-slow", namespace = "AWS/States", metric = "ExecutionTime", threshold = var.thresholds.build_minutes * 60000, periods = 1, dimensions = local.builds, text = "weir build takes longer than it should" },
    { name = "build-silent", namespace = "AWS/States", metric = "ExecutionsSucceeded", statistic = "Sum", operator = "LessThanThreshold", threshold = 1, periods = 1, period = var.thresholds.build_silent_minutes * 60, missing = "breaching", dimensions = local.builds, text = "No build has succeeded for long" },
  ]

  # What Weir writes into its log, and CloudWatch makes metrics of (docs/monitoring.md). Each task of `weir stream` tells of whole tables,
  # so their numbers are not summed up.
  weir_rows = [for row in [
    { name = "stream-failed", metric = "weir_job_failures", job = "stream", statistic = "Sum", threshold = 1, periods = 1, text = "weir stream ended with an error" },
    { name = "stream-late", metric = "weir_landing_lag_seconds", threshold = var.thresholds.lag_seconds, text = "A record has waited long for landing" },
    { name = "dead-letters", metric = "weir_landing_dead_lettered_records", threshold = var.thresholds.dead_letters, periods = 1, text = "Records could not be decoded" },
    { name = "repeats", metric = "weir_landing_repeated_records", threshold = var.thresholds.repeats, periods = 1, text = "The stream delivers what it had delivered" },
    { name = "late-events", metric = "weir_landing_late_rows", threshold = var.thresholds.late_rows, periods = 1, text = "Events come later than landing allows for" },
    { name = "build-attempt-failed", metric = "weir_job_failures", job = "build", statistic = "Sum", threshold = 1, periods = 1, text = "weir build ended with an error, and is tried again" },
    { name = "load-slow", metric = "weir_warehouse_load_seconds", job = "build", threshold = var.thresholds.load_minutes * 60, periods = 1, text = "Loading the warehouse takes longer than it should" },
    { name = "udf-undecoded", metric = "weir_udf_undecoded_rows", statistic = "Sum", threshold = var.thresholds.dead_letters, periods = 1, text = "The function could not decode records for the warehouse" },
    { name = "udf-failed", metric = "weir_udf_failed_calls", statistic = "Sum", threshold = 1, periods = 1, text = "The function failed: the registry is away, or a batch is too large" },
  ] : merge(row, { namespace = "Weir", dimensions = merge({ environment = var.context.name }, [for job in try([row.job], []) : { job = job }]...) })]

  warehouse_rows = [for row in [
    { of = "serverless", name = "slow", metric = "QueryDuration", statistic = "Average", threshold = local.slow, dimensions = merge(local.workgroup, { LatencyRange = "long" }), text = "Queries take long" },
    { of = "serverless", name = "failures", metric = "QueriesFailed", statistic = "Sum", threshold = var.thresholds.failed_queries, dimensions = local.workgroup, text = "Queries fail" },
    { of = "serverless", name = "storage", metric = "DataStorage", threshold = var.thresholds.storage_gb * 1000, dimensions = { Namespace = var.context.name }, text = "The warehouse holds more than planned" },
    { of = "provisioned", name = "slow", metric = "QueryDuration", statistic = "Average", threshold = local.slow, dimensions = merge(local.cluster, { latency = "long" }), text = "Queries take long" },
    { of = "provisioned", name = "storage", metric = "PercentageDiskSpaceUsed", threshold = 80, dimensions = local.cluster, text = "The cluster's disk fills" },
    { of = "provisioned", name = "health", metric = "HealthStatus", statistic = "Minimum", operator = "LessThanThreshold", threshold = 1, dimensions = local.cluster, text = "The cluster is not healthy" },
  ] : merge(row, { name = "warehouse-${row.name}", namespace = local.provisioned ? "AWS/Redshift" : "AWS/Redshift-Serverless" }) if row.of == var.warehouse]

  alarms = { for row in concat(local.stream_rows, local.job_rows, local.weir_rows, local.warehouse_rows) : row.name => merge(local.defaults, row) }
}

resource "aws_cloudwatch_log_group" "part" {
  for_each = local.log_groups

  name              = each.value
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
  tags              = var.context.tags
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.context.name}-alarms"
  kms_master_key_id = var.kms_key_arn
  tags              = var.context.tags
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.context.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.context.tags
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.context.name

  dashboard_body = jsonencode({
    widgets = [for index, name in sort(keys(local.alarms)) : {
      type   = "metric"
      x      = index % 4 * 6
      y      = floor(index / 4) * 6
      width  = 6
      height = 6
      properties = {
        title  = name
        region = var.context.region
        stat   = local.alarms[name].statistic
        period = local.alarms[name].period
        metrics = [concat(
          [local.alarms[name].namespace, local.alarms[name].metric],
          flatten([for key, value in local.alarms[name].dimensions : [key, value]]),
        )]
        annotations = { horizontal = [{ label = "alarm", value = local.alarms[name].threshold }] }
      }
    }]
  })
}
