output "state_bucket" {
  description = "For backend.hcl of the environments."
  value       = module.bootstrap.state_bucket
}

output "artifacts_bucket" {
  description = "Where the connector's plugin goes."
  value       = module.bootstrap.artifacts_bucket
}

output "image_repository" {
  description = "Where the image goes."
  value       = module.bootstrap.image_repository
}

output "role_arns" {
  description = "Roles of the workflows."
  value       = module.ci.role_arns
}
