//! Beliefs against plain enumeration of every world, in exact ratios; gates against what their words say.

use proptest::prelude::*;
use tidegate_proto::graph::GateForm;

use super::*;
use crate::graph::net::{FALSE, GateNode, Hits, NetNode, TRUE};

fn states(count: usize) -> Vec<std::sync::Arc<str>> {
    (0..count).map(|n| format!("s{n}").into()).collect()
}

fn prior(weights: &[u64]) -> NetNode {
    NetNode {
        states: states(weights.len()),
        source: Source::Prior(weights.to_vec()),
    }
}

fn gate(form: GateForm, of: &[usize], combinations: Vec<Vec<Hits>>) -> NetNode {
    NetNode {
        states: states(2),
        source: Source::Gate(GateNode {
            form,
            of: of.to_vec(),
            combinations,
            hits_are_false: false,
        }),
    }
}

fn net(nodes: Vec<NetNode>) -> Net {
    let order = (0..nodes.len()).filter(|n| !nodes[*n].source.parents().is_empty());
    Net {
        order: order.collect(),
        nodes,
        full_observation: false,
    }
}

/// The vectors of the reference: two coins and a die.
#[test]
fn the_worked_vectors_come_out() {
    let first = |count: usize, hit: &[usize]| -> Hits {
        Some((0..count).map(|state| hit.contains(&state)).collect())
    };
    let (a, b, c) = (prior(&[1, 1]), prior(&[1, 1]), prior(&[1; 6]));
    let both = || vec![first(2, &[0]); 2];
    let net = net(vec![
        a,
        b,
        c,
        gate(GateForm::All, &[0, 1], vec![both()]),
        gate(GateForm::Any, &[0, 1], vec![both()]),
        gate(
            GateForm::All,
            &[0, 2],
            vec![
                vec![first(2, &[0]), first(6, &[0])],
                vec![first(2, &[0]), first(6, &[1])],
            ],
        ),
    ]);
    let belief = Belief::new(&net).unwrap();
    let p = |observed: &[(usize, u16)], node: usize| {
        let mut seen = vec![None; 6];
        for (node, state) in observed {
            seen[*node] = Some(*state);
        }
        let certain = net.certain(|node| seen[node], |_| None);
        let of = belief.of(belief.part(node), &seen).unwrap();
        (of[node][0], certain[node])
    };
    assert_eq!(p(&[], 3), (250_000_000, None));
    assert_eq!(p(&[(0, 0)], 3), (500_000_000, None));
    assert_eq!(p(&[(0, 1)], 3), (0, Some(FALSE)));
    assert_eq!(p(&[(0, 0), (1, 0)], 3), (1_000_000_000, Some(TRUE)));
    assert_eq!(p(&[], 4), (750_000_000, None));
    assert_eq!(p(&[(0, 0)], 4), (1_000_000_000, Some(TRUE)));
    assert_eq!(p(&[(0, 1)], 4), (500_000_000, None));
    assert_eq!(p(&[(0, 1), (1, 1)], 4), (0, Some(FALSE)));
    assert_eq!(p(&[], 5), (166_666_667, None));
    assert_eq!(p(&[(0, 1)], 5), (0, Some(FALSE)));
    assert_eq!(p(&[(2, 5)], 5), (0, Some(FALSE)));
    assert_eq!(p(&[(0, 0)], 5), (333_333_333, None));
}

#[test]
fn a_gate_of_fifty_sensors_is_no_large_table_and_what_cannot_be_has_no_belief() {
    let mut nodes: Vec<NetNode> = (0..50).map(|_| prior(&[1, 1])).collect();
    let of: Vec<usize> = (0..50).collect();
    let hit: Hits = Some(vec![true, false]);
    nodes.push(gate(GateForm::AtLeast(3), &of, vec![vec![hit; 50]]));
    nodes.push(prior(&[0, 1]));
    let net = net(nodes);
    let belief = Belief::new(&net).unwrap();
    let mut seen = vec![None; 52];
    for node in seen.iter_mut().take(47) {
        *node = Some(1);
    }
    let of = belief.of(belief.part(50), &seen).unwrap();
    assert_eq!(of[50][0], 125_000_000);
    seen[51] = Some(0);
    assert!(belief.of(belief.part(51), &seen).is_none());
    assert!(belief.of(belief.part(50), &seen).is_some());
}

