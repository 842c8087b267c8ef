mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }

  kind        = "glue"
  secret_name = "shop-qa/connector"
}

run "glue_has_a_registry_and_its_converter" {
  command = plan

  assert {
    condition     = aws_glue_registry.this[0].registry_name == "shop-qa" && output.converter["converter.registry.name"] == "shop-qa"
    error_message = "Converter and registry have different names."
  }
}

run "confluent_takes_its_password_from_the_secret" {
  command = plan

  variables {
    kind          = "confluent"
    confluent_url = "https://registry.example.com"
  }

  assert {
    condition     = length(aws_glue_registry.this) == 0 && output.converter["converter.basic.auth.user.info"] == "$${secretsmanager:shop-qa/connector:registry}"
    error_message = "The password is not a reference to the secret."
  }
}

run "refuses_a_user_in_the_url" {
  command = plan

  variables {
    kind          = "confluent"
    confluent_url = "https://user:password@registry.example.com"
  }

  expect_failures = [var.confluent_url]
}
