# An example: the bucket that infra/bootstrap printed.
bucket = "retail-state-111122223333"
region = "eu-central-1"