#[test]
fn a_clique_that_is_too_large_names_its_nodes() {
    let mut nodes: Vec<NetNode> = (0..17).map(|_| prior(&[1, 1])).collect();
    let row = |hit: usize| -> Vec<Hits> { (0..17).map(|n| Some(vec![n == hit, true])).collect() };
    nodes.push(gate(
        GateForm::All,
        &(0..17).collect::<Vec<_>>(),
        vec![row(0), row(1)],
    ));
    let told = Belief::new(&net(nodes)).unwrap_err();
    assert_eq!((told.nodes.len(), told.states), (18, 1 << 18));
}

/// Weights in thousandths, so that plain numbers are large enough for every world.
fn distribution(count: usize) -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(0_u64..1000, count - 1).prop_map(|mut cuts| {
        cuts.extend([0, 1000]);
        cuts.sort_unstable();
        cuts.windows(2)
            .map(|pair| (pair[1] - pair[0]) * 1_000_000)
            .collect()
    })
}

fn hits(count: usize) -> impl Strategy<Value = Hits> {
    proptest::option::weighted(0.85, proptest::collection::vec(any::<bool>(), count))
}

/// A node that may have the nodes before it as parents, whose state counts are known.
fn node(before: Vec<usize>) -> BoxedStrategy<NetNode> {
    let plain = (2_usize..4)
        .prop_flat_map(distribution)
        .prop_map(|weights| prior(&weights));
    if before.is_empty() {
        return plain.boxed();
    }
    let count = before.len();
    let of = proptest::sample::subsequence((0..count).collect::<Vec<_>>(), 1..=count.min(3));
    let parents = of.prop_map(move |of| {
        let sizes: Vec<usize> = of.iter().map(|n| before[*n]).collect();
        (of, sizes)
    });
    let gates = parents.clone().prop_flat_map(|(of, sizes)| {
        let row: Vec<_> = sizes.iter().map(|size| hits(*size)).collect();
        let rows = proptest::collection::vec(row, 1..3);
        let limit = u32::try_from(of.len()).unwrap();
        (Just(of), rows, 0_u8..5, 1..=limit, any::<bool>())
    });
    let gates = gates.prop_map(|(of, mut rows, form, k, hits_are_false)| {
        let form = match form {
            0 => GateForm::All,
            1 => GateForm::Any,
            2 => GateForm::Odd,
            3 => GateForm::AtLeast(k),
            _ => GateForm::Exactly(k),
        };
        if form != GateForm::All {
            rows.truncate(1);
        }
        // At least one parent is looked at.
        for row in &mut rows {
            row[0].get_or_insert_with(|| vec![true, false, false]);
        }
        let mut node = gate(form, &of, rows);
        if let Source::Gate(gate) = &mut node.source {
            gate.hits_are_false = hits_are_false;
        }
        node
    });
    let tables = (parents, 2_usize..4).prop_flat_map(|((of, sizes), own)| {
        let columns = sizes.iter().product::<usize>();
        (
            Just(of),
            proptest::collection::vec(distribution(own), columns),
            Just(own),
        )
    });
    let tables = tables.prop_map(|(of, columns, own)| {
        let weights = (0..own).flat_map(|state| columns.iter().map(move |column| column[state]));
        NetNode {
            states: states(own),
            source: Source::Table {
                of,
                weights: weights.collect(),
            },
        }
    });
    prop_oneof![2 => plain, 3 => gates, 2 => tables].boxed()
}

fn nets(count: usize) -> BoxedStrategy<Vec<NetNode>> {
    let mut all = Just(Vec::new()).boxed();
    for _ in 0..count {
        all = all
            .prop_flat_map(|nodes: Vec<NetNode>| {
                let sizes = nodes.iter().map(|node| node.states.len()).collect();
                (Just(nodes), node(sizes))
            })
            .prop_map(|(mut nodes, node)| {
                nodes.push(node);
                nodes
            })
            .boxed();
    }
    all
}

