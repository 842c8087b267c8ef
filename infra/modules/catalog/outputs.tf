output "security_configuration" {
  description = "What Glue's jobs encrypt, and with which key."
  value       = aws_glue_security_configuration.this.name
}
