# Where Avro schemas live: Glue's registry, or a Confluent one that stands elsewhere. Schemas are registered by the connector.

locals {
  glue = var.kind == "glue"

  glue_converter = {
    "converter"                               = "com.amazonaws.services.schemaregistry.kafkaconnect.AWSKafkaAvroConverter"
    "converter.region"                        = var.context.region
    "converter.registry.name"                 = var.context.name
    "converter.schemaAutoRegistrationEnabled" = "true"
    "converter.avroRecordType"                = "GENERIC_RECORD"
    "converter.compatibility"                 = "BACKWARD"
    "converter.endpoint"                      = "https://glue.${var.context.region}.amazonaws.com"
  }

  confluent_converter = {
    "converter"                               = "io.confluent.connect.avro.AvroConverter"
    "converter.schema.registry.url"           = var.confluent_url
    "converter.basic.auth.credentials.source" = "USER_INFO"
    # Key `registry` of the connector's secret holds user:password.
    "converter.basic.auth.user.info" = "$${secretsmanager:${var.secret_name}:registry}"
  }
}

resource "aws_glue_registry" "this" {
  count = local.glue ? 1 : 0

  registry_name = var.context.name
  description   = "Change events of ${var.context.name}"
  tags          = var.context.tags
}
