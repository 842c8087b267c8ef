# Redshift: Serverless, or an RA3 cluster over several zones. Concurrency scaling takes reads, COPY, INSERT, UPDATE, DELETE;
# MERGE, with which Weir loads, always runs on the main cluster: for faster loads resize that one.

locals {
  serverless  = var.serverless == null ? {} : { (var.context.name) = var.serverless }
  provisioned = var.provisioned == null ? {} : { (var.context.name) = var.provisioned }
  database    = replace(var.database, "-", "_")

  # How a scheduled statement names the warehouse.
  address = var.serverless == null ? { ClusterIdentifier = var.context.name } : { WorkgroupName = var.context.name }
}

# --- serverless ----------------------------------------------------------------------------------------------------

resource "aws_redshiftserverless_namespace" "this" {
  for_each = local.serverless

  namespace_name                   = each.key
  db_name                          = local.database
  admin_username                   = "weir_admin"
  manage_admin_password            = true
  admin_password_secret_kms_key_id = var.kms_key_arn
  kms_key_id                       = var.kms_key_arn
  iam_roles                        = [var.role_arn]
  default_iam_role_arn             = var.role_arn
  log_exports                      = ["connectionlog", "userlog", "useractivitylog"]
  tags                             = var.context.tags
}

resource "aws_redshiftserverless_workgroup" "this" {
  for_each = local.serverless

  workgroup_name       = each.key
  namespace_name       = aws_redshiftserverless_namespace.this[each.key].namespace_name
  base_capacity        = each.value.base_rpu
  max_capacity         = each.value.max_rpu
  port                 = 5439
  publicly_accessible  = false
  enhanced_vpc_routing = true
  subnet_ids           = var.subnet_ids
  security_group_ids   = [var.security_group_id]
  tags                 = var.context.tags

  config_parameter {
    parameter_key   = "require_ssl"
    parameter_value = "true"
  }
}

resource "aws_redshiftserverless_usage_limit" "compute" {
  for_each = local.serverless

  resource_arn  = aws_redshiftserverless_workgroup.this[each.key].arn
  usage_type    = "serverless-compute"
  period        = "monthly"
  amount        = each.value.monthly_rpu_hours
  breach_action = each.value.at_limit
}

# AWS keeps recovery points of the last day by itself; these are for longer.
resource "aws_scheduler_schedule" "snapshot" {
  for_each = local.serverless

  name                = "${each.key}-snapshot"
  description         = "A snapshot of the namespace every night"
  schedule_expression = "cron(30 2 * * ? *)"
  kms_key_arn         = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:redshiftserverless:createSnapshot"
    role_arn = var.scheduler_role_arn

    input = jsonencode({
      NamespaceName   = aws_redshiftserverless_namespace.this[each.key].namespace_name
      SnapshotName    = "${each.key}-<aws.scheduler.execution-id>"
      RetentionPeriod = var.snapshot_days
    })
  }
}

# --- provisioned ---------------------------------------------------------------------------------------------------

resource "aws_redshift_subnet_group" "this" {
  for_each = local.provisioned

  name        = each.key
  description = "Private subnets of ${each.key}"
  subnet_ids  = var.subnet_ids
  tags        = var.context.tags
}

resource "aws_redshift_parameter_group" "this" {
  for_each = local.provisioned

  name        = each.key
  description = "TLS only, activity logged, concurrency scaling"
  family      = "redshift-2.0"
  tags        = var.context.tags

  parameter {
    name  = "require_ssl"
    value = "true"
  }

  parameter {
    name  = "enable_user_activity_logging"
    value = "true"
  }

  parameter {
    name  = "max_concurrency_scaling_clusters"
    value = tostring(each.value.concurrency_clusters)
  }

  parameter {
    name = "wlm_json_configuration"
    value = jsonencode([
      { auto_wlm = true, queue_type = "auto", concurrency_scaling = each.value.concurrency_clusters > 0 ? "auto" : "off" },
      { short_query_queue = true },
    ])
  }
}

