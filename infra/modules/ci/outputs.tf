output "role_arns" {
  description = "Roles of the workflows: plan, release, apply-<environment>."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
