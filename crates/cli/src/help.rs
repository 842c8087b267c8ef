//! The text of `weir --help`: commands grouped by the words of the path, each with an example.

/// clap's template; the groups stand in the place of its own list of commands.
pub const TEMPLATE: &str = "\
{about-with-newline}
{usage-heading} {usage}

The whole path
  demo        Run the whole way in one process, offline     weir demo --rows 100000
  up          Run all services until Ctrl-C                 weir up --build-every 10s
  status      Say what waits and how fresh each zone is     weir status --within 1h
  reconcile   Compare the stream with every zone            weir reconcile
  chaos       Kill the path under load, and reconcile       weir chaos --zone landing --kills 20
  drill       Rehearse disaster recovery on a copy          weir drill
  table       Look after the tables' files; list builds     weir table health
  check       Check the curated tables' invariants          weir check
  validate    Check the pipeline's files, offline           weir validate --env prod
  test        Run the models' unit tests, offline           weir test
  config      Show settings and where they come from        weir config show --resolved --origin
  catalog     What other engines find: list, diff, sync     weir catalog ls
  lineage     Show where a column comes from                weir lineage fact_sales.amount
  trace       Follow one key from source to star schema     weir trace dim_customer 17850
  explain     Explain an error code                         weir explain W4102
Source
  replay      Send change events to the stream              weir replay simulate --seed 7
Stream
  topic       List topics, offsets and retention            weir topic ls
  schema      Say what a schema change will do              weir schema diff
Landing
  stream      Move the stream into the landing zone         weir stream --once
  dlq         Dead letters: list, show, replay, discard     weir dlq ls
Staging, curated
  plan        Say what a build would do, or a month costs   weir plan --select +dim_customer+
  build       Build the zones from what is new              weir build --upto curated
  restate     Rebuild a model's history, diff first         weir restate dim_customer --apply
Warehouse
  serve       Serve the warehouse on the Postgres wire      weir serve --port 5439
  sql         Run SQL on the warehouse                      weir sql 'select * from analytics.dim_date'

{options}

`weir COMMAND --help` says more. Exit codes: 0 ok, 1 the work failed, 64 usage, 75 try again, 78 configuration.
";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::args::Cli;

    #[test]
    fn every_command_stands_in_the_help_with_an_example_and_nothing_else_does() {
        let cli = Cli::command();
        let listed: Vec<&str> = super::TEMPLATE
            .lines()
            .filter(|line| line.starts_with("  ") && line.contains("weir "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let mut known: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
        known.retain(|name| *name != "help");
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        known.sort_unstable();
        assert_eq!(sorted, known);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
