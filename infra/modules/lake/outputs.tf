output "root" {
  description = "The lake's root, as `lake.root` takes it."
  value       = "s3://${join("/", compact([aws_s3_bucket.lake.bucket, var.prefix]))}"
}
