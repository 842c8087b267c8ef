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

  image             = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  stream            = { cpu = 512, memory_mib = 2048 }
  build             = { cpu = 2048, memory_mib = 8192, schedule = "rate(1 hour)" }
  partitions        = 4
  environment       = { WEIR_ENV = "qa" }
  security_group_id = "sg-1"
  log_group_names   = { stream = "/weir/shop-qa/stream", build = "/weir/shop-qa/build" }

  tables = [
    { topic = "shop.customer.cdc", consumer_group = "weir.shop.customer.00000000000000aa" },
    { topic = "shop.order.cdc", consumer_group = "weir.shop.order.00000000000000aa" },
  ]

  role_arns = {
    stream    = "arn:aws:iam::111122223333:role/shop-qa-stream"
    build     = "arn:aws:iam::111122223333:role/shop-qa-build"
    execution = "arn:aws:iam::111122223333:role/shop-qa-execution"
    states    = "arn:aws:iam::111122223333:role/shop-qa-states"
    scheduler = "arn:aws:iam::111122223333:role/shop-qa-scheduler"
  }
}

run "stream_has_time_to_finish_its_batch_and_no_public_address" {
  command = plan

  assert {
    condition     = jsondecode(aws_ecs_task_definition.job["stream"].container_definitions)[0].stopTimeout == 120 && jsondecode(aws_ecs_task_definition.job["stream"].container_definitions)[0].readonlyRootFilesystem
    error_message = "The container is cut off, or writes to its image."
  }

  assert {
    condition     = !aws_ecs_service.stream.network_configuration[0].assign_public_ip && aws_ecs_service.stream.deployment_circuit_breaker[0].rollback
    error_message = "The service has a public address, or keeps a broken version."
  }

  assert {
    condition     = length(aws_appautoscaling_target.stream) == 0
    error_message = "A fixed number of tasks must not be scaled."
  }
}

run "a_new_version_starts_before_the_old_one_stops" {
  command = plan

  assert {
    condition     = aws_ecs_service.stream.deployment_minimum_healthy_percent == 100 && aws_ecs_service.stream.deployment_maximum_percent == 200
    error_message = "Nobody lands while a version is replaced."
  }
}

run "tasks_are_scaled_by_the_backlog_of_each" {
  command = plan
  variables { stream = { cpu = 512, memory_mib = 2048, min_tasks = 2, max_tasks = 4 } }

  assert {
    condition     = aws_ecs_service.stream.desired_count == 2 && aws_appautoscaling_target.stream[0].min_capacity == 2 && aws_appautoscaling_target.stream[0].max_capacity == 4
    error_message = "Other numbers of tasks than asked for."
  }

  assert {
    condition     = contains(aws_appautoscaling_policy.backlog[0].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics[*].expression, "(FILL(lag0, 0) + FILL(lag1, 0)) / FILL(tasks, 1)")
    error_message = "The service is scaled by something else than its backlog."
  }

  assert {
    condition = [for metric in aws_appautoscaling_policy.backlog[0].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics :
      { for dimension in metric.metric_stat[0].metric[0].dimensions : dimension.name => dimension.value } if startswith(metric.id, "lag")] == [
      { "Cluster Name" = "shop-qa", "Consumer Group" = "weir.shop.customer.00000000000000aa", "Topic" = "shop.customer.cdc" },
      { "Cluster Name" = "shop-qa", "Consumer Group" = "weir.shop.order.00000000000000aa", "Topic" = "shop.order.cdc" },
    ]
    error_message = "The backlog of a topic is not that of its own group."
  }
}

run "refuses_fewer_tasks_at_most_than_at_least" {
  command = plan
  variables { stream = { cpu = 512, memory_mib = 2048, min_tasks = 2 } }
  expect_failures = [var.stream]
}

run "refuses_more_tasks_than_partitions" {
  command = plan
  variables { stream = { cpu = 512, memory_mib = 2048, max_tasks = 5 } }
  expect_failures = [var.stream]
}

run "refuses_an_image_by_tag" {
  command = plan
  variables { image = "shop:latest" }
  expect_failures = [var.image]
}
