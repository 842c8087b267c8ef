mock_provider "aws" {}

variables {
  name         = "shop"
  account_id   = "111122223333"
  region       = "eu-central-1"
  repository   = "example/shop"
  environments = ["qa", "prod"]
  state_bucket = "shop-state-111122223333"
  tags         = { project = "shop", environment = "account", owner = "tests" }
}

run "only_a_job_of_the_environment_may_apply" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role.github["apply-prod"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:example/shop:environment:prod"]
    error_message = "Another job than prod's may apply to prod."
  }

  assert {
    condition     = !contains(keys(aws_iam_role.github), "apply-dev")
    error_message = "A role was made for an environment that stands elsewhere."
  }
}

run "a_plan_reads_no_data" {
  command = plan

  assert {
    condition     = contains(flatten([for statement in jsondecode(aws_iam_role_policy.plan.policy).Statement : statement.Action if statement.Effect == "Deny"]), "secretsmanager:GetSecretValue")
    error_message = "The role that plans reads secrets."
  }
}

run "apply_makes_roles_of_its_environment_only" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role_policy.apply["qa"].policy).Statement[0].Resource == ["arn:aws:iam::111122223333:role/shop-qa-*"]
    error_message = "The role that applies to qa makes roles of another environment."
  }
}

run "refuses_a_pattern_of_repositories" {
  command = plan
  variables { repository = "example/*" }
  expect_failures = [var.repository]
}
