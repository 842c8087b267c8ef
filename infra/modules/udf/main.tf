# The Lambda function behind f_cdc_avro_to_json: Avro of a streaming view to JSON. A release has its package (crates/udf).

resource "aws_lambda_function" "decode" {
  count = var.package == null ? 0 : 1

  function_name                  = var.function_name
  description                    = "Avro change events to JSON, called by Redshift (${var.context.name})"
  role                           = var.role_arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["arm64"]
  s3_bucket                      = var.package.bucket
  s3_key                         = var.package.key
  memory_size                    = var.memory_mb
  timeout                        = 60
  reserved_concurrent_executions = var.concurrency
  kms_key_arn                    = var.kms_key_arn
  tags                           = var.context.tags

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [var.security_group_id]
  }

  environment {
    variables = { WEIR_REGISTRY = var.registry, WEIR_ENVIRONMENT = var.context.name }
  }

  logging_config {
    log_format = "JSON"
    log_group  = var.log_group_name
  }
}
