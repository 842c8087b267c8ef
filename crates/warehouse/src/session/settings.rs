//! SET and SHOW: parameters that clients send, and the few that mean something here.

use super::Session;
use crate::error::WarehouseError;
use crate::outcome::{Outcome, Tag};
use crate::statement::text::literal;

impl Session {
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<Outcome, WarehouseError> {
        let lower = value.to_lowercase();
        let unsupported = || WarehouseError::unsupported(format!("parameter {name} with the value {value}"));
        match name {
            "search_path" => {
                let schemas: Vec<&str> =
                    lower.split(',').map(str::trim).filter(|s| !s.is_empty() && *s != "$user").collect();
                if schemas.iter().any(|schema| schema.starts_with("weir_")) || schemas.is_empty() {
                    return Err(unsupported());
                }
                self.connection.execute_batch(&format!("SET search_path = {}", literal(&schemas.join(","))))?;
            }
            "timezone" => {
                if !["utc", "gmt", "default", "0"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "client_encoding" => {
                if !["utf8", "utf-8", "unicode"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "datestyle" => {
                if !lower.starts_with("iso") {
                    return Err(unsupported());
                }
            }
            "standard_conforming_strings" => {
                if !["on", "true"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "enable_case_sensitive_identifier" | "enable_case_sensitive_super_attribute" => {
                if !["off", "false"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            // What a client tells of itself; nothing in the warehouse depends on it.
            "application_name" | "extra_float_digits" | "client_min_messages" | "query_group" => {}
            _ => return Err(WarehouseError::unsupported(format!("parameter {name}"))),
        }
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(Outcome::done(Tag::plain("SET")))
    }

    pub(super) fn discard(&mut self) {
        let defaults = [
            ("search_path", "public, analytics, staging"),
            ("timezone", "UTC"),
            ("client_encoding", "UTF8"),
            ("datestyle", "ISO, MDY"),
            ("server_version", "8.0.2"),
            ("server_encoding", "UTF8"),
            ("transaction_isolation", "snapshot"),
            ("standard_conforming_strings", "on"),
            ("extra_float_digits", "0"),
            ("application_name", ""),
            ("enable_case_sensitive_identifier", "off"),
        ];
        self.settings = defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    }
}
