# `weir stream` as a service and `weir build` as a scheduled task, from one image, on Fargate (arm64).
# A Glue streaming job is Spark and cannot be Rust; the batch may run as a Glue Python-shell job instead.

locals {
  jobs = {
    stream = { command = ["stream"], size = var.stream, role_arn = var.role_arns["stream"] }
    build  = { command = ["build"], size = var.build, role_arn = var.role_arns["build"] }
  }

  scaled = var.stream.max_tasks > var.stream.min_tasks
}

resource "aws_ecs_cluster" "this" {
  name = var.context.name
  tags = var.context.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  configuration {
    managed_storage_configuration {
      fargate_ephemeral_storage_kms_key_id = var.kms_key_arn
    }
  }
}

resource "aws_ecs_task_definition" "job" {
  for_each = local.jobs

  family                   = "${var.context.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.size.cpu
  memory                   = each.value.size.memory_mib
  task_role_arn            = each.value.role_arn
  execution_role_arn       = var.role_arns["execution"]
  tags                     = var.context.tags

  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  ephemeral_storage {
    size_in_gib = each.value.size.disk_gib
  }

  volume {
    name = "scratch"
  }

  container_definitions = jsonencode([{
    name                   = "weir"
    image                  = var.image
    command                = each.value.command
    essential              = true # no health check: /healthz also fails while brokers are away, which no new task would mend
    readonlyRootFilesystem = true
    stopTimeout            = 120 # SIGTERM: the batch under way is finished and committed
    mountPoints            = [{ sourceVolume = "scratch", containerPath = "/var/lib/weir", readOnly = false }]
    linuxParameters        = { initProcessEnabled = true }
    environment = [for name, value in merge(var.environment, {
      # The rest is for the program itself and for what it keeps of the stream.
      WEIR__LAKE__MEMORY = "${floor(each.value.size.memory_mib * 0.6)}MiB"
    }) : { name = name, value = value }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = var.log_group_names[each.key]
        "awslogs-region"        = var.context.region
        "awslogs-stream-prefix" = each.key
      }
    }
  }])
}

# --- stream --------------------------------------------------------------------------------------------------------

resource "aws_ecs_service" "stream" {
  name                               = "${var.context.name}-stream"
  cluster                            = aws_ecs_cluster.this.arn
  task_definition                    = aws_ecs_task_definition.job["stream"].arn
  desired_count                      = var.stream.min_tasks
  launch_type                        = "FARGATE"
  propagate_tags                     = "SERVICE"
  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100 # old and new tasks share the partitions meanwhile
  deployment_maximum_percent         = 200
  tags                               = var.context.tags

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count] # autoscaling moves it
  }
}

resource "aws_appautoscaling_target" "stream" {
  count = local.scaled ? 1 : 0

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.stream.name}"
  min_capacity       = var.stream.min_tasks
  max_capacity       = var.stream.max_tasks
  tags               = var.context.tags
}

# Backlog of each task: the lag of all tables' groups, shared by the tasks that run.
resource "aws_appautoscaling_policy" "backlog" {
  count = local.scaled ? 1 : 0

  name               = "${var.context.name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.stream[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.stream[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.stream[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.stream.backlog_per_task
    scale_out_cooldown = 120
    scale_in_cooldown  = 600

    customized_metric_specification {
      metrics {
        id          = "backlog"
        label       = "records behind, for each task"
        expression  = "(${join(" + ", [for index, table in var.tables : "FILL(lag${index}, 0)"])}) / FILL(tasks, 1)"
        return_data = true
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.stream.name
            }
          }
        }
      }

      dynamic "metrics" {
        for_each = var.tables

        content {
          id          = "lag${metrics.key}"
          return_data = false

          metric_stat {
            stat = "Maximum"

            metric {
              namespace   = "AWS/Kafka"
              metric_name = "SumOffsetLag"

              dimensions {
                name  = "Cluster Name"
                value = var.context.name
              }

              dimensions {
                name  = "Consumer Group"
                value = metrics.value.consumer_group
              }

              dimensions {
                name  = "Topic"
                value = metrics.value.topic
              }
            }
          }
        }
      }
    }
  }
}

# --- build ---------------------------------------------------------------------------------------------------------

resource "aws_sfn_state_machine" "build" {
  name     = "${var.context.name}-build"
  role_arn = var.role_arns["states"]
  tags     = var.context.tags

  definition = jsonencode({
    Comment = "weir build: a run that was stopped anywhere is simply run again"
    StartAt = "Build"
    States = {
      Build = {
        Type           = "Task"
        Resource       = "arn:aws:states:::ecs:runTask.sync"
        TimeoutSeconds = var.build.timeout_minutes * 60
        End            = true
        Parameters = {
          LaunchType     = "FARGATE"
          Cluster        = aws_ecs_cluster.this.arn
          TaskDefinition = aws_ecs_task_definition.job["build"].arn
          PropagateTags  = "TASK_DEFINITION"
          NetworkConfiguration = {
            AwsvpcConfiguration = {
              Subnets        = var.subnet_ids
              SecurityGroups = [var.security_group_id]
              AssignPublicIp = "DISABLED"
            }
          }
        }
        Retry = [{
          ErrorEquals     = ["States.TaskFailed", "ECS.AmazonECSException", "ECS.ServerException"]
          IntervalSeconds = 60
          MaxAttempts     = var.build.retries
          BackoffRate     = 2
        }]
      }
    }
  })

  encryption_configuration {
    type       = "CUSTOMER_MANAGED_KMS_KEY"
    kms_key_id = var.kms_key_arn
  }

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = false
    log_destination        = "arn:aws:logs:${var.context.region}:${var.context.account_id}:log-group:${var.log_group_names["build"]}:*"
  }
}

resource "aws_scheduler_schedule" "build" {
  name                = "${var.context.name}-build"
  description         = "Starts weir build"
  schedule_expression = var.build.schedule
  kms_key_arn         = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.build.arn
    role_arn = var.role_arns["scheduler"]

    retry_policy {
      maximum_event_age_in_seconds = 300 # a later run takes what this one left
      maximum_retry_attempts       = 3
    }
  }
}

# --- the same build as a Glue Python-shell job, as an option --------------------------------------------------------

resource "aws_glue_job" "build" {
  count = var.glue_job == null ? 0 : 1

  name                   = "${var.context.name}-build"
  description            = "weir build from a wheel that holds the binary"
  role_arn               = var.role_arns["build"]
  max_capacity           = 1
  max_retries            = var.build.retries
  timeout                = var.build.timeout_minutes
  security_configuration = var.glue_job.security_configuration
  tags                   = var.context.tags

  command {
    name            = "pythonshell"
    python_version  = "3.9"
    script_location = var.glue_job.script
  }

  default_arguments = merge(
    { "--extra-py-files" = var.glue_job.wheel },
    { for name, value in var.environment : "--${name}" => value },
  )
}
