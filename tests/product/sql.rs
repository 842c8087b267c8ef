//! `weir sql`: the same whether the folder's warehouse is free or another process serves it.

use std::time::Duration;

use weir_testkit::harness::Outcome;

use crate::place::Place;

const MADE: &str = "create table public.t (id int, name varchar(20), price decimal(12,3), ok boolean, at timestamp); \
     insert into public.t values (1, 'a, \"b\"', 1.5, true, '2024-01-02 03:04:05'), (2, null, null, false, null)";

/// Everything that `weir sql` says to one text, in all forms.
fn said(place: &Place, text: &str) -> Vec<(Option<i32>, String, String)> {
    let one = |format: &str| -> Outcome { place.weir(&["-o", format, "sql", text]).run() };
    ["table", "json", "csv"].map(one).into_iter().map(|o| (o.status.code(), o.stdout, o.stderr)).collect()
}

#[test]
fn sql_says_the_same_over_the_wire_of_a_running_server() {
    let place = Place::reference();
    place.run(&["sql", MADE]);
    let texts = [
        "select * from public.t order by id; select count(*) as n from public.t where id > 5",
        "select * from public.t where id > 5",
        "insert into public.t values (1, 'x', 0, true, null); delete from public.t where name = 'x'",
        "select * from public.missing",
        "select 1 / 0",
        "selec",
    ];
    let alone: Vec<_> = texts.iter().map(|text| said(&place, text)).collect();

    let mut server = place.weir(&["serve", "--port", "0"]).start();
    server.wait_for("psql", Duration::from_secs(60));
    for (text, alone) in texts.iter().zip(&alone) {
        let served = said(&place, text);
        for (served, alone) in served.iter().zip(alone) {
            assert_eq!((served.0, &served.1), (alone.0, &alone.1), "{text}");
            let code = |stderr: &str| stderr.lines().next().and_then(|line| line.split(':').next()).map(str::to_owned);
            assert_eq!(code(&served.2), code(&alone.2), "{text}\n{}\n{}", served.2, alone.2);
            for line in ["  cause:", "  fix:"] {
                let of = |stderr: &str| stderr.lines().find(|found| found.starts_with(line)).map(str::to_owned);
                assert_eq!(of(&served.2), of(&alone.2), "{text}");
            }
        }
    }
    assert!(server.stop(Duration::from_secs(30)).success());
    assert!(!place.parts().join("running.json").exists(), "the note outlives the server");
}

/// A server that was killed leaves its note; then the file is free and the note is nobody's.
#[test]
fn sql_is_not_led_astray_by_the_note_of_a_killed_server() {
    let place = Place::reference();
    let mut server = place.weir(&["serve", "--port", "0"]).start();
    server.wait_for("psql", Duration::from_secs(60));
    server.kill();
    assert!(place.parts().join("running.json").exists());
    assert_eq!(place.value("select 1"), "1");
}
