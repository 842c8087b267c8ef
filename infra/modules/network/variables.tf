variable "context" {
  description = "Name that every resource begins with, account, region, tags of everything."
  type = object({
    name       = string
    account_id = string
    region     = string
    tags       = map(string)
  })
}

variable "kms_key_arn" {
  description = "Key that encrypts what is stored here."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC; a /16 gives subnets of 4,096 addresses."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && tonumber(split("/", var.cidr)[1]) <= 22
    error_message = "cidr is an IPv4 range of /22 or larger."
  }
}

variable "zones" {
  description = "Availability zones, e.g. eu-central-1a; each gets a public and a private subnet."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 8 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones lists 2 to 8 different zones."
  }
}

variable "nat_gateways" {
  description = "NAT gateways: 0 (AWS by endpoints only), 1 (one zone's failure cuts all off), or one per zone."
  type        = number
  default     = 0

  validation {
    condition     = var.nat_gateways >= 0 && var.nat_gateways <= length(var.zones)
    error_message = "nat_gateways is between 0 and the number of zones."
  }
}

variable "endpoint_services" {
  description = "Services that are reached by an interface endpoint in every private subnet; each costs per zone and hour."
  type        = set(string)
  default = [
    "ecr.api", "ecr.dkr", "glue", "kms", "lambda", "logs", "monitoring", "redshift", "redshift-data", "redshift-serverless",
    "secretsmanager", "sts",
  ]

  validation {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "glue", "kms", "logs", "redshift", "redshift-data", "secretsmanager", "sts"], var.endpoint_services)) == 0
    error_message = "ecr.api, ecr.dkr, glue, kms, logs, redshift, redshift-data, secretsmanager and sts are needed: workers have no other way to them."
  }
}

variable "source_database" {
  description = "Where the SQL Server is: its addresses and port, and the transit gateway that leads there (null: another way, set up outside)."
  type = object({
    cidr               = string
    port               = optional(number, 1433)
    transit_gateway_id = optional(string)
  })

  validation {
    condition     = can(cidrhost(var.source_database.cidr, 0)) && var.source_database.cidr != "0.0.0.0/0"
    error_message = "source_database.cidr is the database's own range, not the internet."
  }
}

variable "registry_cidrs" {
  description = "Addresses of a schema registry outside AWS; empty with Glue's."
  type        = set(string)
  default     = []
}

variable "flow_log_role_arn" {
  description = "Role that writes the flow log."
  type        = string
}

variable "flow_log_days" {
  description = "Days that refused connections stay in the flow log."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.flow_log_days)
    error_message = "CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 and 365 days."
  }
}
