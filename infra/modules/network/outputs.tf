output "private_subnet_ids" {
  description = "Private subnets, in the order of the zones."
  value       = local.private_ids
}

output "security_group_ids" {
  description = "Security group of each part: msk, connect, workers, warehouse, udf, endpoints."
  value       = { for part, group in aws_security_group.this : part => group.id }
}
