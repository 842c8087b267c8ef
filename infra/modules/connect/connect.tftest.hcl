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

  tables = [
    { name = "customer", topic = "shop.customer.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo" },
    { name = "order", topic = "shop.order.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo" },
    { name = "stock", topic = "store.stock.cdc", connector = "sqlserver", server = "store", database = "StoreDB", schema = "dbo" },
  ]
  source_database   = { host = "sql.example.com" }
  plugin            = { bucket = "shop-artifacts", key = "debezium-1.zip" }
  converter         = { "converter" = "Avro", "converter.registry.name" = "shop-qa" }
  partitions        = 4
  retention_ms      = 604800000
  bootstrap_brokers = "b-1:9098"
  role_arn          = "arn:aws:iam::111122223333:role/shop-qa-connect"
  security_group_id = "sg-1"
  log_group_name    = "/weir/shop-qa/connect"
}

run "one_connector_per_database_routes_each_table_to_its_topic" {
  command = plan

  assert {
    condition     = toset(keys(aws_mskconnect_connector.source)) == toset(["shop-shopdb-dbo", "store-storedb-dbo"])
    error_message = "There is not one connector for each database."
  }

  # The very names that Debezium gives, through the very expressions that Kafka Connect will use.
  assert {
    condition = alltrue([for table in var.tables : replace(
      "${table.server}.${table.database}.${table.schema}.${table.name}",
      "/^${aws_mskconnect_connector.source["${table.server}-${lower(table.database)}-${table.schema}"].connector_configuration["transforms.${table.name}.regex"]}$/",
      aws_mskconnect_connector.source["${table.server}-${lower(table.database)}-${table.schema}"].connector_configuration["transforms.${table.name}.replacement"],
    ) == table.topic])
    error_message = "A table's changes go to another topic than the pipeline names."
  }
}

run "no_password_stands_in_the_configuration" {
  command = plan

  assert {
    condition     = aws_mskconnect_connector.source["shop-shopdb-dbo"].connector_configuration["database.password"] == "$${secretsmanager:shop-qa/connector:password}"
    error_message = "The password is not a reference to the secret."
  }

  assert {
    condition     = strcontains(aws_mskconnect_worker_configuration.this.properties_file_content, "value.converter.registry.name=shop-qa") && strcontains(aws_mskconnect_worker_configuration.this.properties_file_content, "config.providers=secretsmanager")
    error_message = "The worker lacks the converter or the provider of secrets."
  }
}

run "schema_history_talks_iam_too" {
  command = plan

  assert {
    condition = alltrue([for client in ["producer", "consumer"] :
    aws_mskconnect_connector.source["shop-shopdb-dbo"].connector_configuration["schema.history.internal.${client}.sasl.mechanism"] == "AWS_MSK_IAM"])
    error_message = "Debezium's schema history cannot log in."
  }
}

run "refuses_two_tables_on_one_topic" {
  command = plan

  variables {
    tables = [
      { name = "customer", topic = "shop.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo" },
      { name = "order", topic = "shop.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo" },
    ]
  }

  expect_failures = [var.tables]
}
