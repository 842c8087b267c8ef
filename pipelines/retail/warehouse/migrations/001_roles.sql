-- Who reads the star schema, and who sees what was loaded into it. Users get these roles by hand, or from the identity
-- provider.
CREATE ROLE analyst;
GRANT USAGE ON SCHEMA analytics TO ROLE analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO ROLE analyst;
-- A table that is made anew is another one.
ALTER DEFAULT PRIVILEGES IN SCHEMA analytics GRANT SELECT ON TABLES TO ROLE analyst;

CREATE ROLE operator;
GRANT USAGE ON SCHEMA staging TO ROLE operator;
GRANT SELECT ON staging.load_ledger, staging.migrations TO ROLE operator;
