mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"

  brokers         = 3
  connector_names = ["shop-qa-shop-shopdb-dbo"]
  warehouse       = "serverless"
  alarm_emails    = ["tests@example.com"]

  tables = [
    { topic = "shop.customer.cdc", consumer_group = "weir.shop.customer.00000000000000aa" },
    { topic = "shop.order.cdc", consumer_group = "weir.shop.order.00000000000000aa" },
  ]
}

run "every_alarm_tells_somebody_and_stands_on_the_dashboard" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == length(aws_cloudwatch_metric_alarm.this)
    error_message = "Dashboard and alarms differ."
  }

  assert {
    condition     = length(setsubtract(["msk-offline", "msk-cpu-3", "msk-bytes-in-1", "connect-failed-shop-qa-shop-shopdb-dbo", "build-failed", "build-slow", "build-silent", "stream-down", "stream-failed", "stream-late", "dead-letters", "repeats", "late-events", "load-slow", "udf-failed", "warehouse-slow", "warehouse-storage"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "An alarm that must be there is not."
  }
}

run "what_weir_writes_is_that_of_this_environment" {
  command = plan

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.dimensions if alarm.namespace == "Weir" && contains(["stream-failed", "stream-late", "udf-failed"], name) } == {
      stream-failed = tomap({ environment = "shop-qa", job = "stream" })
      stream-late   = tomap({ environment = "shop-qa" })
      udf-failed    = tomap({ environment = "shop-qa" })
    }
    error_message = "An alarm looks at the metrics of another environment or job."
  }
}

run "a_part_that_falls_silent_rings" {
  command = plan

  assert {
    condition     = alltrue([for name in ["stream-down", "build-silent", "connect-silent-shop-qa-shop-shopdb-dbo"] : aws_cloudwatch_metric_alarm.this[name].treat_missing_data == "breaching"])
    error_message = "A part that sends nothing any more is taken for healthy."
  }
}

run "the_lag_of_each_topic_is_that_of_its_own_group" {
  command = plan

  assert {
    condition = jsonencode({ for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.dimensions if startswith(name, "lag-") }) == jsonencode({
      lag-shop-customer-cdc = { "Cluster Name" = "shop-qa", "Consumer Group" = "weir.shop.customer.00000000000000aa", "Topic" = "shop.customer.cdc" }
      lag-shop-order-cdc    = { "Cluster Name" = "shop-qa", "Consumer Group" = "weir.shop.order.00000000000000aa", "Topic" = "shop.order.cdc" }
    })
    error_message = "The lag of a topic is not watched, or that of another group."
  }
}

run "a_cluster_has_alarms_of_its_own" {
  command = plan
  variables { warehouse = "provisioned" }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["warehouse-storage"].metric_name == "PercentageDiskSpaceUsed"
    error_message = "The cluster's disk is not watched."
  }
}

run "refuses_alarms_that_nobody_hears" {
  command = plan
  variables { alarm_emails = [] }
  expect_failures = [var.alarm_emails]
}
