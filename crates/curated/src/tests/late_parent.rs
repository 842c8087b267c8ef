//! Facts that wait at the unknown member: by any batching of the changes the builds come to the reference star.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_core::change::{Change, Op};
use weir_core::name::ModelName;
use weir_core::surrogate::UNKNOWN;
use weir_core::value::{Row, Value};
use weir_project::{LateParent, Model, ModelKind};

use super::fixture::{Bench, any_changes, expected_of, models, name, project, shop, sources, visit};
use super::run;
use crate::build::build_in;
use crate::check::check_in;
use crate::room::Room;

fn models_with(of_fact: &BTreeMap<&str, LateParent>) -> Vec<Model> {
    let mut models = models();
    for model in &mut models {
        if let (ModelKind::Fact { dimensions, .. }, Some(policy)) = (&mut model.kind, of_fact.get(model.name.as_str()))
        {
            dimensions.iter_mut().for_each(|pointer| pointer.late_parent = *policy);
        }
    }
    models
}

fn star(models: &[Model], changes: &[Change]) -> BTreeMap<ModelName, Vec<Row>> {
    expected_of(models, &project, changes)
}

fn any_policy() -> impl Strategy<Value = LateParent> {
    prop_oneof![Just(LateParent::Infer), Just(LateParent::Unknown)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_batching_gives_the_reference_star_whatever_the_facts_do_without_their_parents(
        changes in any_changes(30).prop_shuffle(),
        cuts in proptest::collection::vec(0usize..30, 1..4),
        visits in any_policy(),
        arrivals in any_policy(),
        buckets in 1u16..4,
    ) {
        let models = models_with(&[("fact_visit", visits), ("fact_arrival", arrivals)].into());
        run(async {
            let bench = Bench::new(buckets).await;
            let room = Room::of(&models, &sources(), buckets, &bench.lake);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(changes.len())).collect();
            cuts.extend([0, changes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                bench.stage(&changes[pair[0]..pair[1]]).await;
                build_in(&room).await.expect("a build");
            }
            let wanted = star(&models, &changes);
            prop_assert_eq!(&bench.tables().await, &wanted);
            prop_assert_eq!(&bench.loaded().await, &wanted, "change sets lead to the same rows");
            prop_assert_eq!(check_in(&room).await.expect("a check"), vec![]);
            Ok(())
        })?;
    }
}

#[test]
fn a_waiting_fact_points_to_its_parent_once_that_arrives_and_back_when_it_never_was() {
    let models = models_with(&[("fact_visit", LateParent::Unknown), ("fact_arrival", LateParent::Unknown)].into());
    run(async {
        let bench = Bench::new(2).await;
        let room = Room::of(&models, &sources(), 2, &bench.lake);
        let pointed = || async {
            let rows = bench.tables().await.remove(&name("fact_visit")).expect("the table");
            rows.iter().map(|row| row[6].clone()).collect::<Vec<Value>>()
        };
        bench.stage(&[visit(1, Op::Create, 5, 1, (Some("n"), Some(1)), "new", Some(5))]).await;
        build_in(&room).await.expect("a build");
        assert_eq!(pointed().await, [Value::Int(UNKNOWN)]);
        assert_eq!(bench.tables().await[&name("dim_shop")].len(), 1, "the unknown member alone");

        bench.stage(&[shop(2, Op::Create, 7, ("n", 1), ("Ann", "a", "x"))]).await;
        build_in(&room).await.expect("a build");
        assert_ne!(pointed().await, [Value::Int(UNKNOWN)]);

        // Deleted at the time of its creation: the shop has never been there.
        bench.stage(&[shop(3, Op::Delete, 7, ("n", 1), ("Ann", "a", "x"))]).await;
        build_in(&room).await.expect("a build");
        assert_eq!(pointed().await, [Value::Int(UNKNOWN)]);
    });
}
