# Debezium's SQL Server connector on MSK Connect: one worker and one task per source database, restarted by the service.

locals {
  # A source is a database with its schema; each gets a connector of its own.
  sources = { for table in var.tables : "${table.server}-${lower(table.database)}-${table.schema}" => table... }

  iam = {
    "security.protocol"                  = "SASL_SSL"
    "sasl.mechanism"                     = "AWS_MSK_IAM"
    "sasl.jaas.config"                   = "software.amazon.msk.auth.iam.IAMLoginModule required;"
    "sasl.client.callback.handler.class" = "software.amazon.msk.auth.iam.IAMClientCallbackHandler"
  }

  # Debezium reads and writes its schema history with clients of its own, which need the settings again.
  history = merge([for client in ["producer", "consumer"] : {
    for key, value in local.iam : "schema.history.internal.${client}.${key}" => value
  }]...)

  # <server>.<database>.<schema>.<table> becomes the topic that the pipeline names.
  routes = { for name, tables in local.sources : name => merge([for table in tables : {
    "transforms.${table.name}.type"        = "org.apache.kafka.connect.transforms.RegexRouter"
    "transforms.${table.name}.regex"       = replace("${table.server}.${table.database}.${table.schema}.${table.name}", ".", "\\.")
    "transforms.${table.name}.replacement" = table.topic
  }]...) }

  worker_properties = merge(
    { for key, value in var.converter : "key.${key}" => value },
    { for key, value in var.converter : "value.${key}" => value },
    {
      "config.providers"                             = "secretsmanager"
      "config.providers.secretsmanager.class"        = "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider"
      "config.providers.secretsmanager.param.region" = var.context.region
      "offset.flush.interval.ms"                     = 10000
    },
  )
}

# Its value is written by hand, once: no password stands in a state file.
resource "aws_secretsmanager_secret" "source" {
  name                    = "${var.context.name}/connector"
  description             = "JSON with username and password of the SQL Server login, and registry (user:password) with a Confluent registry"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
  tags                    = var.context.tags
}

resource "aws_mskconnect_custom_plugin" "debezium" {
  name         = "${var.context.name}-debezium-${substr(md5(var.plugin.key), 0, 8)}"
  description  = "Debezium's SQL Server connector, the Avro converter and the Secrets Manager provider"
  content_type = "ZIP"
  tags         = var.context.tags

  location {
    s3 {
      bucket_arn = "arn:aws:s3:::${var.plugin.bucket}"
      file_key   = var.plugin.key
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_mskconnect_worker_configuration" "this" {
  name                    = "${var.context.name}-${substr(md5(jsonencode(local.worker_properties)), 0, 8)}"
  description             = "Converters and the provider of secrets"
  properties_file_content = join("\n", [for key, value in local.worker_properties : "${key}=${value}"])
  tags                    = var.context.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_mskconnect_connector" "source" {
  for_each = local.sources

  name                       = "${var.context.name}-${each.key}"
  description                = "Changes of ${each.value[0].database} by Debezium"
  kafkaconnect_version       = var.kafkaconnect_version
  service_execution_role_arn = var.role_arn
  tags                       = var.context.tags

  connector_configuration = merge(local.history, local.routes[each.key], {
    "connector.class" = "io.debezium.connector.sqlserver.SqlServerConnector"
    "tasks.max"       = "1"

    "database.hostname"  = var.source_database.host
    "database.port"      = tostring(var.source_database.port)
    "database.user"      = "$${secretsmanager:${aws_secretsmanager_secret.source.name}:username}"
    "database.password"  = "$${secretsmanager:${aws_secretsmanager_secret.source.name}:password}"
    "database.names"     = each.value[0].database
    "database.encrypt"   = "true"
    "topic.prefix"       = each.value[0].server
    "table.include.list" = join(",", [for table in each.value : "${table.schema}.${table.name}"])
    "transforms"         = join(",", [for table in each.value : table.name])

    "schema.history.internal.kafka.bootstrap.servers" = var.bootstrap_brokers
    "schema.history.internal.kafka.topic"             = "${each.key}.schema-history"

    # Partitions by key keep the order of a row's changes; records count from their arrival.
    "topic.creation.default.partitions"             = tostring(var.partitions)
    "topic.creation.default.replication.factor"     = "3"
    "topic.creation.default.cleanup.policy"         = "delete"
    "topic.creation.default.retention.ms"           = tostring(var.retention_ms)
    "topic.creation.default.min.insync.replicas"    = "2"
    "topic.creation.default.message.timestamp.type" = "LogAppendTime"

    # Every change or a stop: nothing is skipped. Broken connections are tried again for ever, other errors for ten minutes.
    "errors.tolerance"                     = "none"
    "errors.retry.timeout"                 = "600000"
    "errors.retry.delay.max.ms"            = "30000"
    "errors.max.retries"                   = "-1"
    "retriable.restart.connector.wait.ms"  = "10000"
    "errors.log.enable"                    = "true"
    "errors.log.include.messages"          = "false" # rows are no log lines
    "producer.override.acks"               = "all"
    "producer.override.enable.idempotence" = "true"
    "producer.override.compression.type"   = "zstd"

    "snapshot.mode"         = "initial"
    "tombstones.on.delete"  = "true"
    "decimal.handling.mode" = "precise"
    "heartbeat.interval.ms" = "10000"
  })

  capacity {
    provisioned_capacity {
      mcu_count    = var.mcu_count
      worker_count = 1
    }
  }

  kafka_cluster {
    apache_kafka_cluster {
      bootstrap_servers = var.bootstrap_brokers

      vpc {
        security_groups = [var.security_group_id]
        subnets         = var.subnet_ids
      }
    }
  }

  kafka_cluster_client_authentication {
    authentication_type = "IAM"
  }

  kafka_cluster_encryption_in_transit {
    encryption_type = "TLS"
  }

  plugin {
    custom_plugin {
      arn      = aws_mskconnect_custom_plugin.debezium.arn
      revision = aws_mskconnect_custom_plugin.debezium.latest_revision
    }
  }

  worker_configuration {
    arn      = aws_mskconnect_worker_configuration.this.arn
    revision = aws_mskconnect_worker_configuration.this.latest_revision
  }

  log_delivery {
    worker_log_delivery {
      cloudwatch_logs {
        enabled   = true
        log_group = var.log_group_name
      }
    }
  }
}
