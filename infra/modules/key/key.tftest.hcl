mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
}

run "rotates_and_lets_logs_and_alarms_in" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key is not rotated."
  }

  assert {
    condition     = length([for statement in jsondecode(aws_kms_key.this.policy).Statement : statement if can(statement.Principal.Service) && !can(statement.Condition)]) == 0
    error_message = "A service may use the key for anybody."
  }
}

run "refuses_a_deletion_at_once" {
  command = plan
  variables { deletion_window_days = 1 }
  expect_failures = [var.deletion_window_days]
}
