output "host" {
  description = "Host of the Postgres wire, port 5439."
  value = one(concat(
    [for workgroup in aws_redshiftserverless_workgroup.this : workgroup.endpoint[0].address],
    [for cluster in aws_redshift_cluster.this : cluster.dns_name],
  ))
}

output "database" {
  description = "Name of the database."
  value       = local.database
}
