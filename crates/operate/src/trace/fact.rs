//! A fact: its changes, its row, and for each pointer the version, why that one, and the way back.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use weir_core::diagnosis::Diagnosed;
use weir_core::surrogate::UNKNOWN;
use weir_core::value::Value;
use weir_curated::layout::EVENT_TIME;
use weir_envelope::values::value_at;
use weir_project::{DimensionRef, ModelKind};

use super::Trace;
use super::key::Key;
use super::passport::{Passport, Pointer};

impl Trace<'_> {
    /// Everything of a fact's key.
    pub(super) async fn fact(&mut self, key: &Key<'_>) -> Result<Passport, Diagnosed> {
        let mut changes = self.changes(key).await?;
        let newest = match &changes.history {
            Some(history) => weir_curated::trace::newest(key.model, history)?,
            None => None,
        };
        match newest {
            Some(row) => changes.effect(changes.number(row), "gives the row".to_owned()),
            None => changes.effect(changes.numbers.iter().flatten().max().copied(), "removes the row".to_owned()),
        }
        let mut passport = Passport {
            table: key.model.name.to_string(),
            kind: "fact",
            key: key.shown(&self.lineage),
            changes: changes.all,
            ..Passport::default()
        };
        let stored = weir_curated::trace::stored(self.project, self.zones.lake, key.model, &key.arrays()?).await?;
        let Some(stored) = stored else { return Ok(passport) };
        self.zones.note(&stored.table, stored.files);
        if stored.rows.num_rows() == 0 {
            return Ok(passport);
        }
        let value = |column: &str| {
            let array = stored.rows.column_by_name(column);
            array.and_then(|array| value_at(array.as_ref(), 0)).unwrap_or(Value::Null)
        };
        let columns = stored.rows.schema();
        let columns = columns.fields().iter().map(|field| field.name().as_str());
        let cells = columns.map(|name| {
            let personal = key.model.column(name).is_some() || name == EVENT_TIME;
            let text = if personal { self.shown(key.model, name, &value(name)) } else { plain(&value(name)) };
            (name.to_owned(), text)
        });
        passport.row = Some(cells.collect());
        passport.event_time = Some(self.shown(key.model, EVENT_TIME, &value(EVENT_TIME)));
        let ModelKind::Fact { dimensions, .. } = &key.model.kind else { return Ok(passport) };
        for pointer in dimensions {
            let held = stored.rows.column_by_name(pointer.key_column.as_str());
            let held = held.and_then(|array| array.as_primitive_opt::<Int64Type>()).map_or(UNKNOWN, |a| a.value(0));
            let on: Vec<Value> = pointer.on.iter().map(|name| value(name.as_str())).collect();
            passport.pointers.push(self.pointer(pointer, held, &on, &value(EVENT_TIME)).await?);
        }
        Ok(passport)
    }

    async fn pointer(
        &mut self,
        pointer: &DimensionRef,
        held: i64,
        on: &[Value],
        event_time: &Value,
    ) -> Result<Pointer, Diagnosed> {
        let mut found = Pointer {
            column: pointer.key_column.to_string(),
            dimension: pointer.dimension.to_string(),
            surrogate_key: held,
            why: "unknown member: the fact has no business key",
            member: None,
        };
        let project = self.project;
        let Some(dimension) = project.model(&pointer.dimension) else { return Ok(found) };
        if on.iter().any(Value::is_null) {
            return Ok(found);
        }
        let texts: Vec<String> = on.iter().map(ToString::to_string).collect();
        let key = Key::of(project, &self.lineage, dimension, &texts)?;
        let mut member = self.member(&key, false).await?;
        found.why = why(&member, held, &event_time.to_string());
        narrow(&mut member, held);
        found.member = Some(member);
        Ok(found)
    }
}

fn plain(value: &Value) -> String {
    if value.is_null() { "NULL".to_owned() } else { value.to_string() }
}

/// Why a fact of this time points to this version. Times as texts sort as they follow each other.
fn why(member: &Passport, held: i64, event_time: &str) -> &'static str {
    if held == UNKNOWN {
        return "unknown member: the dimension had no row of this key";
    }
    let Some(version) = member.versions.iter().find(|version| version.surrogate_key == held) else {
        return "the dimension has changed since the fact was built: a build is due";
    };
    if version.is_inferred {
        "inferred member: the dimension has no row of this key yet"
    } else if event_time < version.effective_from.as_str() {
        "older than the first version, so it takes the first"
    } else if event_time >= version.effective_to.as_str() {
        "in the gap behind a delete, so it takes the version before"
    } else {
        "valid at event_time"
    }
}

/// Leaves one version, and the changes that made it.
fn narrow(member: &mut Passport, held: i64) {
    member.versions.retain(|version| version.surrogate_key == held);
    let made: Vec<usize> = member
        .versions
        .iter()
        .flat_map(|version| [version.opened_by, version.updated_by, version.closed_by])
        .flatten()
        .collect();
    member.changes.retain(|change| made.contains(&change.number));
}

#[cfg(test)]
mod tests {
    use super::super::passport::{Change, Version};
    use super::*;

    fn member() -> Passport {
        let version = |number: usize, from: &str, to: &str| Version {
            number,
            surrogate_key: i64::try_from(number).expect("small"),
            effective_from: from.to_owned(),
            effective_to: to.to_owned(),
            opened_by: Some(number),
            updated_by: Some(4),
            ..Version::default()
        };
        let versions = vec![version(1, "2020", "2021"), version(2, "2021", "2022"), version(3, "2023", "9999")];
        let changes = (1..=4).map(|number| Change { number, ..Change::default() }).collect();
        Passport { versions, changes, ..Passport::default() }
    }

    #[test]
    fn a_pointer_says_why_it_points_to_its_version() {
        let mut member = member();
        assert_eq!(why(&member, 1, "2020"), "valid at event_time");
        assert_eq!(why(&member, 1, "2019"), "older than the first version, so it takes the first");
        assert_eq!(why(&member, 2, "2022"), "in the gap behind a delete, so it takes the version before");
        assert!(why(&member, 9, "2022").contains("a build is due"));
        assert!(why(&member, UNKNOWN, "2022").starts_with("unknown member"));
        member.versions[0].is_inferred = true;
        assert!(why(&member, 1, "2020").starts_with("inferred member"));
    }

    #[test]
    fn the_way_back_holds_one_version_and_the_changes_that_made_it() {
        let mut member = member();
        narrow(&mut member, 2);
        assert_eq!(member.versions.len(), 1);
        assert_eq!(member.changes.iter().map(|change| change.number).collect::<Vec<_>>(), [2, 4]);
    }
}
