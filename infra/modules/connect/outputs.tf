output "secret_name" {
  description = "Secret whose value is written by hand: username, password, registry."
  value       = aws_secretsmanager_secret.source.name
}

output "connector_names" {
  description = "Connectors, one per source database."
  value       = [for connector in aws_mskconnect_connector.source : connector.name]
}
