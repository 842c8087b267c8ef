//! The program that Lambda starts: its loop around [`Function`].
//!
//! `WEIR_REGISTRY` names the registry, `AWS_REGION` is set by Lambda, `WEIR_ENVIRONMENT` is what its metrics are kept apart by.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use weir_udf::{Function, Request};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let registry = std::env::var("WEIR_REGISTRY").map_err(|_| "WEIR_REGISTRY names no registry")?;
    let environment = std::env::var("WEIR_ENVIRONMENT").unwrap_or_else(|_| "unknown".to_owned());
    let function = Function::of_setting(&registry, &std::env::var("AWS_REGION").unwrap_or_default());
    let (function, environment) = (&function, environment.as_str());
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Request>| async move {
        // Lambda sends one call at a time: nothing waits while this one blocks.
        let answer = function.answer(&event.payload);
        say(&answer.line(now(), environment));
        Ok::<_, Infallible>(answer.text)
    }))
    .await
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[allow(clippy::print_stdout, reason = "what Lambda's program prints is its log")]
fn say(line: &str) {
    println!("{line}");
}
