# The rules of Terraform itself; AWS's rule set is a plugin that tflint fetches, which not every machine may.
plugin "terraform" {
  enabled = true
  preset  = "recommended"
}
