output "databases" {
  description = "Database of each zone."
  value       = { for zone, database in aws_glue_catalog_database.zone : zone => database.name }
}
