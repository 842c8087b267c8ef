variable "name" {
  description = "Name of the pipeline, as in its weir.yaml."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "region" {
  description = "Region of the state, as of the environments."
  type        = string
}

variable "repository" {
  description = "GitHub repository, owner/name."
  type        = string
}

variable "environments" {
  description = "Environments that this account holds."
  type        = set(string)
  default     = ["dev", "qa", "prod"]
}

variable "owner" {
  description = "Who answers for it; a tag."
  type        = string
}
