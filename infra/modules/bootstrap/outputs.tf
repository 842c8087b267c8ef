output "state_bucket" {
  description = "Bucket of Terraform's state."
  value       = aws_s3_bucket.this["state"].bucket
}

output "artifacts_bucket" {
  description = "Bucket of the connector's plugin and of the Lambda function's package."
  value       = aws_s3_bucket.this["artifacts"].bucket
}

output "image_repository" {
  description = "URL of the repository of images."
  value       = aws_ecr_repository.weir.repository_url
}
