variable "name" {
  description = "Name of the pipeline: roles of an environment begin with <name>-<environment>-."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is 12 digits."
  }
}

variable "region" {
  description = "Region of the state."
  type        = string
}

variable "repository" {
  description = "GitHub repository, owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is owner/name, without a star: a pattern would trust strangers."
  }
}

variable "environments" {
  description = "Environments that this account holds; each gets a role that applies."
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["dev", "qa", "prod"])) == 0
    error_message = "environments are dev, qa, prod."
  }
}

variable "state_bucket" {
  description = "Bucket of Terraform's state."
  type        = string
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
}
