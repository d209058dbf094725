//! An element that stands in a group, an `and` or an `or` for no reason takes the same rows as without it.

use super::*;

/// What stands around elements.
#[derive(Clone, Copy, Debug)]
enum Around {
    Group,
    And,
    Or,
}

/// Puts elements of a machine into another one; `None`: they cannot stand in it.
fn wrap(machine: &Machine, around: Around, (from, to): (usize, usize)) -> Option<Machine> {
    let inside = machine.steps.get(from..to)?.to_vec();
    let between = |node: &Node| matches!(node.kind, NodeKind::Between { .. });
    let (first, last) = (inside.first()?, inside.last()?);
    let needed = inside.iter().any(|node| node.min > 0);
    if between(first) || between(last) || !needed {
        return None;
    }
    let mut outer = node(NodeKind::Or(Vec::new()), first.from, (1, 1), false);
    outer.to = last.to;
    let alone = inside.len() == 1 && first.min > 0;
    outer.kind = match around {
        Around::Group => NodeKind::Group(inside),
        Around::And if alone => NodeKind::And {
            sides: inside,
            share: true,
        },
        Around::Or if alone => NodeKind::Or(inside),
        _ => return None,
    };
    let mut wrapped = machine.clone();
    wrapped.steps.splice(from..to, [outer]);
    if let Copies::Span { to, .. } = &mut wrapped.copies
        && *to > 0
    {
        *to = wrapped.steps.len();
    }
    Some(wrapped)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn what_stands_around_elements_changes_nothing(
        items in items(),
        rows in rows(),
        (within, longest) in (3..12_i64, any::<bool>()),
        (every, keeps) in (0..3_u8, any::<bool>()),
        options in prop::collection::vec((0..6_i64, any::<bool>(), any::<bool>()), 5),
        around in prop::sample::select(vec![Around::Group, Around::And, Around::Or]),
        (from, count) in (1..4_usize, 1..4_usize),
    ) {
        let every = match every {
            0 => Every::Row,
            1 => Every::All,
            _ => Every::Span(0, 0),
        };
        let model = Model { items: &items, rows: &rows, within, longest };
        let mut flat = machine(&model, ways(every, keeps));
        for (node, (within, strict, greedy)) in flat.steps.iter_mut().zip(options).skip(1) {
            if matches!(node.kind, NodeKind::Step { .. }) {
                node.within = within;
                node.greedy = greedy;
                if strict {
                    node.inner = Contiguity::Strict;
                }
            }
        }
        if let Some(nested) = wrap(&flat, around, (from, from + count)) {
            let expected = run(&flat, &rows, limits(1_000));
            let found = run(&nested, &rows, limits(1_000));
            prop_assert_eq!(found.told, expected.told, "{:?} {:?}", nested.steps, model);
        }
    }
}
