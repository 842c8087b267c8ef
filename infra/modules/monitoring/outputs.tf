output "log_group_names" {
  description = "Log group of each part: msk, connect, stream, build, udf."
  value       = { for part, group in aws_cloudwatch_log_group.part : part => group.name }
}
