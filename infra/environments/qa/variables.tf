variable "pipeline" {
  description = "From pipeline.auto.tfvars.json, which `weir config tfvars` writes."
  type        = any
}

variable "sizes" {
  description = "How large the parts are: from sizes.auto.tfvars.json, which `weir plan --cost` reads too."
  type        = any
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "owner" {
  description = "Who answers for it; a tag."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms; each address must confirm once."
  type        = set(string)
}

variable "image" {
  description = "Image of Weir, by digest: what a release prints."
  type        = string
}

variable "connector_plugin" {
  description = "Key of the connector's zip in the bucket of artifacts."
  type        = string
}

variable "source_database" {
  description = "The SQL Server: host, cidr, and optionally port and transit_gateway_id."
  type        = object({ host = string, cidr = string, port = optional(number, 1433), transit_gateway_id = optional(string) })
}
