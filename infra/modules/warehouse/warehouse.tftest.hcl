mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  subnet_ids  = ["subnet-1", "subnet-2", "subnet-3"]

  database           = "shop"
  serverless         = { base_rpu = 8, max_rpu = 16, monthly_rpu_hours = 100 }
  views              = ["staging.customer_cdc_mv"]
  refresh_minutes    = 1
  role_arn           = "arn:aws:iam::111122223333:role/shop-qa-redshift"
  scheduler_role_arn = "arn:aws:iam::111122223333:role/shop-qa-scheduler"
  security_group_id  = "sg-1"
}

run "serverless_stays_inside_the_vpc" {
  command = plan

  assert {
    condition     = aws_redshiftserverless_workgroup.this["shop-qa"].enhanced_vpc_routing && !aws_redshiftserverless_workgroup.this["shop-qa"].publicly_accessible && length(aws_redshift_cluster.this) == 0
    error_message = "The workgroup is not private, or a cluster was made beside it."
  }

  assert {
    condition     = length(aws_scheduler_schedule.refresh) == 0
    error_message = "Views are refreshed that nobody has made."
  }
}

run "a_schedule_refreshes_each_view_every_minute" {
  command = plan
  variables { refresh_views = true }

  assert {
    condition     = aws_scheduler_schedule.refresh["staging.customer_cdc_mv"].schedule_expression == "rate(1 minute)" && jsondecode(aws_scheduler_schedule.refresh["staging.customer_cdc_mv"].target[0].input).Sql == "REFRESH MATERIALIZED VIEW staging.customer_cdc_mv"
    error_message = "The view is not refreshed every minute."
  }
}

run "a_cluster_stands_in_several_zones" {
  command = plan

  variables {
    serverless  = null
    provisioned = { node_type = "ra3.xlplus", nodes = 2, resizes = [{ name = "night", schedule = "cron(0 1 * * ? *)", nodes = 4 }] }
  }

  assert {
    condition     = aws_redshift_cluster.this["shop-qa"].multi_az && aws_redshift_cluster.this["shop-qa"].encrypted == "true" && aws_redshift_cluster.this["shop-qa"].enhanced_vpc_routing
    error_message = "The cluster is in one zone, plain, or outside the VPC."
  }

  assert {
    condition     = contains([for parameter in aws_redshift_parameter_group.this["shop-qa"].parameter : parameter.value if parameter.name == "require_ssl"], "true")
    error_message = "The cluster takes connections without TLS."
  }

  assert {
    condition     = aws_redshift_scheduled_action.resize["shop-qa-night"].target_action[0].resize_cluster[0].number_of_nodes == 4
    error_message = "The night's resize is missing."
  }
}

run "refuses_both_kinds_at_once" {
  command = plan
  variables { provisioned = { node_type = "ra3.xlplus", nodes = 2 } }
  expect_failures = [var.serverless]
}

run "refuses_a_capacity_that_aws_does_not_sell" {
  command = plan
  variables { serverless = { base_rpu = 10, max_rpu = 16, monthly_rpu_hours = 100 } }
  expect_failures = [var.serverless]
}