resource "aws_redshift_cluster" "this" {
  for_each = local.provisioned

  cluster_identifier                   = each.key
  database_name                        = local.database
  node_type                            = each.value.node_type
  number_of_nodes                      = each.value.nodes
  cluster_type                         = "multi-node"
  multi_az                             = each.value.multi_az
  master_username                      = "weir_admin"
  manage_master_password               = true
  master_password_secret_kms_key_id    = var.kms_key_arn
  encrypted                            = true
  kms_key_id                           = var.kms_key_arn
  iam_roles                            = [var.role_arn]
  default_iam_role_arn                 = var.role_arn
  port                                 = 5439
  publicly_accessible                  = false
  enhanced_vpc_routing                 = true
  cluster_subnet_group_name            = aws_redshift_subnet_group.this[each.key].name
  cluster_parameter_group_name         = aws_redshift_parameter_group.this[each.key].name
  vpc_security_group_ids               = [var.security_group_id]
  availability_zone_relocation_enabled = each.value.multi_az ? null : true
  automated_snapshot_retention_period  = var.snapshot_days
  skip_final_snapshot                  = false
  final_snapshot_identifier            = "${each.key}-final"
  tags                                 = var.context.tags
}

resource "aws_redshift_logging" "this" {
  for_each = local.provisioned

  cluster_identifier   = aws_redshift_cluster.this[each.key].cluster_identifier
  log_destination_type = "cloudwatch"
  log_exports          = ["connectionlog", "userlog", "useractivitylog"]
}

resource "aws_redshift_usage_limit" "concurrency" {
  for_each = local.provisioned

  cluster_identifier = aws_redshift_cluster.this[each.key].cluster_identifier
  feature_type       = "concurrency-scaling"
  limit_type         = "time"
  period             = "daily"
  amount             = each.value.concurrency_minutes_daily
  breach_action      = "disable"
  tags               = var.context.tags
}

resource "aws_redshift_snapshot_copy" "this" {
  for_each = { for name, cluster in local.provisioned : name => cluster if cluster.snapshot_copy != null }

  cluster_identifier       = aws_redshift_cluster.this[each.key].cluster_identifier
  destination_region       = each.value.snapshot_copy.region
  snapshot_copy_grant_name = each.value.snapshot_copy.grant_name
  retention_period         = var.snapshot_days
}

# More nodes for the hours that need them.
resource "aws_redshift_scheduled_action" "resize" {
  for_each = { for pair in flatten([for name, cluster in local.provisioned : [for resize in cluster.resizes : { name = name, resize = resize }]]) :
  "${pair.name}-${pair.resize.name}" => pair }

  name        = each.key
  description = "${each.value.resize.nodes} nodes"
  schedule    = each.value.resize.schedule
  iam_role    = var.resize_role_arn

  target_action {
    resize_cluster {
      cluster_identifier = aws_redshift_cluster.this[each.value.name].cluster_identifier
      number_of_nodes    = each.value.resize.nodes
      classic            = false
    }
  }
}

# --- refresh: AUTO REFRESH has no interval, so a schedule asks --------------------------------------------------------

resource "aws_scheduler_schedule" "refresh" {
  for_each = var.refresh_views ? toset(var.views) : toset([])

  name                = "${var.context.name}-refresh-${replace(trimprefix(each.key, "staging."), "_", "-")}"
  description         = "Refreshes ${each.key}"
  schedule_expression = "rate(${var.refresh_minutes} minute${var.refresh_minutes == 1 ? "" : "s"})"
  kms_key_arn         = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:redshiftdata:executeStatement"
    role_arn = var.scheduler_role_arn

    input = jsonencode(merge(local.address, {
      Database      = local.database
      Sql           = "REFRESH MATERIALIZED VIEW ${each.key}"
      StatementName = each.key
      WithEvent     = false
    }))

    retry_policy {
      maximum_event_age_in_seconds = 60
      maximum_retry_attempts       = 0 # the next minute asks again
    }
  }
}
