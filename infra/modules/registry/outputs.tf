output "converter" {
  description = "Settings of Kafka Connect's converter, without the prefixes `key.` and `value.`."
  value       = local.glue ? local.glue_converter : local.confluent_converter
}
