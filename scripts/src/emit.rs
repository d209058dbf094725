//! From [`Node`]s back to what Rhai runs: operators, slots and functions become custom nodes.

use rhai::{Expr, FlowControl, FnArgsVec, Position, Stmt, StmtBlock};

use crate::node::Node;
use crate::runtime::{custom, key};

/// The expression that Rhai runs for a node.
pub(crate) fn to_expr(node: &Node) -> Expr {
    let here = Position::NONE;
    match node {
        Node::Number(number) => Expr::FloatConstant((*number).into(), here),
        Node::Int(whole) => Expr::IntegerConstant(*whole, here),
        Node::Bool(flag) => Expr::BoolConstant(*flag, here),
        Node::Text(text) => Expr::StringConstant(text.clone(), here),
        Node::Missing => Expr::Unit(here),
        Node::Slot(index) => {
            let index = i64::try_from(*index).unwrap_or(-1);
            custom(key::SLOT, index, FnArgsVec::new(), here)
        }
        Node::Negate(x, at) => custom(key::NEGATE, 0, one(x), *at),
        Node::Not(x, at) => custom(key::NOT, 0, one(x), *at),
        Node::Binary(op, pair, at) => {
            let inputs = [&pair.0, &pair.1].into_iter().map(to_expr).collect();
            custom(key::BINARY, op.code(), inputs, *at)
        }
        Node::And(list, at) => custom(key::AND, 0, all(list), *at),
        Node::Or(list, at) => custom(key::OR, 0, all(list), *at),
        Node::Coalesce(list, at) => custom(key::COALESCE, 0, all(list), *at),
        Node::Call(scalar, list, at) => custom(key::CALL, scalar.code(), all(list), *at),
        Node::If(three, at) => {
            let mut condition = to_expr(&three.0);
            if condition.position().is_none() {
                // The place that an unknown condition is told with.
                condition.set_position(*at);
            }
            let flow = FlowControl {
                expr: condition,
                body: block(&three.1),
                branch: block(&three.2),
            };
            let whole = Stmt::If(Box::new(flow), *at);
            Expr::Stmt(Box::new(StmtBlock::new([whole], *at, here)))
        }
        Node::List(list, at) => Expr::Array(list.iter().map(to_expr).collect(), *at),
        Node::Opaque(expr) => (**expr).clone(),
    }
}

fn one(node: &Node) -> FnArgsVec<Expr> {
    std::iter::once(to_expr(node)).collect()
}

fn all(list: &[Node]) -> FnArgsVec<Expr> {
    list.iter().map(to_expr).collect()
}

fn block(node: &Node) -> StmtBlock {
    let statement = Stmt::Expr(Box::new(to_expr(node)));
    StmtBlock::new([statement], Position::NONE, Position::NONE)
}
