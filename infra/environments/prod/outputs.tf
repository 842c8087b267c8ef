output "pipeline" {
  description = "Addresses of the environment: brokers, lake, warehouse, secret, build, service."
  value       = module.pipeline
}
