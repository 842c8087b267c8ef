output "cluster_name" {
  description = "ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "Service that runs `weir stream`."
  value       = aws_ecs_service.stream.name
}

output "state_machine_arn" {
  description = "State machine that runs `weir build`."
  value       = aws_sfn_state_machine.build.arn
}
