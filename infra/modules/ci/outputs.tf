output "role_arns" {
  description = "Roles of the workflows: plan, apply-<environment>."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
