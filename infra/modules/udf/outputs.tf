output "function_name" {
  description = "Name of the function; null when there is no package."
  value       = one(aws_lambda_function.decode[*].function_name)
}
