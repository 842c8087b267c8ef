mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"

  lake_root        = "s3://shop-datalake-qa/lake"
  table_names      = ["customer", "order"]
  builder_role_arn = "arn:aws:iam::111122223333:role/shop-qa-build"
}

run "each_zone_has_a_database_where_its_tables_are" {
  command = plan

  assert {
    condition     = aws_glue_catalog_database.zone["curated"].name == "shop_qa_curated" && aws_glue_catalog_database.zone["curated"].location_uri == "s3://shop-datalake-qa/lake/curated"
    error_message = "The database of curated is elsewhere."
  }

  assert {
    condition     = length(aws_glue_crawler.zone) == 0 && length(aws_lakeformation_permissions.builder) == 0
    error_message = "A crawler or a grant was made although nobody asked."
  }
}

run "readers_see_staging_and_curated_only" {
  command = plan
  variables { readers = { analysts = "arn:aws:iam::111122223333:role/analysts" } }

  assert {
    condition     = toset(keys(aws_lakeformation_permissions.reader_tables)) == toset(["analysts-staging", "analysts-curated"])
    error_message = "Readers see another zone."
  }
}

run "a_crawler_reads_the_delta_tables" {
  command = plan
  variables { crawler = { role_arn = "arn:aws:iam::111122223333:role/shop-qa-crawler" } }

  assert {
    condition     = aws_glue_crawler.zone["landing"].delta_target[0].delta_tables == toset(["s3://shop-datalake-qa/lake/landing/customer/", "s3://shop-datalake-qa/lake/landing/order/"])
    error_message = "The crawler reads other tables."
  }
}

run "refuses_everybody_as_reader" {
  command = plan
  variables { readers = { all = "*" } }
  expect_failures = [var.readers]
}
