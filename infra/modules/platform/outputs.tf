output "bootstrap_brokers" {
  description = "Brokers, IAM over TLS."
  value       = module.msk.bootstrap_brokers
}

output "lake_root" {
  description = "Root of the lake, as lake.root takes it."
  value       = module.lake.root
}

output "warehouse_host" {
  description = "Host of Redshift, port 5439."
  value       = module.warehouse.host
}

output "connector_secret" {
  description = "Secret that is filled by hand with the SQL Server login."
  value       = module.connect.secret_name
}

output "state_machine_arn" {
  description = "Starts a build: aws stepfunctions start-execution."
  value       = module.workers.state_machine_arn
}

output "service" {
  description = "ECS cluster and service of `weir stream`."
  value       = { cluster = module.workers.cluster_name, service = module.workers.service_name }
}

output "warehouse_database" {
  description = "Database of the warehouse."
  value       = module.warehouse.database
}
