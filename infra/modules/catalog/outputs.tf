output "databases" {
  description = "Database of each zone."
  value       = { for zone, database in aws_glue_catalog_database.zone : zone => database.name }
}

output "security_configuration" {
  description = "What Glue's jobs encrypt, and with which key."
  value       = aws_glue_security_configuration.this.name
}
