//! Every example of the formula catalogue runs in a rule and gives an answer without an error.

use tidegate_proto::{OutcomeKind, Value};
use tidegate_scripts::catalogue;

use super::{MINUTE, World, event, tumbling, when, window};

fn house_of_rows(world: &mut World) {
    for at in 0..9_i64 {
        let names = [
            "temperature",
            "pressure",
            "load",
            "energy",
            "power",
            "wind",
            "speed",
        ];
        let values: Vec<(&str, f64)> = names
            .into_iter()
            .enumerate()
            .map(|(place, name)| (name, (at * 7 % 5) as f64 + place as f64))
            .collect();
        let mut row = event("boiler1", at * 5_000, &values);
        let mode = if at % 3 == 0 { "heat" } else { "cool" };
        row.values.push(("mode".to_owned(), Value::text(mode)));
        world.push(&[row]);
    }
    world.until(3 * MINUTE);
}

fn errors(world: &World) -> Vec<String> {
    let errors = world.told.iter().filter(|o| o.kind == OutcomeKind::Error);
    errors.map(|o| super::print(o, &world.house)).collect()
}

#[test]
fn stream_functions_look_back_without_errors() {
    use tidegate_scripts::StreamFunction::{Members, StaleCount};
    // Those two ask for a group among the inputs.
    let of_groups = [Some(Members), Some(StaleCount)];
    let of_rows = catalogue().filter(|entry| entry.stream.is_some());
    for entry in of_rows.filter(|entry| !of_groups.contains(&entry.stream)) {
        let mut world = World::new();
        world.apply(&when("example", entry.example, 0));
        house_of_rows(&mut world);
        assert!(
            errors(&world).is_empty(),
            "{}: {:?}",
            entry.example,
            errors(&world)
        );
    }
}

#[test]
fn stream_functions_have_values_over_windows() {
    for entry in catalogue().filter(|entry| entry.contexts.len() == 2) {
        let mut world = World::new();
        let here = ["\"5m\"", "\"1h\"", "\"all\""];
        let source = here.iter().fold(entry.example.to_owned(), |text, over| {
            text.replace(&format!(", {over}"), "").replace(over, "")
        });
        world.apply(&window("example", tumbling(MINUTE), &[("answer", &source)]));
        house_of_rows(&mut world);
        assert!(errors(&world).is_empty(), "{source}: {:?}", errors(&world));
        let told = world.told.iter().find_map(|o| o.values.clone()).unwrap();
        assert!(matches!(told[0].1, Value::Bool(_)), "{source}: {told:?}");
    }
}
