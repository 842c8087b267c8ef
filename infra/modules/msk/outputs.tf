output "bootstrap_brokers" {
  description = "Brokers, host:9098,host:9098, IAM over TLS."
  value       = local.provisioned ? aws_msk_cluster.this[0].bootstrap_brokers_sasl_iam : aws_msk_serverless_cluster.this[0].bootstrap_brokers_sasl_iam
}
