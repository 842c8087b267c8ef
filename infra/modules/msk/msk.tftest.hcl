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

  brokers           = { count = 3, instance_type = "kafka.t3.small", volume_gib = 20, max_volume_gib = 100 }
  partitions        = 4
  retention_ms      = 604800000
  security_group_id = "sg-1"
  log_group_name    = "/weir/shop-qa/msk"
}

run "takes_iam_over_tls_and_keeps_two_copies_in_sync" {
  command = plan

  assert {
    condition = alltrue([for line in ["min.insync.replicas=2", "default.replication.factor=3", "log.retention.ms=604800000", "auto.create.topics.enable=false", "log.message.timestamp.type=LogAppendTime"] :
    contains(split("\n", aws_msk_configuration.this[0].server_properties), line)])
    error_message = "The brokers' settings lack a promise."
  }

  assert {
    condition     = aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].client_broker == "TLS" && aws_msk_cluster.this[0].client_authentication[0].sasl[0].iam && !aws_msk_cluster.this[0].client_authentication[0].unauthenticated
    error_message = "A client without TLS or IAM is let in."
  }

  assert {
    condition     = aws_appautoscaling_target.storage[0].max_capacity == 100
    error_message = "Storage does not grow to its limit."
  }
}

run "serverless_has_no_brokers" {
  command = plan
  variables { kind = "serverless" }

  assert {
    condition     = length(aws_msk_cluster.this) == 0 && length(aws_msk_serverless_cluster.this) == 1 && length(aws_appautoscaling_policy.storage) == 0
    error_message = "A serverless stream made brokers."
  }
}

run "refuses_brokers_that_do_not_fill_the_zones" {
  command = plan
  variables { brokers = { count = 4, instance_type = "kafka.t3.small", volume_gib = 20, max_volume_gib = 100 } }
  expect_failures = [var.brokers]
}

run "refuses_a_retention_of_an_hour" {
  command = plan
  variables { retention_ms = 3600000 }
  expect_failures = [var.retention_ms]
}