/// Whether a gate is true in a world, said with its words.
fn is_true(gate: &GateNode, world: &[usize]) -> bool {
    let hits = |row: &Vec<Hits>| -> Vec<bool> {
        let pairs = row.iter().zip(&gate.of);
        pairs
            .filter_map(|(hits, parent)| Some(hits.as_ref()?.get(world[*parent]) == Some(&true)))
            .collect()
    };
    let rows: Vec<Vec<bool>> = gate.combinations.iter().map(hits).collect();
    let count = rows[0].iter().filter(|hit| **hit).count();
    let hit = match gate.form {
        GateForm::All => rows.iter().any(|row| row.iter().all(|hit| *hit)),
        GateForm::Any => count > 0,
        GateForm::Odd => count % 2 == 1,
        GateForm::AtLeast(k) => count >= k as usize,
        GateForm::Exactly(k) => count == k as usize,
    };
    hit != gate.hits_are_false
}

/// Every world and its weight, in thousandths per factor.
fn worlds(nodes: &[NetNode]) -> Vec<(Vec<usize>, u128)> {
    let mut worlds = vec![(Vec::new(), 1_u128)];
    for node in nodes {
        let mut longer = Vec::new();
        for (world, weight) in worlds {
            for state in 0..node.states.len() {
                let own = match &node.source {
                    Source::Prior(weights) => u128::from(weights[state] / 1_000_000),
                    Source::Gate(gate) => {
                        let state_is_true = state == usize::from(TRUE);
                        u128::from(is_true(gate, &world) == state_is_true)
                    }
                    Source::Table { of, weights } => {
                        let mut column = 0;
                        let mut columns = 1;
                        for parent in of {
                            let size = nodes[*parent].states.len();
                            column = column * size + world[*parent];
                            columns *= size;
                        }
                        u128::from(weights[state * columns + column] / 1_000_000)
                    }
                };
                let mut world = world.clone();
                world.push(state);
                longer.push((world, weight * own));
            }
        }
        worlds = longer;
    }
    worlds
}

/// Billionths of a ratio, half to even.
fn rounded(part: u128, whole: u128) -> u64 {
    let scaled = part * 1_000_000_000;
    let (quotient, rest) = (scaled / whole, scaled % whole);
    let up = rest * 2 > whole || (rest * 2 == whole && quotient % 2 == 1);
    u64::try_from(quotient + u128::from(up)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
    ))]

    #[test]
    fn beliefs_are_those_of_every_world(
        nodes in (1_usize..7).prop_flat_map(nets),
        seen in proptest::collection::vec(proptest::option::weighted(0.3, 0_u16..3), 7),
    ) {
        let observed: Vec<Option<u16>> = nodes
            .iter()
            .zip(&seen)
            .map(|(node, state)| {
                let fits = |state: &u16| usize::from(*state) < node.states.len();
                let gate = matches!(node.source, Source::Gate(_));
                state.filter(fits).filter(|_| !gate)
            })
            .collect();
        let net = net(nodes.clone());
        let belief = Belief::new(&net).unwrap();
        let all = worlds(&nodes);
        let certain = net.certain(|node| observed[node], |_| None);
        for node in 0..nodes.len() {
            // Only its own connected part counts: what cannot be elsewhere is no contradiction here.
            let part = belief.part(node);
            let here = |world: &[usize]| {
                world.iter().enumerate().all(|(other, state)| {
                    belief.part(other) != part
                        || observed[other].is_none_or(|seen| usize::from(seen) == *state)
                })
            };
            let sum = |state: Option<usize>| -> u128 {
                let own = all.iter().filter(|(world, _)| here(world));
                let own = own.filter(|(world, _)| state.is_none_or(|state| world[node] == state));
                own.map(|(_, weight)| *weight).sum()
            };
            let whole = sum(None);
            match belief.of(part, &observed) {
                None => prop_assert_eq!(whole, 0),
                Some(of) => {
                    prop_assert!(whole > 0);
                    for (state, likely) in of[node].iter().enumerate() {
                        prop_assert_eq!(*likely, rounded(sum(Some(state)), whole));
                    }
                }
            }
            if let Source::Gate(gate) = &nodes[node].source {
                // A certain state is that of every world in which the certain parents are as they are.
                let agrees = |world: &[usize]| gate.of.iter().all(|parent| {
                    certain[*parent].is_none_or(|state| usize::from(state) == world[*parent])
                });
                let mut of_worlds = all.iter().filter(|(world, _)| agrees(world));
                if let Some(state) = certain[node] {
                    let wanted = state == TRUE;
                    prop_assert!(of_worlds.all(|(world, _)| is_true(gate, world) == wanted));
                } else {
                    prop_assert!(gate.of.iter().any(|parent| certain[*parent].is_none()));
                }
            }
        }
    }
}
